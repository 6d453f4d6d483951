//! Stories of the turn of the control plane: after the workers, or before them if a policy says so.

use bellwether_proto::Phase;
use serde_json::{Value, json};

use crate::budgets::together;
use crate::world::{World, name, policy};

/// Two workers and three nodes of the control plane under one slot, all of which need a reboot; those of the control
/// plane since later.
fn under(policies: &[(&str, Value)]) -> World {
    let mut world = World::new(1, &["w1", "w2", "cp1", "cp2", "cp3"]);
    for node in ["w1", "w2"] {
        world.host(node).view.labels = [("pool".to_owned(), "w".to_owned())].into();
    }
    world.policies = policies.iter().map(|(name, spec)| policy(name, spec.clone())).collect();
    world.pause("until all need a reboot");
    for node in ["w2", "w1", "cp3", "cp1", "cp2"] {
        world.need(node);
    }
    world
}

/// The nodes in the order in which they begin their attempts.
fn order(world: &mut World) -> Vec<String> {
    world.resume();
    world.settle();
    world.work_until_quiet();
    let starts = world.log.iter().filter_map(|line| line.strip_suffix(" Draining"));
    starts.map(str::to_owned).collect()
}

#[test]
fn the_control_plane_goes_last_unless_its_policy_has_it_go_first() {
    assert_eq!(order(&mut under(&[])), ["w2", "w1", "cp3", "cp1", "cp2"]);
    let last = json!({ "controlPlane": "Last" });
    assert_eq!(order(&mut under(&[("all", last)])), ["w2", "w1", "cp3", "cp1", "cp2"]);
    let first = json!({ "controlPlane": "First" });
    assert_eq!(order(&mut under(&[("all", first)])), ["cp3", "cp1", "cp2", "w2", "w1"]);
}

#[test]
fn the_control_plane_goes_before_the_workers_of_other_policies_too() {
    let workers = json!({ "nodeSelector": { "matchLabels": { "pool": "w" } }, "priority": 1 });
    let rest = |turn: &str| json!({ "controlPlane": turn });
    let mut first = under(&[("workers", workers.clone()), ("rest", rest("First"))]);
    assert_eq!(order(&mut first), ["cp3", "cp1", "cp2", "w2", "w1"]);
    // The field of the workers' policy is not about the control plane of another one.
    let workers = json!({ "nodeSelector": workers["nodeSelector"], "priority": 1, "controlPlane": "First" });
    let mut last = under(&[("workers", workers), ("rest", rest("Last"))]);
    assert_eq!(order(&mut last), ["w2", "w1", "cp3", "cp1", "cp2"]);
}

#[test]
fn a_control_plane_that_goes_first_goes_one_by_one_and_not_beside_an_unhealthy_node() {
    let mut world = World::new(4, &["w1", "cp1", "cp2", "cp3"]);
    world.policies = vec![policy("all", json!({ "budget": together(), "controlPlane": "First" }))];
    world.host("cp1").view.ready = false;
    world.settle();
    for node in ["w1", "cp2", "cp3"] {
        world.need(node);
    }
    assert_eq!(world.phase("w1"), Some(Phase::Draining), "a worker has its own slot");
    assert_eq!(world.reason("cp2"), Some("ControlPlaneBusy"));
    world.host("cp1").view.ready = true;
    world.settle();
    assert_eq!(world.phase("cp2"), Some(Phase::Draining));
    assert_eq!(world.reason("cp3"), Some("ControlPlaneBusy"));
}

#[test]
fn a_change_of_the_turn_counts_for_nodes_that_wait() {
    let mut world = World::new(1, &["w1", "w2", "cp1"]);
    world.policies = vec![policy("all", json!({}))];
    for node in ["w1", "w2", "cp1"] {
        world.need(node);
    }
    let place = |world: &World, node| {
        let (_, standing) = world.fleet.standing(&name(node)).unwrap();
        standing.reason.unwrap().place()
    };
    assert_eq!((place(&world, "w2"), place(&world, "cp1")), (Some(1), Some(2)));
    world.policies = vec![policy("all", json!({ "budget": together(), "controlPlane": "First" }))];
    world.settle();
    assert_eq!((place(&world, "w2"), place(&world, "cp1")), (Some(2), Some(1)));
}
