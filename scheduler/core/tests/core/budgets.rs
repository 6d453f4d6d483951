//! Stories of the budgets of policies: how many of a policy's nodes, of a zone's, and of its zones at once.

use bellwether_proto::Phase;
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, name, policy};

/// The budget of a policy whose rollouts begin with as many nodes as there are slots.
pub(crate) fn together() -> Value {
    json!({ "rampUp": "None" })
}

/// Six nodes in three zones under four slots; all of them need a reboot. A rollout begins with as many as may go.
fn under(budget: &Value) -> World {
    let mut budget = budget.clone();
    budget["rampUp"] = json!("None");
    six_nodes(&budget)
}

fn six_nodes(budget: &Value) -> World {
    let mut world = World::new(4, &["n1", "n2", "n3", "n4", "n5", "n6"]);
    for (node, zone) in [
        ("n1", "x"),
        ("n2", "x"),
        ("n3", "y"),
        ("n4", "y"),
        ("n5", "z"),
        ("n6", "z"),
    ] {
        let labels = [("zone".to_owned(), zone.to_owned())];
        world.host(node).view.labels = labels.into();
    }
    world.policies = vec![policy("p", json!({ "budget": budget }))];
    world.settle();
    for node in ["n1", "n2", "n3", "n4", "n5", "n6"] {
        world.need(node);
    }
    world
}

fn draining(world: &World) -> Vec<&'static str> {
    let nodes = ["n1", "n2", "n3", "n4", "n5", "n6"];
    nodes
        .into_iter()
        .filter(|node| world.phase(node) == Some(Phase::Draining))
        .collect()
}

#[test]
fn a_number_limits_the_nodes_of_a_policy() {
    let world = under(&json!({ "maxUnavailable": 2 }));
    assert_eq!(draining(&world), ["n1", "n2"]);
    assert_eq!(
        world.message("n3"),
        "policy p: 2 slots are taken by n1 (Draining), n2 (Draining); number 1 in the queue"
    );
}

#[test]
fn a_share_is_rounded_down_and_is_one_node_at_least() {
    assert_eq!(draining(&under(&json!({ "maxUnavailable": "50%" }))).len(), 3);
    assert_eq!(draining(&under(&json!({ "maxUnavailable": "49%" }))).len(), 2);
    assert_eq!(draining(&under(&json!({ "maxUnavailable": "1%" }))).len(), 1);
    assert_eq!(
        draining(&under(&json!({ "maxUnavailable": "100%" }))).len(),
        4,
        "of four slots"
    );
}

#[test]
fn a_zone_has_its_own_limit_and_the_next_node_of_another_zone_goes() {
    let world = under(&json!({ "topology": [{ "key": "zone", "maxUnavailable": 1 }] }));
    assert_eq!(draining(&world), ["n1", "n3", "n5"]);
    assert_eq!(
        world.message("n4"),
        "policy p, zone=y: 1 slot is taken by n3 (Draining); number 2 in the queue"
    );
}

#[test]
fn a_share_in_a_zone_is_of_the_nodes_of_the_zone() {
    let world = under(&json!({ "topology": [{ "key": "zone", "maxUnavailable": "50%" }] }));
    assert_eq!(draining(&world), ["n1", "n3", "n5"]);
}

#[test]
fn so_many_zones_at_once_are_finished_before_the_next_one_begins() {
    let mut world = under(&json!({ "topology": [{ "key": "zone", "maxDomains": 1 }] }));
    assert_eq!(draining(&world), ["n1", "n2"]);
    assert_eq!(
        world.message("n3"),
        "policy p, values of zone at once: 1 slot is taken by n1 (Draining); number 1 in the queue"
    );
    for node in ["n1", "n2"] {
        world.drainer(node, true, 1);
        world.rebooter(node, true);
        world.drainer(node, true, 1);
    }
    assert_eq!(draining(&world), Vec::<&str>::new(), "zone x soaks");
    world.pass(SignedDuration::from_mins(1));
    assert_eq!(draining(&world), ["n3", "n4"]);
}

#[test]
fn where_nodes_go_one_by_one_the_queue_decides_which_zone_is_next() {
    let mut world = World::new(1, &["n1", "n2", "n3"]);
    for (node, zone) in [("n1", "x"), ("n2", "x"), ("n3", "y")] {
        world.host(node).view.labels = [("zone".to_owned(), zone.to_owned())].into();
    }
    let budget = json!({ "topology": [{ "key": "zone", "maxDomains": 1 }] });
    world.policies = vec![policy("p", json!({ "budget": budget }))];
    world.settle();
    for node in ["n1", "n3", "n2"] {
        world.need(node);
    }
    world.work_until_quiet();
    let starts = world.log.iter().filter_map(|line| line.strip_suffix(" Draining"));
    assert_eq!(starts.collect::<Vec<_>>(), ["n1", "n3", "n2"]);
}

#[test]
fn nodes_without_the_label_are_one_domain() {
    let mut world = under(&json!({ "topology": [{ "key": "rack", "maxUnavailable": 1 }] }));
    assert_eq!(draining(&world), ["n1"]);
    assert!(
        world.message("n2").contains("nodes without rack: 1 slot is"),
        "{}",
        world.message("n2")
    );
    // A node that gets another domain is not held up by the others any more.
    world.host("n6").view.labels = [("rack".to_owned(), "r".to_owned())].into();
    world.settle();
    assert_eq!(draining(&world), ["n1", "n6"]);
}

#[test]
fn nodes_that_are_down_or_cordoned_by_others_take_the_slots_of_their_policy() {
    let mut world = World::new(4, &["n1", "n2", "n3"]);
    world.policies = vec![policy("p", json!({ "budget": { "maxUnavailable": 1 } }))];
    world.host("n1").view.ready = false;
    world.settle();
    world.need("n2");
    assert_eq!(
        world.message("n2"),
        "policy p: 1 slot is taken by n1 (not Ready); number 1 in the queue"
    );
    world.host("n1").view.ready = true;
    world.settle();
    assert_eq!(world.phase("n2"), Some(Phase::Draining));
}

#[test]
fn a_host_that_lost_its_node_in_its_reboot_takes_the_slot_of_its_zone() {
    let mut world = under(&json!({ "topology": [{ "key": "zone", "maxUnavailable": 1 }] }));
    world.drainer("n1", true, 1);
    world.rebooter("n1", false);
    world.leave("n1");
    assert!(
        world
            .message("n2")
            .contains("zone=x: 1 slot is taken by n1 (Node object deleted"),
        "{}",
        world.message("n2")
    );
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.phase("n2"), Some(Phase::Draining));
}

#[test]
fn a_policy_without_room_does_not_stop_the_nodes_of_another_one() {
    let mut world = World::new(4, &["a", "b", "c", "d"]);
    let workers = json!({ "matchLabels": { "pool": "w" } });
    world.policies = vec![
        policy(
            "w",
            json!({ "nodeSelector": workers, "priority": 1, "budget": { "maxUnavailable": 1, "rampUp": "None" } }),
        ),
        policy("rest", json!({ "budget": together() })),
    ];
    world.settle();
    for node in ["a", "b", "c", "d"] {
        world.need(node);
    }
    let phases = ["a", "b", "c", "d"].map(|node| world.phase(node));
    let draining = Some(Phase::Draining);
    assert_eq!(phases, [draining, None, draining, draining]);
    // The fleet's slots are named first once they are all taken.
    world.need("b");
    assert!(
        world.message("b").starts_with("policy w: 1 slot is taken by a"),
        "{}",
        world.message("b")
    );
}

#[test]
fn a_budget_that_is_changed_or_removed_counts_at_once() {
    let mut world = under(&json!({ "maxUnavailable": 1 }));
    assert_eq!(draining(&world), ["n1"]);
    world.policies = vec![policy(
        "p",
        json!({ "budget": { "maxUnavailable": 2, "rampUp": "None" } }),
    )];
    world.settle();
    assert_eq!(draining(&world), ["n1", "n2"]);
    world.policies.clear();
    world.settle();
    assert_eq!(draining(&world), ["n1", "n2", "n3", "n4"]);
    assert!(
        world.message("n5").starts_with("4 slots are taken by n1"),
        "{}",
        world.message("n5")
    );
}

#[test]
fn a_budget_counts_again_after_a_reload_and_a_crash() {
    let mut world = under(&json!({ "topology": [{ "key": "zone", "maxUnavailable": 1, "maxDomains": 2 }] }));
    assert_eq!(draining(&world), ["n1", "n3"]);
    world.reload();
    assert_eq!(draining(&world), ["n1", "n3"]);
    world.crash();
    assert_eq!(draining(&world), ["n1", "n3"]);
    assert!(world.records.contains_key(&name("n1")));
    assert!(
        world.message("n5").contains("values of zone at once: 2 slots are"),
        "{}",
        world.message("n5")
    );
}

#[test]
fn the_first_node_of_a_rollout_goes_alone_and_the_others_once_it_is_back() {
    let mut world = six_nodes(&json!({ "maxUnavailable": 3 }));
    assert_eq!(draining(&world), ["n1"]);
    assert_eq!(
        world.message("n2"),
        "policy p, whose first node goes alone: 1 slot is taken by n1 (Draining); number 1 in the queue"
    );
    world.drainer("n1", true, 1);
    world.rebooter("n1", true);
    world.drainer("n1", true, 1);
    assert_eq!(world.phase("n1"), Some(Phase::Soaking));
    assert_eq!(draining(&world), Vec::<&str>::new());
    world.pass(world.policy.soak);
    assert_eq!(draining(&world), ["n2", "n3", "n4"]);
    for node in ["n2", "n3", "n4"] {
        world.reboot(node);
    }
    assert_eq!(draining(&world), ["n5", "n6"]);
    // The next night belongs to the same rollout, the next week does not.
    world.reboot("n5");
    world.reboot("n6");
    world.pass(SignedDuration::from_hours(23));
    world.need("n2");
    world.need("n3");
    assert_eq!(draining(&world), ["n2", "n3"]);
    world.reboot("n2");
    world.reboot("n3");
    world.pass(SignedDuration::from_hours(25));
    world.need("n4");
    world.need("n5");
    assert_eq!(draining(&world), ["n4"]);
}

#[test]
fn a_first_node_whose_reboot_fails_keeps_the_others_waiting_and_one_that_cannot_be_drained_does_not() {
    let mut world = six_nodes(&json!({ "maxUnavailable": 3 }));
    world.drainer("n1", false, 1);
    world.drainer("n1", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("n1"), Some(Phase::Failed));
    assert_eq!(draining(&world), ["n2"], "alone as well");
    world.drainer("n2", true, 1);
    world.rebooter("n2", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("n2", true, 1);
    assert_eq!(world.reason("n2"), Some("RebootIgnored"));
    assert_eq!(draining(&world), Vec::<&str>::new());
    assert!(world.message("n3").contains("n2 (Failed)"), "{}", world.message("n3"));
    // A new leader knows as much.
    world.crash();
    assert_eq!(draining(&world), Vec::<&str>::new());
    world.cancel("n2", "its firmware is broken");
    world.settle();
    assert_eq!(draining(&world).len(), 1);
}

#[test]
fn a_node_that_is_down_by_itself_is_no_first_node() {
    let mut world = World::new(4, &["a", "b", "c"]);
    world.policies = vec![policy("p", json!({}))];
    world.host("c").view.ready = false;
    world.settle();
    world.need("a");
    world.need("b");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(world.reason("b"), Some("NoSlot"));
}
