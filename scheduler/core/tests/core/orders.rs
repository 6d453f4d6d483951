//! Stories of operators' orders: a policy that is paused, a node that is held, approvals, a reboot now.

use bellwether_proto::{FleetOrder, OrderKind, OrderScope, Phase};
use bellwether_scheduler_core::{Handled, Input, OrderRefusal};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::budgets::together;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn of_node(node: &str) -> OrderScope {
    OrderScope::Node(name(node))
}

impl World {
    /// An operator gives an order, and the order is stored.
    pub(crate) fn order(&mut self, kind: OrderKind, scope: OrderScope, lasts: Option<SignedDuration>) -> Handled {
        let order = FleetOrder {
            kind,
            scope,
            by: "anna".into(),
            reason: "disks".into(),
            since: Timestamp::UNIX_EPOCH,
            until: lasts.map(|lasts| self.now + lasts),
        };
        let handled = self.give(Input::GiveOrder(order));
        self.do_effects();
        self.settle();
        handled
    }

    pub(crate) fn end(&mut self, kind: OrderKind, scope: OrderScope) -> Handled {
        let order = FleetOrder {
            kind,
            scope,
            by: "ben".into(),
            reason: String::new(),
            since: self.now,
            until: None,
        };
        let handled = self.give(Input::EndOrder(order));
        self.do_effects();
        self.settle();
        handled
    }
}

/// Of two slots, with policies for a and b, and for the rest.
fn world() -> World {
    let mut world = World::new(2, &["a", "c"]);
    let workers = json!({ "matchLabels": { "pool": "w" } });
    world.policies = vec![
        policy("workers", json!({ "nodeSelector": workers, "priority": 1 })),
        policy("rest", json!({})),
    ];
    world.settle();
    world
}

#[test]
fn a_policy_that_is_paused_holds_its_nodes_and_no_others() {
    let mut world = world();
    let workers = || OrderScope::Policy("workers".into());
    assert_eq!(world.order(OrderKind::Block, workers(), None), Handled::Accepted);
    let stored = &world.control.as_ref().unwrap().orders[0];
    assert_eq!(stored.since, world.now, "by the clock of the scheduler");
    world.need("a");
    world.need("c");
    assert_eq!(
        (world.reason("a"), world.phase("c")),
        (Some("Paused"), Some(Phase::Draining))
    );
    assert_eq!(world.message("a"), "policy workers is paused by anna: disks");
    // A resume of the fleet is not of the policy, and another leader knows the order.
    world.resume();
    world.crash();
    assert_eq!(world.reason("a"), Some("Paused"));
    assert_eq!(world.end(OrderKind::Block, workers()), Handled::Accepted);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_node_is_held_until_the_end_of_the_order_and_its_attempt_continues() {
    let mut world = world();
    world.need("c");
    assert_eq!(
        world.order(OrderKind::Block, of_node("a"), Some(MINUTE * 10)),
        Handled::Accepted
    );
    assert_eq!(world.order(OrderKind::Block, of_node("c"), None), Handled::Accepted);
    assert_eq!(world.phase("c"), Some(Phase::Draining), "a hold is no cancel");
    world.need("a");
    assert_eq!(world.reason("a"), Some("Held"));
    assert!(
        world
            .message("a")
            .starts_with("the node is held by anna until 2026-01-01T00:10:00Z"),
        "{}",
        world.message("a")
    );
    world.pass(MINUTE * 10);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(world.control.as_ref().map(|control| control.orders.len()), Some(1));
}

#[test]
fn a_manual_policy_waits_for_the_approval_of_a_node_or_of_all() {
    let mut world = World::new(2, &["a", "c", "d"]);
    world.policies = vec![policy("all", json!({ "budget": together(), "approval": "Manual" }))];
    world.settle();
    for node in ["a", "c", "d"] {
        world.need(node);
        assert_eq!(world.reason(node), Some("NotApproved"));
    }
    assert!(
        world.message("a").contains("kubectl reboots approve a") && world.message("a").contains("--policy all"),
        "{}",
        world.message("a")
    );
    world.order(OrderKind::Approve, of_node("c"), Some(MINUTE));
    assert_eq!(
        (world.phase("c"), world.reason("a")),
        (Some(Phase::Draining), Some("NotApproved"))
    );
    // An approval that is over approves no start, and takes none back.
    world.pass(MINUTE);
    assert_eq!(world.phase("c"), Some(Phase::Draining));
    world.order(OrderKind::Approve, OrderScope::Policy("all".into()), Some(MINUTE));
    assert_eq!(
        (world.phase("a"), world.reason("d")),
        (Some(Phase::Draining), Some("NoSlot"))
    );
    world.pass(MINUTE);
    assert_eq!(world.reason("d"), Some("NotApproved"));
    world.order(OrderKind::Approve, OrderScope::Fleet, Some(MINUTE));
    assert_eq!(world.reason("d"), Some("NoSlot"));
}

#[test]
fn a_reboot_now_goes_first_and_outside_of_the_window_and_its_order_ends_with_it() {
    let mut world = World::new(1, &["a", "c", "cp"]);
    let window = json!({ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" });
    world.policies = vec![policy("nights", json!({ "windows": [window], "approval": "Manual" }))];
    world.settle();
    for node in ["a", "c", "cp"] {
        world.need(node);
    }
    assert_eq!(
        world.order(OrderKind::Now, of_node("cp"), Some(MINUTE * 60)),
        Handled::Accepted
    );
    assert_eq!(
        world.phase("cp"),
        Some(Phase::Draining),
        "of the control plane, which is last else"
    );
    world.drainer("cp", true, 1);
    assert_eq!(
        world.phase("cp"),
        Some(Phase::Rebooting),
        "the window is shut, and the order stands"
    );
    world.rebooter("cp", true);
    world.drainer("cp", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("cp"), Some(Phase::Done));
    assert_eq!(world.control.as_ref().map(|control| control.orders.len()), Some(0));
    assert_eq!(world.reason("a"), Some("NotApproved"), "{}", world.message("a"));
}

#[test]
fn a_reboot_now_keeps_to_the_budget_and_to_every_gate_of_safety() {
    let mut world = World::new(1, &["a", "c"]);
    world.need("a");
    world.need("c");
    world.order(OrderKind::Now, of_node("c"), Some(MINUTE * 60));
    assert_eq!(world.reason("c"), Some("NoSlot"));
    let mut world = World::new(1, &["a"]);
    world.host("a").view.ready = false;
    world.need("a");
    world.order(OrderKind::Now, of_node("a"), Some(MINUTE * 60));
    assert_eq!(world.reason("a"), Some("NotReady"));
    world.pause("release night");
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.reason("a"), Some("Paused"));
}

#[test]
fn a_reboot_now_whose_order_ends_in_the_drain_is_taken_back_outside_of_the_window() {
    let mut world = World::new(1, &["a"]);
    let window = json!({ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" });
    world.policies = vec![policy("nights", json!({ "windows": [window] }))];
    world.settle();
    world.need("a");
    world.order(OrderKind::Now, of_node("a"), Some(MINUTE * 60));
    world.end(OrderKind::Now, of_node("a"));
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}

#[test]
fn an_order_that_could_have_no_effect_is_refused() {
    let mut world = world();
    for (kind, scope, refusal) in [
        (OrderKind::Block, of_node("x"), OrderRefusal::UnknownNode(name("x"))),
        (
            OrderKind::Approve,
            OrderScope::Policy("x".into()),
            OrderRefusal::UnknownPolicy("x".into()),
        ),
        (OrderKind::Now, of_node("a"), OrderRefusal::NoNeed(name("a"))),
    ] {
        assert_eq!(world.order(kind, scope, None), Handled::NotOrdered(refusal));
    }
    assert_eq!(
        world.end(OrderKind::Block, of_node("a")),
        Handled::NotOrdered(OrderRefusal::NoOrder)
    );
    assert_eq!(world.control, None, "nothing is stored");
}
