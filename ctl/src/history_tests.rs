use bellwether_proto::chain::with;
use bellwether_proto::{
    AttemptEnd, AttemptId, AttemptStart, Cause, Fact, FleetOrder, GateHeld, Generation, NodeEvent, OrderChange,
    OrderChanged, OrderKind, OrderScope, Phase, PhaseDetail, StartOrder, encode,
};

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

fn play(trail: &mut impl Trail, head: &wire::HistoryHead, bodies: &[Vec<u8>]) {
    trail.before(head);
    for (place, body) in (10..).zip(bodies) {
        trail.event(wire::HistoryEvent {
            node: head.node.clone(),
            place,
            stored_at: None,
            body: body.clone(),
        });
    }
    trail.after(head);
}

fn verified(head: &wire::HistoryHead, bodies: &[Vec<u8>]) -> Vec<Verdict> {
    let mut verification = Verification::new(head.node.is_empty());
    play(&mut verification, head, bodies);
    verification.finish()
}

fn listed(head: &wire::HistoryHead, bodies: &[Vec<u8>], asked: Asked, form: TrailForm) -> String {
    let mut listing = Listing::new(asked);
    play(&mut listing, head, bodies);
    printed(&[listing.page()], form)
}

fn printed(pages: &[Vec<Entry>], form: TrailForm) -> String {
    let mut printer = Printer::new(form);
    let mut text = String::new();
    for page in pages {
        text.push_str(&printer.page(page).unwrap());
    }
    text + &printer.end()
}

#[test]
fn the_events_are_listed_in_each_form_and_of_a_span() {
    let (head, bodies) = chain();
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let table = listed(&head, &bodies, Asked::default(), TrailForm::Table);
    assert_eq!(
        table,
        "TIME                   NODE       PHASE         CAUSE      BY   MESSAGE\n\
         1970-01-01T00:00:00Z   worker-1   Draining      -          -    a, b\n\
         1970-01-01T00:01:00Z   worker-1   RollingBack   Operator   -    a, b\n\
         1970-01-01T00:02:00Z   worker-1   Cancelled     Operator   -    a, b\n"
    );
    let span = Asked {
        since: at(60),
        until: at(120),
        ..Asked::default()
    };
    assert_eq!(
        listed(&head, &bodies, span, TrailForm::Csv),
        "time,node,phase,cause,by,message\n1970-01-01T00:01:00Z,worker-1,RollingBack,Operator,,\"a, b\"\n"
    );
    let list = listed(&head, &bodies, Asked::default(), TrailForm::Json);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["events"][1]["sequence"], 2);
    assert_eq!(list["events"][1]["place"], 11);
    assert_eq!(list["events"][1]["hash"], EventHash::of(&bodies[1]).to_string());
}

#[test]
fn several_pages_are_one_list_in_each_form() {
    let (head, bodies) = chain();
    let mut listing = Listing::default();
    play(&mut listing, &head, &bodies);
    let whole = listing.page();
    let pages = [whole[..2].to_vec(), Vec::new(), whole[2..].to_vec()];
    for form in [TrailForm::Csv, TrailForm::Json] {
        assert_eq!(
            printed(&pages, form),
            printed(std::slice::from_ref(&whole), form),
            "{form:?}"
        );
    }
    let none: serde_json::Value = serde_json::from_str(&printed(&[], TrailForm::Json)).unwrap();
    assert_eq!(none["events"], serde_json::json!([]));
    assert!(printed(&[], TrailForm::Csv).starts_with("time,node"));
}

#[test]
fn an_event_that_waits_is_listed_once() {
    let (head, bodies) = chain();
    let waits = wire::HistoryHead {
        unpublished: bodies[1..].to_vec(),
        ..head
    };
    let list = listed(&waits, &bodies[..2], Asked::default(), TrailForm::Json);
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let places: Vec<_> = list["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["place"].as_u64())
        .collect();
    assert_eq!(places, [Some(10), Some(11), None]);
}

fn order(kind: OrderKind, scope: OrderScope, by: &str) -> FleetOrder {
    FleetOrder {
        kind,
        scope,
        by: by.to_owned(),
        reason: "disks".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        until: None,
    }
}

/// The chain of orders: a hold, a pause in place of another one, and the end of a wait.
fn orders() -> (wire::HistoryHead, Vec<Vec<u8>>) {
    let changed = |change, by: &str| OrderChanged {
        at: Timestamp::from_second(60).unwrap(),
        source: "scheduler 0.1.0".to_owned(),
        link: None,
        change,
        by: by.to_owned(),
        reason: "disks".to_owned(),
        given: None,
        ended: Vec::new(),
        node: None,
    };
    let node = OrderScope::Node("worker-1".parse().unwrap());
    let hold = OrderChanged {
        given: Some(order(OrderKind::Block, node, "anna")),
        ..changed(OrderChange::Given, "anna")
    };
    let pause = OrderChanged {
        given: Some(order(OrderKind::Block, OrderScope::Fleet, "ben")),
        ended: vec![order(OrderKind::Block, OrderScope::Fleet, "anna")],
        ..changed(OrderChange::Given, "ben")
    };
    let cancel = OrderChanged {
        node: Some("worker-2".parse().unwrap()),
        ..changed(OrderChange::WaitEnded, "cleo")
    };
    let chain = [hold, pause, cancel]
        .into_iter()
        .fold(None, |chain, event| Some(with(chain, event)));
    let chain = chain.unwrap();
    let head = wire::HistoryHead {
        node: String::new(),
        sequence: chain.sequence,
        hash: chain.hash.bytes().to_vec(),
        unpublished: Vec::new(),
        has_left: false,
    };
    (head, chain.unpublished)
}

#[test]
fn orders_are_listed_with_their_operator_and_those_before_and_of_a_node_only_its_own() {
    let (head, bodies) = orders();
    assert_eq!(
        listed(&head, &bodies, Asked::default(), TrailForm::Csv),
        "time,node,phase,cause,by,message\n\
         1970-01-01T00:01:00Z,worker-1,OrderGiven,,anna,hold of node worker-1; disks\n\
         1970-01-01T00:01:00Z,,OrderGiven,,ben,pause of all nodes; in place of pause of all nodes by anna; disks\n\
         1970-01-01T00:01:00Z,worker-2,WaitEnded,,cleo,disks\n"
    );
    let of_node = Asked {
        node: Some("worker-2".to_owned()),
        ..Asked::default()
    };
    let list: serde_json::Value = serde_json::from_str(&listed(&head, &bodies, of_node, TrailForm::Json)).unwrap();
    let events = list["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["order"]["change"]), (1, &"WaitEnded".into()));
}

#[test]
fn orders_that_ended_together_are_listed_for_each_of_their_nodes_and_by_no_operator_if_there_are_several() {
    let of_node = |node: &str| OrderScope::Node(node.parse().unwrap());
    let ended = |by: [&str; 2], scopes: [OrderScope; 2]| OrderChanged {
        at: Timestamp::from_second(60).unwrap(),
        source: "scheduler 0.1.0".to_owned(),
        link: None,
        change: OrderChange::TimeOver,
        by: by[0].to_owned(),
        reason: "the time of the order is over".to_owned(),
        given: None,
        ended: scopes
            .into_iter()
            .zip(by)
            .map(|(scope, by)| order(OrderKind::Block, scope, by))
            .collect(),
        node: None,
    };
    let (head, _) = orders();
    let shown = |event: &OrderChanged, node: &str| {
        let asked = Asked {
            node: Some(node.to_owned()),
            ..Asked::default()
        };
        let list = listed(&head, &[encode(event).payload], asked, TrailForm::Csv);
        let row = list.lines().nth(1)?.to_owned();
        Some(row.split(',').skip(1).take(4).collect::<Vec<_>>().join(","))
    };
    let of_two = ended(["anna", "ben"], [of_node("worker-1"), of_node("worker-2")]);
    for node in ["worker-1", "worker-2"] {
        assert_eq!(shown(&of_two, node).as_deref(), Some(",OrderTimeOver,,"), "{node}");
    }
    assert_eq!(shown(&of_two, "worker-3"), None);
    let of_one = ended(["anna", "anna"], [of_node("worker-1"), of_node("worker-1")]);
    assert_eq!(
        shown(&of_one, "worker-1").as_deref(),
        Some("worker-1,OrderTimeOver,,anna")
    );
    let mixed = ended(["anna", "anna"], [OrderScope::Fleet, of_node("worker-2")]);
    assert_eq!(shown(&mixed, "worker-2").as_deref(), Some(",OrderTimeOver,,anna"));
    assert_eq!(shown(&mixed, "worker-1"), None);
}

#[test]
fn orders_whose_chain_the_scheduler_does_not_send_are_not_verified_and_no_order_yet_holds() {
    let (head, bodies) = chain();
    let mut verification = Verification::new(true);
    play(&mut verification, &head, &bodies);
    let verdicts_of_older = verification.finish();
    assert!(!verdicts_of_older.iter().all(Verdict::holds));
    let shown = verdicts(&verdicts_of_older, TrailForm::Csv).unwrap();
    assert!(
        shown.contains("FLEET,0,NotVerified,,the scheduler sends no chain of the orders"),
        "{shown}"
    );
    assert!(shown.contains("worker-1,3,Holds"), "{shown}");
    // Of one node alone the orders are not verified.
    let mut verification = Verification::new(false);
    play(&mut verification, &head, &bodies);
    assert!(verification.finish().iter().all(Verdict::holds));
    let none_yet = verified(&wire::HistoryHead::default(), &[]);
    let shown = verdicts(&none_yet, TrailForm::Csv).unwrap();
    assert!(shown.ends_with("FLEET,0,Holds,,no event yet\n"), "{shown}");
}

#[test]
fn the_chain_of_orders_is_verified_under_its_own_name() {
    let (head, mut bodies) = orders();
    let shown = |bodies: &[Vec<u8>]| verdicts(&verified(&head, bodies), TrailForm::Csv).unwrap();
    assert!(shown(&bodies).ends_with("FLEET,3,Holds,,\n"), "{}", shown(&bodies));
    bodies.remove(1);
    assert!(shown(&bodies).contains("FLEET,2,EventMissing,11"), "{}", shown(&bodies));
}

#[test]
fn a_whole_chain_holds_and_states_what_has_left_the_stream_or_waits() {
    let (head, bodies) = chain();
    let shown =
        |head: &wire::HistoryHead, bodies: &[Vec<u8>]| verdicts(&verified(head, bodies), TrailForm::Csv).unwrap();
    assert!(shown(&head, &bodies).ends_with("worker-1,3,Holds,,\n"));
    let shortened = shown(&head, &bodies[1..]);
    assert!(
        shortened.contains("Holds,,\"older events have left the stream, or were never published\""),
        "{shortened}"
    );
    let waits = wire::HistoryHead {
        unpublished: bodies[1..].to_vec(),
        ..head
    };
    let waiting = shown(&waits, &bodies[..2]);
    assert!(waiting.contains("3,Holds,,1 events wait in the record"), "{waiting}");
}

#[test]
fn events_that_have_left_the_stream_for_their_age_are_no_break_and_missing_ones_are() {
    let (head, bodies) = chain();
    let shown =
        |head: &wire::HistoryHead, bodies: &[Vec<u8>]| verdicts(&verified(head, bodies), TrailForm::Csv).unwrap();
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
    let verdicts = verified(&head, &bodies);
    assert!(!verdicts.iter().all(Verdict::holds));
    let shown = super::verdicts(&verdicts, TrailForm::Csv).unwrap();
    assert!(
        shown.contains("worker-1,2,EventMissing,11,event 3 comes after event 1"),
        "{shown}"
    );
    let forged = encode(&event(180, Phase::Draining, None)).payload;
    let (_, mut bodies) = chain();
    bodies.push(forged);
    let shown = super::verdicts(&verified(&head, &bodies), TrailForm::Json).unwrap();
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
pub(crate) fn trail_of_reboots() -> Vec<Entry> {
    let events = [
        reboot(1, 0, 60, 600, Phase::Done, "6.12.48"),
        reboot(2, 1000, 1100, 1200, Phase::Cancelled, ""),
        reboot(3, 3420, 3480, 3600, Phase::Done, "6.12.49"),
    ];
    let mut trail = Listing::default();
    for (place, event) in (1..).zip(events.as_flattened()) {
        trail.event(wire::HistoryEvent {
            node: "worker-1".to_owned(),
            place,
            stored_at: None,
            body: encode(event).payload,
        });
    }
    trail.page()
}

#[test]
fn an_event_states_policy_need_order_gates_and_kernels() {
    let shown = printed(&[trail_of_reboots()], TrailForm::Csv);
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
