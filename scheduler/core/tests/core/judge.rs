//! What operators read: the invariants that can be asked, who takes a slot, and the time of a standing.

use std::collections::BTreeMap;

use bellwether_proto::{Attempt, Phase};
use bellwether_scheduler_core::admission::budget::{Holder, holder};
use bellwether_scheduler_core::invariant::{
    Invariant, budget_when_starting, drained_before_rebooted, in_the_window, no_false_success, way_back,
};
use bellwether_scheduler_core::{NodeView, PolicyView, State};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::{World, name, policy};

/// A node that is being drained under one slot, and its record.
fn draining() -> (World, Attempt) {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    (world, record)
}

#[test]
fn a_start_is_refused_once_all_slots_are_taken_by_other_nodes() {
    let (world, _) = draining();
    let nodes: BTreeMap<_, _> = world
        .hosts
        .iter()
        .map(|(name, host)| (name.clone(), host.view.clone()))
        .collect();
    let starts = |slots, node| budget_when_starting(slots, &name(node), &nodes, &world.records);
    assert_eq!(starts(2, "b"), Ok(()));
    assert_eq!(starts(1, "a"), Ok(()), "a node does not stand in its own way");
    let problem = starts(1, "b").unwrap_err();
    assert!(problem.starts_with("Budget"), "{problem}");
    assert_eq!(Invariant::Budget.to_string(), "Budget");
}

#[test]
fn a_start_outside_of_the_window_is_noticed_and_so_is_one_without_a_policy_that_permits_it() {
    let (world, _) = draining();
    let view = &world.hosts[&name("a")].view;
    let nights = json!({ "windows": [{ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" }] });
    let judge = |policies: &[PolicyView], time: &str| in_the_window(policies, view, time.parse().unwrap());
    let (open, shut) = ("2026-01-01T02:00:00Z", "2026-01-01T04:00:00Z");
    let nights = policy("nights", nights);
    assert_eq!(judge(&[], shut), Ok(()), "without policies there is no window");
    assert_eq!(judge(std::slice::from_ref(&nights), open), Ok(()));
    let others = json!({ "nodeSelector": { "matchLabels": { "pool": "x" } } });
    for (policies, time) in [
        (vec![nights.clone()], shut),
        (vec![policy("others", others)], open),
        (vec![nights, policy("all", json!({}))], open),
        (vec![policy("wrong", json!({ "startMargin": "soon" }))], open),
    ] {
        let problem = judge(&policies, time).unwrap_err();
        assert!(problem.starts_with(&Invariant::InTheWindow.to_string()), "{problem}");
    }
}

#[test]
fn a_reboot_that_is_ordered_without_a_drain_is_noticed() {
    let (_, mut record) = draining();
    assert_eq!(drained_before_rebooted(&record), Ok(()), "not ordered yet");
    record.phase = Phase::Rebooting;
    let problem = drained_before_rebooted(&record).unwrap_err();
    assert!(
        problem.starts_with(&Invariant::DrainedBeforeRebooted.to_string()),
        "{problem}"
    );
    record.drained_at = Some(record.need_since);
    assert_eq!(drained_before_rebooted(&record), Ok(()));
}

#[test]
fn an_attempt_without_a_way_back_is_noticed() {
    let (_, running) = draining();
    assert_eq!(way_back(&running), Ok(()));
    let endless = Attempt {
        deadline: None,
        ..running.clone()
    };
    let problem = way_back(&endless).unwrap_err();
    assert!(problem.starts_with(&Invariant::WayBack.to_string()), "{problem}");
    let cordoned_at = Some(running.need_since);
    let ended = |phase, cordoned_at, slot_held| Attempt {
        phase,
        deadline: None,
        cordoned_at,
        slot_held,
        ..running.clone()
    };
    for phase in [Phase::Done, Phase::Cancelled] {
        assert!(way_back(&ended(phase, cordoned_at, false)).is_err(), "{phase:?}");
        assert_eq!(way_back(&ended(phase, cordoned_at, true)), Ok(()), "{phase:?}");
        assert_eq!(way_back(&ended(phase, None, false)), Ok(()), "{phase:?}");
    }
    // An operator has released its slot, and knows of the cordon.
    assert_eq!(way_back(&ended(Phase::Failed, cordoned_at, false)), Ok(()));
}

#[test]
fn a_success_without_another_boot_is_noticed() {
    let (_, running) = draining();
    assert_eq!(no_false_success(&running), Ok(()));
    let done = |boot_after| Attempt {
        phase: Phase::Done,
        boot_after,
        ..running.clone()
    };
    assert_eq!(no_false_success(&done(Some("boot-new".parse().unwrap()))), Ok(()));
    for boot_after in [None, Some(running.boot_before.clone())] {
        let problem = no_false_success(&done(boot_after)).unwrap_err();
        assert!(problem.starts_with(&Invariant::NoFalseSuccess.to_string()), "{problem}");
    }
}

#[test]
fn every_way_in_which_a_node_takes_a_slot_has_its_name() {
    let (world, record) = draining();
    let view = world.hosts[&name("b")].view.clone();
    let viewed = |ready, unschedulable, cordoned_for| NodeView {
        ready,
        unschedulable,
        cordoned_for,
        ..view.clone()
    };
    let ours = Some(record.id);
    let deleting = NodeView {
        deleting: true,
        ..view.clone()
    };
    for (view, unreadable, expected) in [
        (viewed(true, false, None), false, None),
        (viewed(true, false, ours), false, None),
        (viewed(true, true, ours), false, Some(Holder::CordonLeftBehind)),
        (viewed(true, true, None), false, Some(Holder::Cordoned)),
        (viewed(false, true, None), false, Some(Holder::NotReady)),
        (viewed(true, false, None), true, Some(Holder::Unreadable)),
        (deleting, false, Some(Holder::Deleting)),
    ] {
        assert_eq!(holder(Some(&view), None, unreadable), expected, "{view:?}");
    }
    assert_eq!(
        holder(Some(&world.hosts[&name("a")].view), Some(&record), false),
        Some(Holder::Attempt(Phase::Draining))
    );
    assert_eq!(holder(None, Some(&record), false), Some(Holder::NodeDeleted));
    let ended = Attempt {
        slot_held: false,
        ..record
    };
    assert_eq!(holder(None, Some(&ended), false), None);
}

#[test]
fn the_time_of_a_standing_is_of_its_last_change_of_state_or_reason() {
    let mut world = World::new(1, &["a"]);
    let since = |world: &World| world.fleet.standing(&name("a")).unwrap().1.since;
    let minute = SignedDuration::from_mins(1);
    world.host("a").view.ready = false;
    world.need("a");
    let began = world.now;
    assert_eq!((world.reason("a"), since(&world)), (Some("NotReady"), began));
    world.pass(minute);
    assert_eq!(since(&world), began, "nothing has changed");
    // Another reason in the same state, then another state.
    world.host("a").view.deleting = true;
    world.settle();
    assert_eq!((world.reason("a"), since(&world)), (Some("NodeDeleting"), world.now));
    world.pass(minute);
    world.host("a").view.deleting = false;
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!((world.phase("a"), since(&world)), (Some(Phase::Draining), world.now));
    world.pass(minute);
    world.drainer("a", true, 1);
    assert_eq!((world.phase("a"), since(&world)), (Some(Phase::Rebooting), world.now));
}

#[test]
fn states_have_the_words_that_metrics_and_tables_show() {
    let words = State::ALL.map(State::as_str);
    let expected = [
        "Idle",
        "Waiting",
        "Failed",
        "Unknown",
        "Draining",
        "Rebooting",
        "Verifying",
        "Uncordoning",
        "Soaking",
        "RollingBack",
    ];
    assert_eq!(words, expected);
}
