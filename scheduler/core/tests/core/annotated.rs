//! Stories of orders by annotation: the Node itself carries a hold, a skip or an approval.

use bellwether_proto::{OrderKind, Phase};
use bellwether_scheduler_core::{AnnotatedKind, AnnotatedOrder, AnnotatedUntil, Handled, NodeOrders, OrderRefusal};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::orders::of_node;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// An annotation that anna sets now.
pub(crate) fn order(world: &World, kind: AnnotatedKind) -> AnnotatedOrder {
    AnnotatedOrder {
        kind,
        reason: "disks".into(),
        by: "kubectl-annotate".into(),
        since: Some(world.now),
        until: AnnotatedUntil::Unstated,
    }
}

impl World {
    /// The Node carries these orders from now on, and no others.
    pub(crate) fn annotate(&mut self, node: &str, orders: impl IntoIterator<Item = AnnotatedOrder>) {
        self.host(node).view.orders = NodeOrders::new(orders.into_iter().collect());
        self.settle();
    }

    fn until(&self, lasts: SignedDuration) -> AnnotatedUntil {
        AnnotatedUntil::At(self.now + lasts)
    }
}

#[test]
fn a_held_node_waits_for_the_end_of_the_annotation_or_its_removal_and_its_attempt_continues() {
    let mut world = World::new(2, &["a", "b"]);
    world.need("b");
    let hold = order(&world, AnnotatedKind::Hold);
    let until = world.until(MINUTE * 10);
    world.annotate("a", [AnnotatedOrder { until, ..hold.clone() }]);
    world.annotate("b", [hold.clone()]);
    assert_eq!(world.phase("b"), Some(Phase::Draining), "a hold is no cancel");
    world.need("a");
    assert_eq!(world.reason("a"), Some("Held"));
    let message = world.message("a");
    let expected = "by the annotation bellwether.dev/hold of kubectl-annotate until 2026-01-01T00:10:00Z: disks";
    assert!(message.contains(expected), "{message}");
    // The Node is the store: the next leader reads the annotation again, and no record has it.
    world.crash();
    assert_eq!((world.reason("a"), &world.control), (Some("Held"), &None));
    world.pass(MINUTE * 10 - SignedDuration::from_millis(2));
    assert_eq!(world.reason("a"), Some("Held"));
    world.pass(SignedDuration::from_millis(2));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    // A hold whose time and owner are not known stands all the same, until its annotation is removed.
    let mut world = World::new(1, &["a"]);
    let unknown = AnnotatedOrder {
        by: String::new(),
        since: None,
        ..hold
    };
    world.annotate("a", [unknown]);
    world.need("a");
    world.pass(HOUR * 1000);
    assert_eq!(world.reason("a"), Some("Held"));
    world.annotate("a", []);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_skip_covers_the_need_at_the_time_of_the_annotation_and_no_later_one() {
    let mut world = World::new(1, &["a"]);
    world.host("a").view.ready = false;
    world.need("a");
    world.pass(MINUTE);
    world.annotate("a", [order(&world, AnnotatedKind::Skip)]);
    world.host("a").view.ready = true;
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("Skipped"));
    let message = world.message("a");
    assert!(message.contains("by the annotation bellwether.dev/skip"), "{message}");
    world.host("a").need = Ok(None);
    world.settle();
    assert_eq!(world.reason("a"), None);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{}", world.message("a"));
    // The API server writes times without fractions: the need may have begun in the second of the annotation.
    let mut world = World::new(1, &["a"]);
    let skip = order(&world, AnnotatedKind::Skip);
    world.annotate("a", [skip]);
    world.pass(SignedDuration::from_millis(998));
    world.need("a");
    assert_eq!(world.reason("a"), Some("Skipped"));
    world.host("a").need = Ok(None);
    world.settle();
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{}", world.message("a"));
}

#[test]
fn a_skip_whose_time_is_not_known_covers_every_need_and_says_so() {
    let mut world = World::new(1, &["a"]);
    let skip = AnnotatedOrder {
        since: None,
        ..order(&world, AnnotatedKind::Skip)
    };
    world.annotate("a", [skip]);
    world.need("a");
    assert_eq!(world.reason("a"), Some("Skipped"));
    let message = world.message("a");
    assert!(
        message.contains("every need of the node is skipped: remove it and set it again"),
        "{message}"
    );
}

#[test]
fn an_end_that_is_no_time_ends_no_hold_and_no_skip_and_gives_no_approval() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({ "approval": "Manual" }))];
    world.need("a");
    let until = AnnotatedUntil::Malformed("tomorrow".into());
    for (kind, code) in [
        (AnnotatedKind::Hold, "Held"),
        (AnnotatedKind::Skip, "Skipped"),
        (AnnotatedKind::Approve, "NotApproved"),
    ] {
        let order = AnnotatedOrder {
            until: until.clone(),
            ..order(&world, kind)
        };
        world.annotate("a", [order]);
        world.pass(HOUR * 100);
        assert_eq!(world.reason("a"), Some(code));
        let message = world.message("a");
        let fault = format!("the annotation {} is \"tomorrow\" and no time", kind.until_annotation());
        assert!(
            message.contains(&fault) && message.contains("correct or remove it"),
            "{message}"
        );
    }
}

#[test]
fn an_approval_by_annotation_lasts_for_a_day_unless_its_end_is_stated() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({ "approval": "Manual" }))];
    world.host("a").view.ready = false;
    world.need("a");
    let approve = order(&world, AnnotatedKind::Approve);
    world.annotate("a", [approve.clone()]);
    assert_eq!(world.reason("a"), Some("NotReady"));
    world.pass(HOUR * 24);
    assert_eq!(world.reason("a"), Some("NotApproved"));
    let message = world.message("a");
    assert!(
        message.contains("the annotation bellwether.dev/approve has ended at 2026-01-02"),
        "{message}"
    );
    let until = world.until(HOUR);
    world.annotate(
        "a",
        [AnnotatedOrder {
            until,
            ..approve.clone()
        }],
    );
    assert_eq!(world.reason("a"), Some("NotReady"));
    // Of an approval whose time is not known, it is not known either whether it is of this week.
    let since = None;
    world.annotate(
        "a",
        [AnnotatedOrder {
            since,
            ..approve.clone()
        }],
    );
    assert_eq!(world.reason("a"), Some("NotApproved"));
    assert!(
        world.message("a").contains("do not state when"),
        "{}",
        world.message("a")
    );
    world.host("a").view.ready = true;
    let since = Some(world.now - HOUR * 23);
    world.annotate("a", [AnnotatedOrder { since, ..approve }]);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_order_by_annotation_cannot_be_ended_by_a_command_which_names_the_annotation() {
    let mut world = World::new(1, &["a"]);
    let kinds = [
        (AnnotatedKind::Hold, OrderKind::Block, "bellwether.dev/hold"),
        (AnnotatedKind::Skip, OrderKind::Skip, "bellwether.dev/skip"),
        (AnnotatedKind::Approve, OrderKind::Approve, "bellwether.dev/approve"),
    ];
    for (annotated, kind, annotation) in kinds {
        world.annotate("a", [order(&world, annotated)]);
        let refusal = OrderRefusal::ByAnnotation(name("a"), annotation);
        let remedy = format!("kubectl annotate node a {annotation}-");
        assert!(refusal.to_string().ends_with(&remedy), "{refusal}");
        assert_eq!(world.end(kind, of_node("a")), Handled::NotOrdered(refusal));
        for (_, other, _) in kinds.iter().filter(|(_, other, _)| *other != kind) {
            let no_order = Handled::NotOrdered(OrderRefusal::NoOrder);
            assert_eq!(world.end(*other, of_node("a")), no_order);
        }
    }
    // A stored order of the same kind is ended, and one whose annotation has ended is none.
    world.order(OrderKind::Block, of_node("a"), None);
    let until = world.until(MINUTE);
    let hold = order(&world, AnnotatedKind::Hold);
    world.annotate("a", [AnnotatedOrder { until, ..hold }]);
    assert_eq!(world.end(OrderKind::Block, of_node("a")), Handled::Accepted);
    world.pass(MINUTE);
    let no_order = Handled::NotOrdered(OrderRefusal::NoOrder);
    assert_eq!(world.end(OrderKind::Block, of_node("a")), no_order);
}

#[test]
fn a_view_with_orders_is_recorded_and_one_of_an_older_recording_is_read() {
    let mut world = World::new(1, &["a"]);
    let until = AnnotatedUntil::Malformed("x".into());
    let hold = order(&world, AnnotatedKind::Hold);
    world.annotate("a", [AnnotatedOrder { until, ..hold }]);
    world.need("a");
    world.plays_again();
    let view = &world.hosts[&name("a")].view;
    let mut text = serde_json::to_value(view).unwrap();
    text.as_object_mut().unwrap().remove("orders");
    let older: bellwether_scheduler_core::NodeView = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(older.orders, None);
    assert_eq!(serde_json::to_value(older).unwrap(), text);
    let (before, after) = (Timestamp::MIN, Timestamp::MAX);
    assert_eq!([before, after].map(|at| view.annotated_orders(at).count()), [1, 1]);
}

#[test]
fn a_node_that_is_held_during_its_reboot_keeps_its_cordon_until_the_hold_ends() {
    for by_annotation in [false, true] {
        let mut world = World::new(1, &["a", "b"]);
        world.need("a");
        world.need("b");
        world.drainer("a", true, 1);
        if by_annotation {
            let hold = order(&world, AnnotatedKind::Hold);
            world.annotate("a", [hold]);
        } else {
            let ordered = world.order(OrderKind::Block, of_node("a"), None);
            assert_eq!(ordered, Handled::Accepted);
        }
        world.rebooter("a", true);
        for hours in [0, 1, 30] {
            world.pass(HOUR * hours);
            assert_eq!(world.phase("a"), Some(Phase::Verifying), "{by_annotation}");
            assert_eq!(world.reason("a"), Some("WaitsForService"));
            let message = world.message("a");
            assert!(
                message.contains("held") && message.contains("keeps its cordon"),
                "{message}"
            );
            assert_eq!(world.reason("b"), Some("NoSlot"));
        }
        if by_annotation {
            world.annotate("a", []);
        } else {
            world.end(OrderKind::Block, of_node("a"));
            world.settle();
        }
        assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "{by_annotation}");
    }
}
