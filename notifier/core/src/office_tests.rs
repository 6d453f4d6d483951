//! Desk and outboxes together: no message is lost or sent twice between them, and no target takes the events of another.

use bellwether_proto::{AttemptId, Fact, Generation, NodeEvent, Phase};
use jiff::Timestamp;

use crate::answer::{Answer, Fault};
use crate::desk::State;
use crate::office::{Office, Placed};
use crate::outbox::Next;
use crate::settings::Settings;

const CONFIG: &str = "
targets:
  - name: dead
    webhook: { url: 'https://x.example/' }
  - name: well
    webhook: { url: 'https://y.example/' }
routes:
  - targets: [dead, well]
    kinds: [AttemptFailed, RolloutEnded]
";

fn office(events_max: usize) -> Office {
    Office::new(Settings::parse(CONFIG).unwrap(), State::default(), events_max)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn failed(node: &str) -> NodeEvent {
    NodeEvent {
        node: node.parse().unwrap(),
        attempt: AttemptId::new(&node.parse().unwrap(), Generation(1), Timestamp::UNIX_EPOCH),
        generation: Generation(1),
        at: at(0),
        source: "test".to_owned(),
        fact: Fact::PhaseChanged {
            from: None,
            to: Phase::Failed,
            message: String::new(),
            link: None,
            cause: None,
            detail: None,
        },
    }
}

/// The targets that an event waits for.
fn awaited(placed: &[Placed]) -> Vec<usize> {
    placed.iter().filter(|it| it.is_awaited).map(|it| it.target).collect()
}

fn answered(office: &mut Office, target: usize, second: i64, answer: &Answer) {
    let (next, _) = office.next(target, at(second));
    let Next::Send { notification, .. } = next else {
        panic!("{next:?}");
    };
    office.handle_answer(target, &notification, answer, at(second));
}

#[test]
fn a_message_that_was_answered_is_not_brought_again_by_its_event() {
    let mut office = office(512);
    let event = failed("n1");
    assert_eq!(awaited(&office.handle_event(&event, (1, at(0)), at(0))), [0, 1]);
    // Under way: its event comes again after its ack wait, and the next leader publishes the step again.
    assert_eq!(awaited(&office.handle_event(&event, (1, at(0)), at(1))), [0, 1]);
    assert!(awaited(&office.handle_event(&event, (2, at(0)), at(1))).is_empty());
    answered(&mut office, 1, 1, &Answer::Delivered { thread: None });
    let again = office.handle_event(&event, (1, at(0)), at(1));
    assert_eq!(again.iter().map(|it| it.target).collect::<Vec<_>>(), [0]);
    assert_eq!(office.next(1, at(9)).0, Next::Idle);
}

#[test]
fn a_target_that_is_away_takes_its_share_of_the_events_and_leaves_the_rest_to_the_others() {
    let mut office = office(30);
    let mut held = 0;
    for number in 0..100 {
        let placed = office.handle_event(&failed(&format!("n{number}")), (number, at(0)), at(0));
        answered(
            &mut office,
            1,
            2 * i64::try_from(number).unwrap(),
            &Answer::Delivered { thread: None },
        );
        held += awaited(&placed).iter().filter(|target| **target == 0).count();
    }
    assert_eq!((held, office.waiting(0), office.waiting(1)), (10, 100, 0));
    // What waits for it is given up by its age, before a further try.
    answered(&mut office, 0, 300, &Answer::failed(Fault::Unreachable));
    let (next, aged) = office.next(0, at(900));
    assert_eq!((next, aged.len()), (Next::Idle, 100));
    assert_eq!(
        office.handle_event(&failed("n1"), (1, at(0)), at(901)),
        [],
        "it is settled"
    );
}

#[test]
fn nothing_is_due_by_the_clock_while_events_wait_that_were_not_read() {
    let hour = 3600;
    let mut office = office(512);
    office.handle_event(&failed("n1"), (1, at(0)), at(0));
    assert_eq!(office.handle_time(at(hour), true), []);
    // The rollout has continued while the notifier was away.
    let mut later = failed("n2");
    later.at = at(20 * 60);
    office.handle_event(&later, (2, later.at), at(hour));
    later.at = at(40 * 60);
    office.handle_event(&later, (3, later.at), at(hour));
    assert_eq!(
        office.handle_time(at(hour), false),
        [],
        "its last event is 20 minutes ago"
    );
    let ended = office.handle_time(at(2 * hour), false);
    assert_eq!(ended.len(), 2);
    assert!(ended.iter().all(|it| it.key.ends_with(":RolloutEnded")), "{ended:?}");
}
