//! Which messages follow from events, to which targets, and what is not sent twice.

use bellwether_proto::{
    AttemptId, AttemptStart, Blocker, BlockerKind, BudgetNumbers, DrainProgress, Fact, Generation, NodeEvent, Phase,
    PhaseDetail,
};
use jiff::{SignedDuration, Timestamp};

use crate::desk::{Desk, Routed, State};
use crate::notification::{Kind, Notification, Severity};
use crate::settings::Settings;

const CONFIG: &str = "
cluster: test
rolloutGap: 30m
targets:
  - name: all
    webhook: { url: 'https://x.example/', template: '{\"a\": \"{{ summary }}\"}' }
  - name: digest
    slack: { urlFile: /s }
  - name: thread
    slack: { tokenFile: /t, channel: C1 }
routes:
  - targets: [all, digest]
  - targets: [thread]
    minSeverity: warning
    kinds: [DrainBlocked, AttemptFailed]
";

fn settings() -> Settings {
    Settings::parse(CONFIG).unwrap()
}

fn desk() -> Desk {
    Desk::new(settings(), State::default())
}

pub(crate) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

pub(crate) fn event(node: &str, minute: i64, fact: Fact) -> NodeEvent {
    NodeEvent {
        node: node.parse().unwrap(),
        attempt: AttemptId::new(&node.parse().unwrap(), Generation(1), Timestamp::UNIX_EPOCH),
        generation: Generation(1),
        at: at(minute),
        source: "test".to_owned(),
        fact,
    }
}

pub(crate) fn entered(node: &str, minute: i64, to: Phase) -> NodeEvent {
    let message = "why".to_owned();
    event(
        node,
        minute,
        Fact::PhaseChanged {
            from: None,
            to,
            message,
            link: None,
            cause: None,
            detail: None,
        },
    )
}

fn blocked(node: &str, minute: i64, kind: BlockerKind) -> NodeEvent {
    let mut blocker = Blocker::of(kind, 1);
    blocker.budget = Some(BudgetNumbers {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        ..BudgetNumbers::default()
    });
    let progress = DrainProgress {
        blockers: vec![blocker],
        held_up_by: vec!["budget shop/web allows none".to_owned()],
        ..DrainProgress::default()
    };
    event(node, minute, Fact::DrainProgressed(progress))
}

/// Hands the event over when it happens; target and kind of what follows.
fn taken(desk: &mut Desk, event: &NodeEvent) -> Vec<(usize, Kind)> {
    kinds(&desk.handle_event(event, event.at, event.at))
}

fn kinds(routed: &[Routed]) -> Vec<(usize, Kind)> {
    routed.iter().map(|it| (it.target, it.notification.kind)).collect()
}

fn settle_all(desk: &mut Desk, routed: &[Routed]) {
    for Routed { target, notification } in routed {
        desk.settled(*target, notification);
    }
}

#[test]
fn a_message_goes_where_a_route_leads_and_a_digest_has_no_steps() {
    let mut desk = desk();
    let first = desk.handle_event(&entered("n1", 0, Phase::Draining), at(0), at(0));
    assert_eq!(
        kinds(&first),
        [
            (0, Kind::RolloutStarted),
            (1, Kind::RolloutStarted),
            (0, Kind::DrainStarted)
        ]
    );
    let Notification {
        cluster, detail, node, ..
    } = &first.last().unwrap().notification;
    assert_eq!(
        (cluster.as_str(), detail.as_str(), node.as_str()),
        ("test", "why", "n1")
    );
    settle_all(&mut desk, &first);
    let failed = taken(&mut desk, &entered("n1", 1, Phase::Failed));
    assert_eq!(failed, [0, 1, 2].map(|target| (target, Kind::AttemptFailed)));
    for quiet in [Phase::Rebooting, Phase::Verifying, Phase::Uncordoning, Phase::Soaking] {
        assert_eq!(taken(&mut desk, &entered("n1", 2, quiet)), []);
    }
}

#[test]
fn an_event_gives_the_same_messages_until_each_is_settled_also_after_a_restart() {
    let mut desk = desk();
    let started = entered("n1", 0, Phase::Draining);
    let first = desk.handle_event(&started, at(0), at(0));
    assert_eq!(desk.handle_event(&started, at(0), at(0)), first);
    let (settled, open) = first.split_at(2);
    settle_all(&mut desk, settled);
    let state = serde_json::to_string(desk.state()).unwrap();
    let mut restarted = Desk::new(settings(), serde_json::from_str(&state).unwrap());
    assert_eq!(restarted.handle_event(&started, at(0), at(0)), open);
    settle_all(&mut restarted, open);
    assert_eq!(restarted.handle_event(&started, at(0), at(0)), []);
    // As the next leader publishes it: in a later message.
    assert_eq!(taken(&mut restarted, &entered("n1", 3, Phase::Draining)), []);
}

#[test]
fn a_rollout_ends_a_gap_after_its_last_event_with_the_numbers_of_all_attempts() {
    let mut desk = desk();
    for (node, minute, phase) in [
        ("n1", 0, Phase::Draining),
        ("n1", 5, Phase::Done),
        ("n2", 20, Phase::Draining),
        ("n2", 25, Phase::Failed),
        ("n1", 26, Phase::Done),
        ("n3", 27, Phase::Cancelled),
    ] {
        let routed = desk.handle_event(&entered(node, minute, phase), at(minute), at(minute));
        settle_all(&mut desk, &routed);
    }
    assert_eq!(desk.poll_timeout(), Some(at(57)));
    assert_eq!(desk.handle_time(at(56)), []);
    let ended = desk.handle_time(at(57));
    assert_eq!(kinds(&ended), [(0, Kind::RolloutEnded), (1, Kind::RolloutEnded)]);
    let Notification { summary, severity, .. } = &ended.first().unwrap().notification;
    assert!(
        summary.ends_with("1 of 3 nodes rebooted, 1 failed, 1 cancelled"),
        "{summary}"
    );
    assert_eq!(*severity, Severity::Warning);
    settle_all(&mut desk, &ended);
    assert_eq!((desk.handle_time(at(90)), desk.poll_timeout()), (vec![], None));
    // A late event of the rollout before begins none.
    let next = taken(&mut desk, &entered("n4", 100, Phase::Draining));
    assert!(next.contains(&(1, Kind::RolloutStarted)), "{next:?}");
    let late = taken(&mut desk, &entered("n3", 28, Phase::RollingBack));
    assert_eq!(late, [(0, Kind::RolledBack), (1, Kind::RolledBack)]);
}

#[test]
fn the_digest_of_a_rollout_comes_before_the_next_one_begins() {
    let mut desk = desk();
    let first = desk.handle_event(&entered("n1", 0, Phase::Done), at(0), at(0));
    settle_all(&mut desk, &first);
    let next = taken(&mut desk, &entered("n2", 31, Phase::Draining));
    assert_eq!(next.first(), Some(&(0, Kind::RolloutEnded)));
}

#[test]
fn a_drain_that_is_blocked_for_minutes_is_one_message_with_the_budget_though_its_drainer_publishes_once() {
    let mut desk = desk();
    let begun = desk.handle_event(&entered("n1", 0, Phase::Draining), at(0), at(0));
    settle_all(&mut desk, &begun);
    let early = taken(&mut desk, &blocked("n1", 1, BlockerKind::Budget));
    assert_eq!(early, []);
    assert_eq!(desk.poll_timeout(), Some(at(4)));
    assert_eq!(desk.handle_time(at(3)), []);
    let state = serde_json::to_string(desk.state()).unwrap();
    let mut desk = Desk::new(settings(), serde_json::from_str(&state).unwrap());
    let routed = desk.handle_time(at(4));
    assert_eq!(kinds(&routed), [0, 1, 2].map(|target| (target, Kind::DrainBlocked)));
    let message = &routed[2].notification;
    assert_eq!(message.summary, "n1: the drain is blocked (disruption budget shop/web)");
    assert_eq!(message.detail, "budget shop/web allows none");
    assert_eq!((message.node.as_str(), message.at), ("n1", at(4)));
    settle_all(&mut desk, &routed);
    assert_eq!(desk.handle_time(at(5)), []);
    assert_eq!(desk.poll_timeout(), Some(at(120)), "only the stuck attempt is left");
}

#[test]
fn a_drain_that_goes_on_or_ends_is_not_blocked() {
    let mut desk = desk();
    for node in ["n2", "n3"] {
        desk.handle_event(&entered(node, 0, Phase::Draining), at(0), at(0));
    }
    // Pods that end within their grace are no obstacle, and begin the time again.
    for (minute, kind) in [
        (0, BlockerKind::Budget),
        (2, BlockerKind::Grace),
        (4, BlockerKind::Budget),
    ] {
        desk.handle_event(&blocked("n2", minute, kind), at(minute), at(minute));
    }
    let is_blocked = |routed: &[Routed]| kinds(routed).contains(&(0, Kind::DrainBlocked));
    assert!(!is_blocked(&desk.handle_time(at(6))));
    desk.handle_event(&entered("n2", 6, Phase::Rebooting), at(6), at(6));
    assert!(!is_blocked(&desk.handle_time(at(20))));
    // The event that ended it is lost.
    desk.handle_event(&blocked("n3", 0, BlockerKind::Budget), at(1), at(1));
    assert!(!is_blocked(&desk.handle_time(at(2 * 24 * 60))));
}

#[test]
fn an_event_of_the_day_before_is_no_news() {
    let mut desk = desk();
    let event = entered("n1", 0, Phase::Failed);
    let later = at(0).checked_add(SignedDuration::from_hours(25)).unwrap();
    assert_eq!(desk.handle_event(&event, later, later), []);
    assert_eq!(desk.changes(), 0);
}

#[test]
fn a_thread_is_that_of_its_rollout_and_begun_once() {
    let mut desk = desk();
    let thread = 2;
    let message = |desk: &mut Desk, minute| {
        let routed = desk.handle_event(&entered("n1", minute, Phase::Failed), at(minute), at(minute));
        routed.last().unwrap().notification.clone()
    };
    let first = message(&mut desk, 0);
    assert_eq!(desk.thread(thread, &first), None);
    desk.thread_begun(thread, &first, "1");
    desk.thread_begun(thread, &first, "2");
    assert_eq!(desk.thread(thread, &first), Some("1"));
    let of_the_next = message(&mut desk, 60);
    assert_eq!(desk.thread(thread, &of_the_next), None);
    desk.thread_gone(thread);
    assert_eq!(desk.thread(thread, &first), None);
}

#[test]
fn what_is_kept_has_a_limit_and_what_is_made_again_and_again_is_not_forgotten() {
    let mut desk = desk();
    let first = desk.handle_event(&entered("n1", 0, Phase::Draining), at(0), at(0));
    settle_all(&mut desk, &first);
    desk.handle_event(&blocked("n1", 1, BlockerKind::Budget), at(1), at(1));
    let by_time = desk.handle_time(at(120));
    let targets = |kind| by_time.iter().filter(|it| it.notification.kind == kind).count();
    assert_eq!((targets(Kind::DrainBlocked), targets(Kind::AttemptStuck)), (3, 2));
    settle_all(&mut desk, &by_time);
    let mut other = first.last().unwrap().notification.clone();
    for number in 0..10_000 {
        other.attempt = number.to_string();
        desk.settled(0, &other);
    }
    let kept = |desk: &Desk| {
        serde_json::to_value(desk.state()).unwrap()["settled"]
            .as_array()
            .unwrap()
            .len()
    };
    assert!((8192..=8192 + 1024).contains(&kept(&desk)), "{}", kept(&desk));
    assert_eq!(kinds(&desk.handle_time(at(121))), []);
    let mut desk = restarted(&desk);
    assert_eq!(kept(&desk), 8192);
    assert_eq!(kinds(&desk.handle_time(at(121))), []);
    let again = taken(&mut desk, &entered("n1", 1, Phase::Draining));
    assert_eq!(
        again,
        [(0, Kind::DrainStarted)],
        "the step is forgotten, the beginning is not"
    );
}

fn restarted(desk: &Desk) -> Desk {
    let state = serde_json::to_string(desk.state()).unwrap();
    Desk::new(settings(), serde_json::from_str(&state).unwrap())
}

fn reboot_failed(node: &str, minute: i64) -> NodeEvent {
    let message = "no".to_owned();
    event(node, minute, Fact::RebootFailed { message })
}

#[test]
fn an_event_counts_by_the_time_of_the_stream_if_its_writer_has_a_later_one() {
    let mut desk = desk();
    let mut wrong = entered("n1", 0, Phase::Done);
    wrong.at = "2100-01-01T00:00:00Z".parse().unwrap();
    let first = desk.handle_event(&wrong, at(0), at(0));
    assert!(first.iter().all(|it| it.notification.at == at(0)));
    settle_all(&mut desk, &first);
    assert_eq!(desk.poll_timeout(), Some(at(30)));
    let next = taken(&mut desk, &entered("n2", 40, Phase::Draining));
    assert!(next.contains(&(0, Kind::RolloutStarted)), "{next:?}");
}

#[test]
fn an_agent_begins_no_rollout_and_keeps_none_going() {
    let mut desk = desk();
    assert_eq!(taken(&mut desk, &reboot_failed("n9", 0)), []);
    assert_eq!((desk.poll_timeout(), desk.state().clone()), (None, State::default()));
    let first = desk.handle_event(&entered("n1", 5, Phase::Done), at(5), at(5));
    settle_all(&mut desk, &first);
    assert_eq!(
        taken(&mut desk, &reboot_failed("n1", 30)),
        [(0, Kind::RebootFailed), (1, Kind::RebootFailed)]
    );
    let mut far = reboot_failed("n1", 30);
    far.at = "2100-01-01T00:00:00Z".parse().unwrap();
    desk.handle_event(&far, at(30), at(30));
    assert_eq!(desk.poll_timeout(), Some(at(35)));
}

#[test]
fn an_agents_event_counts_only_for_an_attempt_that_a_scheduler_has_named_with_its_node() {
    let mut desk = desk();
    let first = desk.handle_event(&entered("n1", 0, Phase::Draining), at(0), at(0));
    settle_all(&mut desk, &first);
    let mut foreign = reboot_failed("n2", 1);
    foreign.attempt = entered("n1", 0, Phase::Draining).attempt;
    let mut desk = restarted(&desk);
    assert_eq!(taken(&mut desk, &foreign), []);
    assert_eq!(taken(&mut desk, &reboot_failed("n3", 1)), []);
    assert_eq!(taken(&mut desk, &reboot_failed("n1", 1)).len(), 2);
}

#[test]
fn an_agent_that_is_faster_than_the_schedulers_event_counts_after_that() {
    let mut desk = desk();
    assert_eq!(taken(&mut desk, &reboot_failed("n1", 0)), []);
    assert_eq!(taken(&mut desk, &reboot_failed("n2", 0)), []);
    let kinds = taken(&mut desk, &entered("n1", 1, Phase::Draining));
    assert_eq!(kinds.last(), Some(&(1, Kind::RebootFailed)));
    // Too long ago to be of this attempt's beginning.
    let kinds = taken(&mut desk, &entered("n2", 3, Phase::Draining));
    assert!(!kinds.contains(&(0, Kind::RebootFailed)), "{kinds:?}");
}

#[test]
fn an_event_after_the_end_of_a_rollout_that_users_know_begins_the_next_one_and_a_late_copy_does_not() {
    let mut desk = desk();
    for minute in [0, 5] {
        let routed = desk.handle_event(&entered("n1", minute, Phase::Done), at(minute), at(minute));
        settle_all(&mut desk, &routed);
    }
    let ended = desk.handle_time(at(36));
    settle_all(&mut desk, &ended);
    let mut desk = restarted(&desk);
    assert_eq!(taken(&mut desk, &entered("n1", 5, Phase::Done)), []);
    // Within the gap, and read after the digest.
    let next = taken(&mut desk, &entered("n2", 20, Phase::Done));
    assert_eq!(next.first(), Some(&(0, Kind::RolloutStarted)));
    let minutes = SignedDuration::from_mins(20 + 30);
    assert_eq!(desk.poll_timeout(), at(0).checked_add(minutes).ok());
}

#[test]
fn a_rollout_lasts_for_as_long_as_one_of_its_attempts_and_no_longer_than_an_attempt_is_known() {
    let mut desk = desk();
    let begin = |desk: &mut Desk, node, minute, phase| {
        let routed = desk.handle_event(&entered(node, minute, phase), at(minute), at(minute));
        settle_all(desk, &routed);
        kinds(&routed)
    };
    begin(&mut desk, "n1", 0, Phase::Draining);
    begin(&mut desk, "n2", 5, Phase::Done);
    let mut desk = restarted(&desk);
    let is_over = |routed: &[(usize, Kind)]| routed.contains(&(0, Kind::RolloutEnded));
    // The drain of n1 takes three hours, and its reboot is of the same rollout.
    let stuck = desk.handle_time(at(170));
    assert_eq!(kinds(&stuck), [0, 1].map(|target| (target, Kind::AttemptStuck)));
    settle_all(&mut desk, &stuck);
    assert_eq!(begin(&mut desk, "n1", 180, Phase::Done), [(0, Kind::Rebooted)]);
    assert!(!is_over(&kinds(&desk.handle_time(at(209)))));
    assert!(is_over(&kinds(&desk.handle_time(at(210)))));
    // The event that ended an attempt is lost: its node has the next one, or the attempt is forgotten after a day.
    begin(&mut desk, "n3", 300, Phase::Draining);
    let day = 24 * 60;
    assert!(!is_over(&kinds(&desk.handle_time(at(299 + day)))));
    assert!(is_over(&kinds(&desk.handle_time(at(300 + day)))));
    let mut next = entered("n3", 301, Phase::Failed);
    next.attempt = AttemptId::new(&"n3".parse().unwrap(), Generation(9), at(301));
    let routed = desk.handle_event(&next, at(301), at(301));
    settle_all(&mut desk, &routed);
    assert!(is_over(&kinds(&desk.handle_time(at(331)))));
}

#[test]
fn an_attempt_that_stays_in_a_phase_is_one_message_with_what_blocks_its_drain() {
    let mut desk = desk();
    let begun = desk.handle_event(&entered("n1", 0, Phase::Draining), at(0), at(0));
    settle_all(&mut desk, &begun);
    desk.handle_event(&blocked("n1", 60, BlockerKind::Budget), at(60), at(60));
    let is_stuck = |routed: &[Routed]| kinds(routed).contains(&(0, Kind::AttemptStuck));
    assert!(!is_stuck(&desk.handle_time(at(119))));
    let routed = desk.handle_time(at(120));
    let stuck = routed
        .iter()
        .find(|it| it.notification.kind == Kind::AttemptStuck)
        .unwrap();
    assert_eq!(stuck.notification.summary, "n1: the attempt is in Draining for 2h");
    assert_eq!(stuck.notification.detail, "budget shop/web allows none");
    settle_all(&mut desk, &routed);
    let mut desk = restarted(&desk);
    assert!(!is_stuck(&desk.handle_time(at(121))));
    // Each phase has its own time.
    desk.handle_event(&entered("n2", 0, Phase::Draining), at(0), at(0));
    desk.handle_event(&entered("n2", 100, Phase::Rebooting), at(100), at(100));
    assert!(!is_stuck(&desk.handle_time(at(219))));
    // A late copy of the step before begins no time, and ends none.
    desk.handle_event(&entered("n2", 0, Phase::Draining), at(150), at(150));
    assert!(is_stuck(&desk.handle_time(at(220))));
    desk.handle_event(&entered("n2", 221, Phase::Failed), at(221), at(221));
    assert!(!is_stuck(&desk.handle_time(at(500))));
}

const TWO_POLICIES: &str = "
targets:
  - name: nights
    webhook: { url: 'https://x.example/' }
  - name: days
    webhook: { url: 'https://y.example/' }
routes:
  - targets: [nights]
    policies: [nights]
  - targets: [days]
    policies: [days]
";

fn start_of(policy: &str) -> NodeEvent {
    let mut event = entered("n1", 0, Phase::Draining);
    if let Fact::PhaseChanged { detail, .. } = &mut event.fact {
        let start = AttemptStart {
            policy: policy.to_owned(),
            ..AttemptStart::default()
        };
        *detail = Some(Box::new(PhaseDetail {
            start: Some(start),
            ..PhaseDetail::default()
        }));
    }
    event
}

#[test]
fn a_route_of_a_policy_has_the_messages_about_its_nodes_from_the_first_event_of_the_attempt_on() {
    let mut desk = Desk::new(Settings::parse(TWO_POLICIES).unwrap(), State::default());
    let first = desk.handle_event(&start_of("nights"), at(0), at(0));
    assert_eq!(kinds(&first), [(0, Kind::DrainStarted)]);
    settle_all(&mut desk, &first);
    assert_eq!(taken(&mut desk, &reboot_failed("n1", 1)), [(0, Kind::RebootFailed)]);
    assert_eq!(taken(&mut desk, &entered("n1", 2, Phase::Done)), [(0, Kind::Rebooted)]);
}

#[test]
fn a_message_whose_policy_is_not_known_goes_to_every_policy_and_a_long_attempt_keeps_its_own() {
    let new = || Desk::new(Settings::parse(TWO_POLICIES).unwrap(), State::default());
    // The state is lost, and the first event of the attempt is acknowledged.
    let failed = taken(&mut new(), &entered("n1", 5, Phase::Failed));
    assert_eq!(failed, [0, 1].map(|target| (target, Kind::AttemptFailed)));
    // No policy governs the node, which is known.
    let mut desk = new();
    assert_eq!(taken(&mut desk, &start_of("")), []);
    assert_eq!(taken(&mut desk, &entered("n1", 5, Phase::Failed)), []);
    // A phase that lasts longer than events count.
    let mut desk = new();
    let first = desk.handle_event(&start_of("nights"), at(0), at(0));
    settle_all(&mut desk, &first);
    let stuck = desk.handle_time(at(25 * 60));
    settle_all(&mut desk, &stuck);
    let failed = taken(&mut desk, &entered("n1", 25 * 60, Phase::Failed));
    assert_eq!(failed, [(0, Kind::AttemptFailed)]);
}
