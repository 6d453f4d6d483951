//! Tests of the permit: records in, refusals out, and when the record is read.

use super::*;
use bellwether_proto::{AttemptId, AttemptRef, Generation, NodeUid};

#[test]
fn d1_only_a_record_in_phase_draining_authorises_a_drain() {
    let drain = command(Task::Drain {
        not_after: Timestamp::MAX,
    });
    assert!(judge(&drain, stored(record(|_| ()))).is_ok());
    for phase in Phase::ALL {
        let agrees = judge(&drain, stored(record(|record| record.phase = phase))).is_ok();
        assert_eq!(agrees, phase == Phase::Draining, "{phase:?}");
    }
}

#[test]
fn d1_a_command_of_an_older_generation_or_another_attempt_is_stale() {
    let drain = command(Task::Drain {
        not_after: Timestamp::MAX,
    });
    let other = AttemptId::new(&"u".parse().unwrap(), Generation(3), Timestamp::MAX);
    let changes: [fn(&mut Attempt, AttemptId); 3] = [
        |record, _| record.generation = Generation(4),
        |record, other| record.id = other,
        // A newcomer of the same name (D43).
        |record, _| record.node_uid = "v".parse().unwrap(),
    ];
    for change in changes {
        let judged = judge(&drain, stored(record(|record| change(record, other))));
        assert!(judged.unwrap_err().is_final());
    }
}

#[test]
fn a_record_that_lags_behind_the_command_refuses_only_for_now() {
    let drain = command(Task::Drain {
        not_after: Timestamp::MAX,
    });
    for lagging in [
        RecordView::Absent,
        stored(record(|record| record.generation = Generation(2))),
    ] {
        let error = judge(&drain, lagging).unwrap_err();
        assert!(matches!(error, Refusal::Behind(_)), "{error}");
        assert!(!error.is_final());
    }
}

#[test]
fn an_uncordon_is_authorised_on_the_way_back_and_after_a_failure() {
    for phase in Phase::ALL {
        let agrees = judge(&command(Task::Uncordon), stored(record(|record| record.phase = phase))).is_ok();
        let wanted = matches!(phase, Phase::Uncordoning | Phase::RollingBack | Phase::Failed);
        assert_eq!(agrees, wanted, "{phase:?}");
    }
}

fn stored(record: Attempt) -> RecordView {
    RecordView::Stored(Box::new(record))
}

fn command(task: Task) -> Command {
    Command {
        attempt: AttemptRef::from(&record(|_| ())),
        task,
    }
}

fn record(change: impl FnOnce(&mut Attempt)) -> Attempt {
    let node_uid: NodeUid = "u".parse().unwrap();
    let attempt = AttemptRef {
        node: "n1".parse().unwrap(),
        attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
        node_uid,
        generation: Generation(3),
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut record = Attempt::new(
        attempt,
        "b".parse().unwrap(),
        Timestamp::UNIX_EPOCH,
        trace.parse().unwrap(),
    );
    change(&mut record);
    record
}

#[test]
fn a_read_that_began_before_the_step_asked_does_not_count() {
    let (mut permit, mut ids) = (permit(), RequestIds::default());
    permit.handle_hint();
    let first = permit.poll_read(at(0), &mut ids).unwrap();
    let ticket = permit.want();
    assert_eq!(permit.poll_read(at(0), &mut ids), None, "one read at a time");
    assert_eq!(permit.handle_record(first, stored(record(|_| ()))), None);
    assert_eq!(permit.result(ticket), None);
    let second = permit.poll_read(at(0), &mut ids).unwrap();
    assert_eq!(permit.handle_record(second, stored(record(|_| ()))), None);
    assert_eq!(permit.result(ticket), Some(&Ok(())));
}

#[test]
fn an_unreadable_record_stops_evictions_after_half_a_minute_and_other_steps_at_once() {
    let (mut permit, mut ids) = (permit(), RequestIds::default());
    let ticket = permit.want();
    let id = permit.poll_read(at(1), &mut ids).unwrap();
    let silent = RecordView::Unreadable("no answer".to_owned());
    assert_eq!(permit.handle_record(id, silent), None);
    let refused = Err(Refusal::Unreadable("no answer".to_owned()));
    assert_eq!(permit.result(ticket), Some(&refused));
    assert_eq!(permit.result_for_evictions(ticket, at(30)), Some(Ok(())));
    assert_eq!(permit.result_for_evictions(ticket, at(31)), Some(refused));
}

#[test]
fn the_record_is_read_at_once_after_a_hint_and_every_five_seconds() {
    let (mut permit, mut ids) = (permit(), RequestIds::default());
    assert_eq!(
        (permit.poll_read(at(4), &mut ids), permit.next_read_at()),
        (None, Some(at(5)))
    );
    let id = permit.poll_read(at(5), &mut ids).unwrap();
    assert_eq!(permit.next_read_at(), None, "one is under way");
    assert_eq!(permit.handle_record(id, stored(record(|_| ()))), None);
    assert_eq!(permit.next_read_at(), Some(at(10)));
    assert_eq!(permit.poll_read(at(6), &mut ids), None);
    permit.handle_hint();
    assert!(permit.poll_read(at(6), &mut ids).is_some());
}

#[test]
fn a_read_that_seems_to_be_of_the_future_authorises_no_eviction() {
    let (mut permit, mut ids) = (permit_of(at(100)), RequestIds::default());
    let ticket = permit.want();
    let id = permit.poll_read(at(50), &mut ids).unwrap();
    let silent = RecordView::Unreadable("no answer".to_owned());
    assert_eq!(permit.handle_record(id, silent), None);
    assert!(matches!(permit.result_for_evictions(ticket, at(50)), Some(Err(_))));
}

#[test]
fn the_record_is_read_when_the_clock_is_set_back() {
    let (mut permit, mut ids) = (permit_of(at(100)), RequestIds::default());
    assert_eq!(permit.poll_read(at(100), &mut ids), None);
    assert!(permit.poll_read(at(50), &mut ids).is_some());
}

fn permit() -> Permit {
    permit_of(at(0))
}

fn permit_of(authorised_at: Timestamp) -> Permit {
    let drain = Task::Drain {
        not_after: Timestamp::MAX,
    };
    Permit::new(command(drain), authorised_at)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
