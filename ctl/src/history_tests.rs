use bellwether_proto::chain::with;
use bellwether_proto::{AttemptEnd, AttemptId, AttemptStart, Cause, GateHeld, Generation, Phase, StartOrder, encode};

use super::*;

fn event(second: i64, to: Phase, cause: Option<Cause>) -> NodeEvent {
    let at = Timestamp::from_second(second).unwrap();
    NodeEvent {
        node: "worker-1".parse().unwrap(),
        attempt: AttemptId::new(&"u".parse().unwrap(), Generation(1), Timestamp::UNIX_EPOCH),
        generation: Generation(1),
        at,
        source: "scheduler 0.1.0".to_owned(),
        fact: Fact::PhaseChanged {
            from: None,
            to,
            message: "a, b".to_owned(),
            link: None,
            cause,
            detail: None,
        },
    }
}

/// A chain of three events: its head, and the bodies.
fn chain() -> (wire::HistoryHead, Vec<Vec<u8>>) {
    let mut chain = with(None, event(0, Phase::Draining, None));
    let rest = [
        event(60, Phase::RollingBack, Some(Cause::Operator)),
        event(120, Phase::Cancelled, Some(Cause::Operator)),
    ];
    for event in rest {
        chain = with(Some(chain), event);
    }
    let head = wire::HistoryHead {
        node: "worker-1".to_owned(),
        sequence: chain.sequence,
        hash: chain.hash.bytes().to_vec(),
        unpublished: Vec::new(),
        has_left: false,
    };
    (head, chain.unpublished)
}

fn trail(head: &wire::HistoryHead, bodies: &[Vec<u8>]) -> History {
    let mut trail = History::default();
    trail.before(head);
    for (place, body) in (10..).zip(bodies) {
        trail.event(wire::HistoryEvent {
            node: "worker-1".to_owned(),
            place,
            stored_at: None,
            body: body.clone(),
        });
    }
    trail.after(head);
    trail
}

#[test]
fn the_events_are_listed_in_each_form_and_since_a_time() {
    let (head, bodies) = chain();
    let trail = trail(&head, &bodies);
    let table = events(&trail, None, TrailForm::Table).unwrap();
    assert_eq!(
        table,
        "TIME                   NODE       PHASE         CAUSE      BY   MESSAGE\n\
         1970-01-01T00:00:00Z   worker-1   Draining      -          -    a, b\n\
         1970-01-01T00:01:00Z   worker-1   RollingBack   Operator   -    a, b\n\
         1970-01-01T00:02:00Z   worker-1   Cancelled     Operator   -    a, b\n"
    );
    let since = Timestamp::from_second(100).unwrap();
    assert_eq!(
        events(&trail, Some(since), TrailForm::Csv).unwrap(),
        "time,node,phase,cause,by,message\n1970-01-01T00:02:00Z,worker-1,Cancelled,Operator,,\"a, b\"\n"
    );
    let list: serde_json::Value = serde_json::from_str(&events(&trail, None, TrailForm::Json).unwrap()).unwrap();
    assert_eq!(list["events"][1]["sequence"], 2);
    assert_eq!(list["events"][1]["place"], 11);
    assert_eq!(list["events"][1]["hash"], EventHash::of(&bodies[1]).to_string());
}

#[test]
fn a_whole_chain_holds_and_states_what_has_left_the_stream_or_waits() {
    let (head, bodies) = chain();
    let shown = |trail: &History| verdicts(&trail.verify(), TrailForm::Csv).unwrap();
    assert!(shown(&trail(&head, &bodies)).ends_with("worker-1,3,Holds,,\n"));
    let shortened = shown(&trail(&head, &bodies[1..]));
    assert!(
        shortened.contains("Holds,,older events have left the stream"),
        "{shortened}"
    );
    let waits = wire::HistoryHead {
        unpublished: bodies[1..].to_vec(),
        ..head
    };
    let waiting = shown(&trail(&waits, &bodies[..2]));
    assert!(waiting.contains("3,Holds,,1 events wait in the record"), "{waiting}");
}

#[test]
fn events_that_have_left_the_stream_for_their_age_are_no_break_and_missing_ones_are() {
    let (head, bodies) = chain();
    let shown =
        |head: &wire::HistoryHead, bodies: &[Vec<u8>]| verdicts(&trail(head, bodies).verify(), TrailForm::Csv).unwrap();
    let missing = shown(&head, &[]);
    assert!(missing.contains("HeadMissing"), "{missing}");
    let quiet = wire::HistoryHead { has_left: true, ..head };
    let left = shown(&quiet, &[]);
    assert!(left.contains("0,Holds,,all events have left the stream"), "{left}");
    // The newest event is missing, and older ones are there: no age explains that.
    let cut = shown(&quiet, &bodies[..2]);
    assert!(cut.contains("HeadMissing"), "{cut}");
}

#[test]
fn a_break_is_shown_with_its_code_and_place() {
    let (head, mut bodies) = chain();
    bodies.remove(1);
    let verdicts = trail(&head, &bodies).verify();
    assert!(!verdicts.iter().all(Verdict::holds));
    let shown = super::verdicts(&verdicts, TrailForm::Csv).unwrap();
    assert!(
        shown.contains("worker-1,2,EventMissing,11,event 3 comes after event 1"),
        "{shown}"
    );
    let forged = encode(&event(180, Phase::Draining, None)).payload;
    let (_, mut bodies) = chain();
    bodies.push(forged);
    let shown = super::verdicts(&trail(&head, &bodies).verify(), TrailForm::Json).unwrap();
    let list: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(list["chains"][0]["faults"][0]["code"], "EventUnlinked");
}

/// An attempt that began at this second for a need at the other, and ended: its two events.
fn reboot(number: u64, need: i64, began: i64, ended: i64, to: Phase, kernel: &str) -> [NodeEvent; 2] {
    let at = |second| Timestamp::from_second(second).unwrap();
    let attempt = AttemptId::new(&"u".parse().unwrap(), Generation(number), Timestamp::UNIX_EPOCH);
    let cause = (to != Phase::Done).then_some(Cause::Operator);
    let [mut first, mut last] = [event(began, Phase::Draining, None), event(ended, to, cause)];
    (first.attempt, last.attempt) = (attempt, attempt);
    if let Fact::PhaseChanged { detail, .. } = &mut first.fact {
        let start = AttemptStart {
            policy: "nights".to_owned(),
            policy_generation: 2,
            need_first_since: Some(at(need)),
            held: vec![GateHeld {
                code: "OutsideWindow".to_owned(),
                message: "opens at 02:00".to_owned(),
                since: Some(at(need)),
                until: Some(at(began)),
                times: 1,
            }],
            order: Some(StartOrder {
                is_now: true,
                by: "anna".to_owned(),
                reason: "urgent".to_owned(),
                since: Some(at(need)),
            }),
            ..AttemptStart::default()
        };
        *detail = Some(Box::new(PhaseDetail {
            start: Some(start),
            ..PhaseDetail::default()
        }));
    }
    if let Fact::PhaseChanged { detail, .. } = &mut last.fact {
        let end = AttemptEnd {
            kernel_before: "6.12.47".to_owned(),
            kernel_after: kernel.to_owned(),
            ..AttemptEnd::default()
        };
        *detail = Some(Box::new(PhaseDetail {
            end: Some(end),
            ..PhaseDetail::default()
        }));
    }
    [first, last]
}

/// Two reboots, of 600 and 180 seconds from the need to the end, and an attempt between them that was cancelled.
pub(crate) fn trail_of_reboots() -> History {
    let events = [
        reboot(1, 0, 60, 600, Phase::Done, "6.12.48"),
        reboot(2, 1000, 1100, 1200, Phase::Cancelled, ""),
        reboot(3, 3420, 3480, 3600, Phase::Done, "6.12.49"),
    ];
    let mut trail = History::default();
    for (place, event) in (1..).zip(events.as_flattened()) {
        trail.event(wire::HistoryEvent {
            node: "worker-1".to_owned(),
            place,
            stored_at: None,
            body: encode(event).payload,
        });
    }
    trail
}

#[test]
fn an_event_states_policy_need_order_gates_and_kernels() {
    let shown = events(&trail_of_reboots(), None, TrailForm::Csv).unwrap();
    let mut lines = shown.lines().skip(1);
    assert_eq!(
        lines.next(),
        Some(
            "1970-01-01T00:01:00Z,worker-1,Draining,,anna,\"a, b; policy nights (generation 2); needed for 60s; ordered \
             (now): urgent; held by OutsideWindow for 60s\""
        )
    );
    assert_eq!(
        lines.next(),
        Some("1970-01-01T00:10:00Z,worker-1,Done,,,\"a, b; kernel 6.12.47 -> 6.12.48\"")
    );
}
