//! Messages about policies: nodes that are held, and openings that are too short.

use bellwether_proto::{FleetEvent, FleetFact, PolicyQueue, Queues};
use jiff::{SignedDuration, Timestamp};

use crate::desk::{Desk, Routed, State};
use crate::notification::{Kind, Notification};
use crate::settings::Settings;

const CONFIG: &str = "
heldAfter: 24h
targets:
  - name: all
    webhook: { url: 'https://x.example/' }
  - name: other
    webhook: { url: 'https://y.example/' }
routes:
  - targets: [all]
  - targets: [other]
    policies: [other]
";

fn desk() -> Desk {
    Desk::new(Settings::parse(CONFIG).unwrap(), State::default())
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
}

/// The oldest need of the policy is of this hour.
fn queue(oldest: i64, left_over: u32) -> PolicyQueue {
    PolicyQueue {
        policy: "nights".to_owned(),
        nodes: 7,
        oldest_since: at(oldest),
        oldest_node: "n1".parse().unwrap(),
        code: "WindowShut".to_owned(),
        message: "outside the windows".to_owned(),
        left_over,
        left_over_nodes: vec!["n6".to_owned(), "n7".to_owned()],
        opening_ends_at: Some(at(100)),
    }
}

fn give(desk: &mut Desk, hour: i64, queues: Vec<PolicyQueue>) {
    let event = FleetEvent {
        at: at(hour),
        source: "test".to_owned(),
        fact: FleetFact::QueuesChanged(Queues {
            policies: queues,
            undrainable: Vec::new(),
        }),
    };
    desk.handle_fleet_event(&event, at(hour));
}

/// What is due now, which the targets take.
fn due(desk: &mut Desk, now: Timestamp) -> Vec<Notification> {
    let routed = desk.handle_time(now);
    for Routed { target, notification } in &routed {
        assert_eq!(*target, 0, "the other target is of another policy");
        desk.settled(*target, notification);
    }
    let notifications = routed.into_iter().map(|it| it.notification);
    notifications.collect()
}

fn kinds(notifications: &[Notification]) -> Vec<Kind> {
    notifications.iter().map(|it| it.kind).collect()
}

#[test]
fn nodes_that_are_held_are_one_message_for_as_long_as_any_is() {
    let mut desk = desk();
    give(&mut desk, 1, vec![queue(0, 0)]);
    assert_eq!(desk.poll_timeout(), Some(at(24)));
    assert_eq!(due(&mut desk, at(23)), []);
    let held = due(&mut desk, at(24));
    let [message] = held.as_slice() else {
        panic!("{held:?}");
    };
    assert_eq!(
        (message.kind, message.policy.as_deref()),
        (Kind::NodesHeld, Some("nights"))
    );
    assert!(
        message
            .summary
            .starts_with("Policy nights: n1 has needed a reboot since"),
        "{message:?}"
    );
    assert_eq!(message.detail, "n1: it waits (WindowShut): outside the windows");
    // The next one is held too, and another leader states the same.
    give(&mut desk, 30, vec![queue(5, 0)]);
    give(&mut desk, 31, vec![queue(6, 0)]);
    let state = serde_json::to_string(desk.state()).unwrap();
    let mut desk = Desk::new(Settings::parse(CONFIG).unwrap(), serde_json::from_str(&state).unwrap());
    assert_eq!(due(&mut desk, at(32)), []);
    // None is held any more; after that one is again.
    give(&mut desk, 33, vec![queue(20, 0)]);
    assert_eq!(due(&mut desk, at(43)), []);
    assert_eq!(kinds(&due(&mut desk, at(44))), [Kind::NodesHeld]);
    give(&mut desk, 45, vec![]);
    assert_eq!(desk.poll_timeout(), None);
}

#[test]
fn an_opening_that_is_too_short_for_minutes_is_one_message() {
    let mut desk = desk();
    let minute = |minutes| at(1).checked_add(SignedDuration::from_mins(minutes)).unwrap();
    give(&mut desk, 1, vec![queue(0, 12)]);
    assert_eq!(due(&mut desk, minute(4)), []);
    let short = due(&mut desk, minute(5));
    let [message] = short.as_slice() else {
        panic!("{short:?}");
    };
    assert_eq!(message.kind, Kind::WindowTooShort);
    assert!(message.summary.ends_with(": 12"), "{message:?}");
    assert_eq!(message.detail, "n6, n7 and 10 more");
    give(&mut desk, 2, vec![queue(0, 11)]);
    assert_eq!(due(&mut desk, at(3)), []);
    // The forecast changes for a moment.
    let next = |left_over| PolicyQueue {
        opening_ends_at: Some(at(200)),
        ..queue(0, left_over)
    };
    give(&mut desk, 4, vec![next(1)]);
    give(&mut desk, 5, vec![next(0)]);
    assert_eq!(due(&mut desk, at(5)), []);
    give(&mut desk, 6, vec![next(3)]);
    assert_eq!(kinds(&due(&mut desk, at(7))), [Kind::WindowTooShort]);
}

#[test]
fn an_event_of_the_fleet_counts_whatever_its_age_and_not_before_the_stream_has_it() {
    let mut desk = desk();
    // The notifier was away for days, and nothing has changed since.
    give(&mut desk, 0, vec![queue(-1, 0)]);
    assert_eq!(kinds(&due(&mut desk, at(24 * 9))), [Kind::NodesHeld]);
    // A host's clock is ahead.
    give(&mut desk, 24 * 10, vec![queue(24 * 300, 0)]);
    assert_eq!(desk.poll_timeout(), Some(at(24 * 11)));
}

#[test]
fn a_late_copy_of_an_event_changes_nothing_also_after_a_restart() {
    let mut desk = desk();
    give(&mut desk, 1, vec![queue(0, 0)]);
    give(&mut desk, 2, vec![]);
    let state = serde_json::to_string(desk.state()).unwrap();
    let mut desk = Desk::new(Settings::parse(CONFIG).unwrap(), serde_json::from_str(&state).unwrap());
    give(&mut desk, 1, vec![queue(0, 0)]);
    assert_eq!(desk.poll_timeout(), None);
    give(&mut desk, 3, vec![queue(0, 0)]);
    assert_eq!(desk.poll_timeout(), Some(at(24)));
}

#[test]
fn windows_that_never_open_are_a_message_each_time_that_it_is_so() {
    let mut desk = desk();
    let never = || PolicyQueue {
        opening_ends_at: None,
        ..queue(0, 2)
    };
    let mut short = |hour, left_over| {
        give(&mut desk, hour, vec![left_over]);
        kinds(&due(
            &mut desk,
            at(hour).checked_add(SignedDuration::from_mins(30)).unwrap(),
        ))
    };
    assert_eq!(short(1, never()), [Kind::WindowTooShort]);
    assert_eq!(short(2, never()), [], "as before");
    assert_eq!(short(3, queue(0, 0)), []);
    assert_eq!(short(4, never()), [Kind::WindowTooShort]);
    // An opening lies in between.
    assert_eq!(short(5, queue(0, 2)), [Kind::WindowTooShort]);
    assert_eq!(short(6, never()), [Kind::WindowTooShort]);
    assert_eq!(short(7, queue(0, 2)), [], "the same opening");
}

#[test]
fn a_field_of_another_form_is_lost_alone() {
    let mut desk = desk();
    give(&mut desk, 1, vec![queue(0, 0)]);
    assert_eq!(kinds(&due(&mut desk, at(24))), [Kind::NodesHeld]);
    let mut kept = serde_json::to_value(desk.state()).unwrap();
    assert_eq!(
        State::read(kept.to_string().as_bytes()).unwrap(),
        (desk.state().clone(), vec![])
    );
    kept["named"] = serde_json::json!([1]);
    kept["later"] = serde_json::json!("a field of a later version");
    let (state, lost) = State::read(kept.to_string().as_bytes()).unwrap();
    assert_eq!((&state, lost), (desk.state(), vec!["named"]));
    assert!(State::read(b"[]").is_err());
}
