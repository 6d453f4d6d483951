//! Notices of records, each once.

use std::collections::BTreeSet;

use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, Blocker, BlockerKind, BudgetNumbers, Cause, DrainProgress, Ending, Fact,
    Generation, NodeEvent, NodeUid, Phase, PhaseEntered, TraceParent,
};
use jiff::Timestamp;

use super::*;

const PAGE: &str = include_str!("../../../../docs/signs.md");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn attempt(phases: &[(Phase, i64)]) -> Attempt {
    let uid: NodeUid = "u1".parse().unwrap();
    let attempt = AttemptRef {
        node: "n1".parse().unwrap(),
        attempt: AttemptId::new(&uid, Generation(1), at(0)),
        node_uid: uid,
        generation: Generation(1),
    };
    let trace = TraceParent {
        trace_id: [1; 16],
        span_id: [1; 8],
        sampled: true,
    };
    let mut attempt = Attempt::new(attempt, "boot".parse().unwrap(), at(0), trace);
    attempt.reasons = vec!["kernel".to_owned()];
    enter(&mut attempt, phases);
    attempt
}

fn enter(attempt: &mut Attempt, phases: &[(Phase, i64)]) {
    for (phase, seconds) in phases {
        attempt.phase = *phase;
        let at = at(*seconds);
        attempt.history.push(PhaseEntered { phase: *phase, at });
    }
}

fn end(attempt: &mut Attempt, cause: Cause, rollback_cause: Option<Cause>) {
    attempt.ending = Some(Ending {
        cause,
        message: "as it is".to_owned(),
        rollback_cause,
    });
}

fn reasons(notices: &[Notice]) -> Vec<&'static str> {
    notices.iter().map(|notice| notice.reason.as_str()).collect()
}

/// The words of the table in the page: reason, type, action.
fn documented() -> BTreeSet<(String, String, String)> {
    let rows = PAGE
        .lines()
        .skip_while(|line| !line.starts_with("| `reason` |"))
        .skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            (cells[1].to_owned(), cells[2].to_owned(), cells[3].to_owned())
        })
        .collect()
}

#[test]
fn each_reason_is_documented_and_each_documented_one_is_given() {
    let mut given = BTreeSet::new();
    let mut gather = |notices: Vec<Notice>| {
        for notice in notices {
            let kind = if notice.reason.is_warning() {
                "Warning"
            } else {
                "Normal"
            };
            let action = match notice.reason {
                NoticeReason::Ended(_) => "RollBack, End",
                NoticeReason::RebootAdmitted
                | NoticeReason::DrainStalled
                | NoticeReason::Drained
                | NoticeReason::RebootOrdered
                | NoticeReason::BackInService => notice.action.as_str(),
            };
            given.insert((notice.reason.as_str().to_owned(), kind.to_owned(), action.to_owned()));
        }
    };
    let course = [
        (Phase::Draining, 0),
        (Phase::Rebooting, 30),
        (Phase::Verifying, 60),
        (Phase::Uncordoning, 90),
        (Phase::Soaking, 100),
        (Phase::Done, 200),
    ];
    let mut whole = attempt(&course);
    whole.drained_at = Some(at(30));
    gather(Notices::default().of_record(&whole, at(200)));
    for cause in Cause::ALL.into_iter().filter(|cause| *cause != Cause::Completed) {
        let mut ended = attempt(&[(Phase::Draining, 0), (Phase::RollingBack, 9), (cause.outcome(), 10)]);
        end(&mut ended, cause, None);
        gather(Notices::default().of_record(&ended, at(10)));
    }
    let mut blocked = Notices::default();
    blocked.of_record(&attempt(&course[..1]), at(0));
    blocked.note_event(&progress(&[Blocker::of(BlockerKind::Stuck, 1)]), at(0));
    gather(blocked.of_blocked_drains(at(60)));
    assert_eq!(given, documented());
}

#[test]
fn the_notices_of_a_course_come_one_by_one_and_once() {
    let mut notices = Notices::default();
    let mut record = attempt(&[(Phase::Draining, 0)]);
    let first = notices.of_record(&record, at(1));
    assert_eq!(reasons(&first), ["RebootAdmitted"]);
    assert!(first[0].message.contains("1970-01-01T00:00:00Z (kernel)"), "{first:?}");
    record.drained_at = Some(at(65));
    assert_eq!(notices.of_record(&record, at(65))[0].message, "Drained after 1m 5s");
    // Drained once more: no second notice.
    record.drained_at = Some(at(70));
    record.generation = record.generation.next();
    assert_eq!(notices.of_record(&record, at(70)), []);
    enter(&mut record, &[(Phase::Rebooting, 71)]);
    record.reboot_not_after = Some(at(131));
    let ordered = notices.of_record(&record, at(71));
    assert!(
        ordered[0].message.ends_with("to begin by 1970-01-01T00:02:11Z"),
        "{ordered:?}"
    );
    enter(&mut record, &[(Phase::Verifying, 72), (Phase::Uncordoning, 73)]);
    assert_eq!(notices.of_record(&record, at(73)), []);
    record.kernel_after = Some("6.12".to_owned());
    enter(&mut record, &[(Phase::Soaking, 3700), (Phase::Done, 3710)]);
    let back = notices.of_record(&record, at(3710));
    assert_eq!(
        back[0].message,
        "Back in service after 1h 1m 40s: rebooted, Ready and uncordoned, kernel 6.12"
    );
    assert_eq!(notices.of_record(&record, at(3710)), []);
}

#[test]
fn a_leader_that_starts_again_gives_the_same_names_and_nothing_old() {
    let mut record = attempt(&[(Phase::Draining, 0), (Phase::RollingBack, 9), (Phase::Failed, 10)]);
    end(&mut record, Cause::DrainFailed, None);
    let names = |notices: Vec<Notice>| notices.into_iter().map(|notice| notice.name).collect::<Vec<_>>();
    let first = names(Notices::default().of_record(&record, at(10)));
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 3, "{first:?}");
    // The second time at an end, with another cause, is another notice, and the earlier ones keep their names.
    end(&mut record, Cause::UncordonStuck, Some(Cause::DrainFailed));
    enter(&mut record, &[(Phase::RollingBack, 20), (Phase::Failed, 30)]);
    let second = names(Notices::default().of_record(&record, at(30)));
    assert_eq!(second[..3], first);
    assert_eq!(second.iter().collect::<BTreeSet<_>>().len(), 5, "{second:?}");
    let old = Notices::default().of_record(&record, at(20) + Notices::AGE_MAX);
    assert_eq!(old.len(), 2, "{old:?}");
    let rollback = &old[0];
    assert_eq!(
        (rollback.reason.as_str(), rollback.action.as_str()),
        ("DrainFailed", "RollBack")
    );
}

#[test]
fn nodes_that_are_gone_are_forgotten() {
    let mut notices = Notices::default();
    for hour in 0..5 {
        let mut record = attempt(&[(Phase::Draining, hour * 3600)]);
        record.node = format!("n{hour}").parse().unwrap();
        assert_eq!(notices.of_record(&record, at(hour * 3600)).len(), 1);
    }
    assert_eq!(notices.given.len(), 1);
}

#[test]
fn the_removal_of_a_cordon_without_a_record_is_no_admitted_reboot() {
    let mut record = attempt(&[(Phase::RollingBack, 0)]);
    end(&mut record, Cause::RecordLost, None);
    assert_eq!(reasons(&Notices::default().of_record(&record, at(0))), ["RecordLost"]);
}

fn progress(blockers: &[Blocker]) -> NodeEvent {
    let record = attempt(&[]);
    NodeEvent {
        node: record.node,
        attempt: record.id,
        generation: record.generation,
        at: at(0),
        source: String::new(),
        fact: Fact::DrainProgressed(DrainProgress {
            blockers: blockers.to_vec(),
            ..DrainProgress::default()
        }),
    }
}

fn budget(name: &str) -> Blocker {
    Blocker {
        budget: Some(BudgetNumbers {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            ..BudgetNumbers::default()
        }),
        ..Blocker::of(BlockerKind::Budget, 2)
    }
}

#[test]
fn a_blocker_that_lasts_is_named_once_and_one_that_ends_never() {
    let mut notices = Notices::default();
    let mut record = attempt(&[(Phase::Draining, 0)]);
    notices.of_record(&record, at(0));
    notices.note_event(
        &progress(&[budget("web"), budget("db"), Blocker::of(BlockerKind::Grace, 1)]),
        at(0),
    );
    notices.note_event(&progress(&[budget("web")]), at(20));
    assert_eq!(notices.of_blocked_drains(at(29)), []);
    let due = notices.of_blocked_drains(at(30));
    assert_eq!(reasons(&due), ["DrainStalled"]);
    assert!(due[0].message.contains("shop/web"), "{due:?}");
    notices.note_event(&progress(&[budget("web")]), at(40));
    assert_eq!(notices.of_blocked_drains(at(100)), []);
    // Back after a while: that is no news, also when the API server has forgotten the Event.
    notices.note_event(&progress(&[]), at(101));
    notices.note_event(&progress(&[budget("web")]), at(102));
    assert_eq!(notices.of_blocked_drains(at(132)), []);
    // A drainer of before reports late.
    let mut stale = progress(&[budget("stale")]);
    stale.generation = Generation(0);
    notices.note_event(&stale, at(133));
    assert_eq!(notices.of_blocked_drains(at(200)), []);
    record.drained_at = Some(at(140));
    notices.note_event(&progress(&[budget("late")]), at(139));
    notices.of_record(&record, at(140));
    assert_eq!(notices.of_blocked_drains(at(200)), [], "the drain is over");
}

#[test]
fn the_name_of_a_notice_is_a_dns_subdomain() {
    let long = "a".repeat(BUDGET_CUT - 1) + "." + &"b".repeat(200);
    let mut blocked = Notices::default();
    blocked.of_record(&attempt(&[(Phase::Draining, 0)]), at(0));
    blocked.note_event(&progress(&[budget(&long), budget("")]), at(0));
    let due = blocked.of_blocked_drains(at(30));
    assert_eq!(due.len(), 2);
    for Notice { name, .. } in due {
        assert!(name.len() <= 253, "{name}");
        let ends_well = |label: &str| label.ends_with(|it: char| it.is_ascii_alphanumeric());
        assert!(name.split('.').all(ends_well), "{name}");
    }
}

/// As `blocked::BUDGET_NAME_MAX`.
const BUDGET_CUT: usize = 100;
