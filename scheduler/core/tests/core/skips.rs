//! Stories of operators who skip a node: the need that it has is left unserved, and later ones are served.

use bellwether_proto::{OrderKind, OrderScope, Phase};
use bellwether_scheduler_core::{Handled, OrderRefusal};
use jiff::SignedDuration;
use serde_json::json;

use crate::orders::of_node;
use crate::world::{AtBoot, World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A node that waits for a reboot, and is skipped.
fn skipped() -> World {
    let mut world = World::new(1, &["a", "b"]);
    world.host("a").view.ready = false;
    world.need("a");
    assert_eq!(world.order(OrderKind::Skip, of_node("a"), None), Handled::Accepted);
    world.host("a").view.ready = true;
    world.settle();
    world
}

fn orders(world: &World) -> usize {
    world.control.as_ref().map_or(0, |control| control.orders.len())
}

#[test]
fn a_skipped_node_is_left_alone_until_the_order_is_ended() {
    let mut world = skipped();
    world.crash();
    world.pass(HOUR * 1000);
    assert_eq!(world.reason("a"), Some("Skipped"));
    let message = world.message("a");
    assert!(message.starts_with("the node is skipped by anna: disks"), "{message}");
    // The file is written again: that is the same need.
    world.need("a");
    assert_eq!((world.reason("a"), orders(&world)), (Some("Skipped"), 1));
    assert_eq!(world.end(OrderKind::Skip, of_node("a")), Handled::Accepted);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_skip_ends_with_its_need_and_a_later_need_is_served() {
    let mut world = skipped();
    world.host("a").need = Ok(None);
    world.settle();
    assert_eq!((world.reason("a"), orders(&world)), (None, 0));
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_need_of_the_next_boot_ends_the_skip_and_a_report_that_shows_nothing_does_not() {
    let mut world = skipped();
    let need = world.host("a").need.clone();
    world.host("a").need = Err("no mount".into());
    world.settle();
    assert_eq!((world.reason("a"), orders(&world)), (Some("ProbeError"), 1));
    world.host("a").need = need;
    world.settle();
    assert_eq!(world.reason("a"), Some("Skipped"));
    // An operator reboots the host by hand, and a program writes the file before the sentinel looks.
    world.host("a").at_boot = AtBoot::Comes;
    world.pass(MINUTE);
    world.boot("a", true);
    world.settle();
    assert_eq!(orders(&world), 0);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{}", world.message("a"));
}

#[test]
fn a_skip_with_an_end_ends_then() {
    let mut world = skipped();
    world.order(OrderKind::Skip, of_node("a"), Some(MINUTE * 10));
    assert!(
        world.message("a").contains("until 2026-01-01T00:10:00Z"),
        "{}",
        world.message("a")
    );
    world.pass(MINUTE * 10);
    assert_eq!((world.phase("a"), orders(&world)), (Some(Phase::Draining), 0));
}

#[test]
fn a_skip_is_no_cancel_and_does_not_hold_up_other_nodes() {
    let mut world = World::new(1, &["a", "b", "c"]);
    world.need("a");
    world.order(OrderKind::Skip, of_node("a"), None);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "the attempt continues");
    world.need("c");
    world.order(OrderKind::Skip, of_node("c"), None);
    world.need("b");
    world.work_until_quiet();
    assert_eq!(
        (world.phase("a"), world.phase("b")),
        (Some(Phase::Done), Some(Phase::Done))
    );
    assert_eq!((world.reason("c"), orders(&world)), (Some("Skipped"), 1));
}

#[test]
fn a_skip_of_a_node_without_a_need_is_refused() {
    let mut world = World::new(1, &["a"]);
    let refused = |refusal| Handled::NotOrdered(refusal);
    assert_eq!(
        world.order(OrderKind::Skip, of_node("a"), None),
        refused(OrderRefusal::NoNeed(name("a")))
    );
    assert_eq!(
        world.order(OrderKind::Skip, of_node("x"), None),
        refused(OrderRefusal::UnknownNode(name("x")))
    );
    assert_eq!(world.control, None, "nothing is stored");
}

#[test]
fn the_skip_of_a_need_that_begins_in_the_future_is_refused_and_a_wrong_clock_alone_ends_no_skip() {
    let mut world = World::new(1, &["a"]);
    world.host("a").view.ready = false;
    // The file is of a time before the clock of the host was set back.
    world.need("a");
    world.host("a").need = Ok(Some(world.now + HOUR));
    world.host("a").first_since = None;
    world.settle();
    let handled = world.order(OrderKind::Skip, of_node("a"), None);
    let began = world.now + HOUR;
    assert_eq!(
        handled,
        Handled::NotOrdered(OrderRefusal::NeedInFuture(name("a"), began))
    );
    // The clock of the host is ahead or behind, and so are its times; or its report came late.
    let zero = SignedDuration::ZERO;
    for (ahead, file_ahead) in [(HOUR, HOUR), (-HOUR, -HOUR), (-HOUR, zero)] {
        let mut world = World::new(1, &["a"]);
        world.host("a").view.ready = false;
        world.host("a").clock_ahead = ahead;
        world.host("a").need = Ok(Some(world.now + file_ahead));
        world.settle();
        world.pass(MINUTE);
        assert_eq!(world.order(OrderKind::Skip, of_node("a"), None), Handled::Accepted);
        world.host("a").view.ready = true;
        world.pass(HOUR * 2);
        assert_eq!(world.reason("a"), Some("Skipped"), "{ahead:#}, {file_ahead:#}");
    }
}

#[test]
fn an_order_to_skip_all_nodes_of_a_newer_version_skips_them() {
    let mut world = World::new(2, &["a", "b"]);
    world.policies = vec![policy("all", json!({}))];
    world.settle();
    let of_policy = OrderScope::Policy("all".into());
    for node in ["a", "b"] {
        world.host(node).view.ready = false;
        world.need(node);
    }
    world.order(OrderKind::Skip, of_policy, None);
    for node in ["a", "b"] {
        world.host(node).view.ready = true;
    }
    world.settle();
    assert_eq!(
        (world.reason("a"), world.reason("b")),
        (Some("Skipped"), Some("Skipped"))
    );
}

/// Nodes of one policy, of which those whose names begin with `k` are canaries and wait for a reboot.
fn canaries(nodes: &[&str]) -> World {
    let mut world = World::new(3, nodes);
    let labels = json!({ "matchLabels": { "canary": "yes" } });
    let spec = json!({ "canaries": { "nodeSelector": labels, "soak": "0s" } });
    world.policies = vec![policy("all", spec)];
    for node in nodes.iter().filter(|node| node.starts_with('k')) {
        let view = &mut world.host(node).view;
        view.labels.insert("canary".to_owned(), "yes".to_owned());
        view.ready = false;
    }
    world.settle();
    for node in nodes.iter().filter(|node| node.starts_with('k')) {
        world.need(node);
    }
    world
}

#[test]
fn a_skipped_canary_counts_no_more_once_another_one_was_rebooted_since_its_need_began() {
    let mut world = canaries(&["a", "k1", "k2"]);
    world.order(OrderKind::Skip, of_node("k1"), None);
    world.need("a");
    assert_eq!(world.reason("a"), Some("CanaryFirst"));
    assert!(world.message("a").contains("canary k2"), "{}", world.message("a"));
    world.host("k2").view.ready = true;
    world.settle();
    world.work_until_quiet();
    assert_eq!(
        (world.phase("k2"), world.phase("a")),
        (Some(Phase::Done), Some(Phase::Done))
    );
    assert_eq!(world.reason("k1"), Some("Skipped"));
    // Its next need is one that no other canary has proved.
    world.host("k1").need = Ok(None);
    world.settle();
    world.pass(HOUR);
    world.need("k1");
    world.order(OrderKind::Skip, of_node("k1"), None);
    world.need("a");
    assert_eq!(world.reason("a"), Some("CanarySkipped"));
}

#[test]
fn a_skipped_canary_that_no_other_one_replaces_keeps_the_others_waiting_and_the_reason_names_the_remedy() {
    let mut world = canaries(&["a", "k"]);
    world.order(OrderKind::Skip, of_node("k"), None);
    world.need("a");
    world.pass(HOUR * 24);
    assert_eq!(world.reason("a"), Some("CanarySkipped"));
    let message = world.message("a");
    assert!(message.contains("`kubectl reboots release k`"), "{message}");
    world.end(OrderKind::Skip, of_node("k"));
    assert_eq!(world.reason("a"), Some("CanaryFirst"));
}
