//! When the messages of one target are sent, tried again and given up.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::answer::{Answer, Fault};
use crate::notification::{Kind, Notification, Severity};
use crate::outbox::{Ended, Next, Outbox, Settled};

const GIVE_UP: SignedDuration = SignedDuration::from_mins(10);
const SHARE: usize = 2;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn message(attempt: &str) -> Notification {
    Notification {
        kind: Kind::Rebooted,
        severity: Severity::Info,
        cluster: String::new(),
        policy: None,
        owners: BTreeSet::new(),
        node: attempt.to_owned(),
        attempt: attempt.to_owned(),
        occasion: String::new(),
        at: at(0),
        summary: "s".to_owned(),
        detail: String::new(),
        rollout: None,
    }
}

fn outbox(attempts: &[&str]) -> Outbox {
    let mut outbox = Outbox::new(60, GIVE_UP, SHARE, 1);
    for attempt in attempts {
        outbox.insert(at(0), message(attempt), None);
    }
    outbox
}

fn delivered() -> Answer {
    Answer::Delivered { thread: None }
}

fn sent(outbox: &Outbox, now: Timestamp) -> Option<String> {
    match outbox.next(now) {
        Next::Send { notification, .. } => Some(notification.attempt),
        Next::Wait(_) | Next::Idle => None,
    }
}

#[test]
fn messages_are_sent_in_their_order_at_the_pace_of_the_target_and_each_once() {
    let mut outbox = outbox(&["a", "b", "a"]);
    assert_eq!(outbox.len(), 2);
    assert_eq!(sent(&outbox, at(0)).as_deref(), Some("a"));
    let settled = outbox.handle_answer(at(0), &delivered());
    assert_eq!(settled.first().map(|it| it.ended), Some(Ended::Delivered));
    assert_eq!(outbox.next(at(0)), Next::Wait(at(1)));
    assert_eq!(sent(&outbox, at(1)).as_deref(), Some("b"));
    outbox.handle_answer(at(1), &delivered());
    assert_eq!(outbox.next(at(9)), Next::Idle);
}

#[test]
fn a_refusal_costs_one_message_and_a_fault_holds_all() {
    let mut outbox = outbox(&["a", "b"]);
    let refused = outbox.handle_answer(at(0), &Answer::Refused(Fault::MessageRefused));
    assert_eq!(
        refused.first().map(|it| it.ended),
        Some(Ended::Refused(Fault::MessageRefused))
    );
    assert_eq!(sent(&outbox, at(1)).as_deref(), Some("b"));
    let mut now = at(1);
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(outbox.handle_answer(now, &Answer::failed(Fault::Timeout)), []);
        let next = now.checked_add(SignedDuration::from_secs(wait)).unwrap();
        assert_eq!(outbox.next(now), Next::Wait(next));
        now = next;
        assert_eq!(sent(&outbox, now).as_deref(), Some("b"));
    }
    outbox.handle_answer(now, &delivered());
    assert!(outbox.is_empty());
}

#[test]
fn a_target_may_ask_for_a_longer_wait_up_to_a_limit() {
    for (asked, waited) in [(120, 120), (0, 1), (86_400, 900)] {
        let mut outbox = outbox(&["a"]);
        let retry_after = Some(SignedDuration::from_secs(asked));
        let fault = Fault::TooMany;
        outbox.handle_answer(at(0), &Answer::Failed { fault, retry_after });
        assert_eq!(outbox.next(at(0)), Next::Wait(at(waited)));
    }
}

#[test]
fn what_a_target_does_not_take_is_given_up_with_all_that_is_as_old() {
    let mut outbox = outbox(&["a", "b"]);
    outbox.insert(at(500), message("c"), None);
    assert_eq!(outbox.handle_answer(at(599), &Answer::failed(Fault::NotFound)), []);
    let settled = outbox.handle_answer(at(600), &Answer::failed(Fault::NotFound));
    let given_up: Vec<_> = settled
        .iter()
        .map(|it| (it.notification.attempt.as_str(), it.ended))
        .collect();
    assert_eq!(given_up, ["a", "b"].map(|it| (it, Ended::GaveUp(Fault::NotFound))));
    assert_eq!(outbox.len(), 1);
}

#[test]
fn a_message_whose_thread_is_gone_is_sent_again_after_a_pause_and_given_up_in_the_end() {
    let mut outbox = outbox(&["a"]);
    for (now, wait) in [(0, 1), (1, 2), (3, 4)] {
        assert_eq!(sent(&outbox, at(now)).as_deref(), Some("a"));
        assert_eq!(outbox.handle_answer(at(now), &Answer::ThreadGone), []);
        assert_eq!(outbox.next(at(now)), Next::Wait(at(now + wait)));
    }
    let settled = outbox.handle_answer(at(600), &Answer::ThreadGone);
    assert_eq!(settled.first().map(|it| it.ended), Some(Ended::GaveUp(Fault::NotFound)));
}

#[test]
fn an_event_waits_for_the_messages_that_it_brought_and_for_no_other_one() {
    let mut outbox = outbox(&[]);
    assert!(outbox.insert(at(0), message("a"), Some(1)));
    assert!(!outbox.insert(at(0), message("a"), Some(2)), "the first event waits");
    assert!(outbox.insert(at(0), message("a"), Some(1)), "its event again");
    assert!(!outbox.insert(at(0), message("b"), None), "no event");
    assert!(!outbox.insert(at(0), message("b"), None), "still no event");
}

#[test]
fn no_more_events_than_its_share_wait_for_a_target_and_further_messages_are_sent_as_well() {
    let mut outbox = outbox(&[]);
    let mut insert = |attempt: &str, event| outbox.insert(at(0), message(attempt), Some(event));
    assert!(insert("a", 1) && insert("b", 2));
    assert!(!insert("c", 3), "above the share");
    assert!(insert("d", 2), "an event that waits anyway");
    for (second, attempt) in [(0, "a"), (1, "b"), (2, "c"), (3, "d")] {
        assert_eq!(sent(&outbox, at(second)).as_deref(), Some(attempt));
        outbox.handle_answer(at(second), &delivered());
    }
    assert!(outbox.insert(at(9), message("e"), Some(4)), "places are free again");
}

#[test]
fn a_message_that_is_too_old_is_given_up_before_it_is_sent_also_at_a_target_that_is_only_slow() {
    let mut outbox = outbox(&["a"]);
    outbox.insert(at(1), message("b"), None);
    assert_eq!(outbox.handle_time(at(599)), []);
    let ended = |settled: &[Settled]| settled.iter().map(|it| it.ended).collect::<Vec<_>>();
    assert_eq!(ended(&outbox.handle_time(at(600))), [Ended::GaveUp(Fault::Crowded)]);
    outbox.handle_answer(at(600), &Answer::failed(Fault::Timeout));
    assert_eq!(ended(&outbox.handle_time(at(601))), [Ended::GaveUp(Fault::Timeout)]);
    assert_eq!(outbox.next(at(601)), Next::Idle);
}

#[test]
fn what_waits_has_a_limit_above_which_the_oldest_is_given_up() {
    let mut outbox = outbox(&[]);
    for number in 0..1001 {
        outbox.insert(at(0), message(&number.to_string()), None);
    }
    let settled = outbox.handle_time(at(0));
    let given_up: Vec<_> = settled.iter().map(|it| it.notification.attempt.as_str()).collect();
    assert_eq!((given_up, outbox.len()), (vec!["0"], 1000));
}

/// Answers in turn at a target with three recipients; the recipients of the tries, and how the message ended.
fn tried(answers: &[Answer]) -> (Vec<usize>, Option<Ended>) {
    let mut outbox = Outbox::new(60, GIVE_UP, SHARE, 3);
    outbox.insert(at(0), message("a"), None);
    let (mut now, mut recipients) = (at(0), vec![]);
    for answer in answers {
        if let Next::Wait(until) = outbox.next(now) {
            now = until;
        }
        let Next::Send { recipient, .. } = outbox.next(now) else {
            panic!("{outbox:?}");
        };
        recipients.push(recipient);
        if let Some(settled) = outbox.handle_answer(now, answer).first() {
            return (recipients, Some(settled.ended));
        }
    }
    (recipients, None)
}

#[test]
fn each_recipient_has_its_own_outcome_and_gets_a_message_once() {
    let refused = || Answer::Refused(Fault::MessageRefused);
    let later = || Answer::failed(Fault::ServerFault);
    for (answers, recipients, ended) in [
        (vec![delivered(), delivered()], vec![0, 1], None),
        (
            vec![refused(), delivered(), delivered()],
            vec![0, 1, 2],
            Some(Ended::Delivered),
        ),
        (
            vec![delivered(), delivered(), refused()],
            vec![0, 1, 2],
            Some(Ended::Delivered),
        ),
        (
            vec![refused(), refused(), refused()],
            vec![0, 1, 2],
            Some(Ended::Refused(Fault::MessageRefused)),
        ),
        (
            vec![delivered(), later(), delivered(), later(), delivered()],
            vec![0, 1, 2, 1, 1],
            Some(Ended::Delivered),
        ),
    ] {
        assert_eq!(tried(&answers), (recipients, ended), "{answers:?}");
    }
}

proptest! {
    #[test]
    fn no_course_of_answers_loses_or_doubles_a_message(answers in proptest::collection::vec(0_u8..4, 0..80)) {
        let mut outbox = outbox(&["a", "b", "c"]);
        let (mut now, mut settled) = (at(0), Vec::new());
        let to_the_end = std::iter::repeat_n(0, 3);
        for answer in answers.into_iter().chain(to_the_end) {
            match outbox.next(now) {
                Next::Idle => break,
                Next::Wait(until) => {
                    prop_assert!(until > now);
                    now = until;
                }
                Next::Send { .. } => (),
            }
            let answer = match answer {
                0 => delivered(),
                1 => Answer::Refused(Fault::MessageRefused),
                2 => Answer::ThreadGone,
                _ => Answer::failed(Fault::ServerFault),
            };
            settled.extend(outbox.handle_answer(now, &answer));
        }
        let mut names: Vec<_> = settled.into_iter().map(|it| it.notification.attempt).collect();
        names.sort();
        prop_assert_eq!(names, ["a", "b", "c"]);
    }
}

#[test]
fn more_or_fewer_recipients_than_before_have_each_message_that_waits() {
    let mut outbox = outbox(&["a", "b"]);
    assert!(!outbox.set_recipients(1));
    assert!(outbox.set_recipients(3));
    let recipient = |outbox: &Outbox, now| match outbox.next(now) {
        Next::Send { recipient, .. } => Some(recipient),
        Next::Wait(_) | Next::Idle => None,
    };
    for (second, expected) in [(0, 0), (1, 1)] {
        assert_eq!(recipient(&outbox, at(second)), Some(expected));
        assert!(outbox.handle_answer(at(second), &delivered()).is_empty());
    }
    // The one that is left may stand at the first place now.
    assert!(outbox.set_recipients(1));
    assert_eq!(recipient(&outbox, at(2)), Some(0));
    let settled = outbox.handle_answer(at(2), &Answer::Refused(Fault::MessageRefused));
    assert_eq!(settled.first().map(|it| it.ended), Some(Ended::Delivered), "two had it");
    assert_eq!(sent(&outbox, at(3)).as_deref(), Some("b"));
    assert_eq!(outbox.handle_answer(at(3), &delivered()).len(), 1);
}
