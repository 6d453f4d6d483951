//! Drains whose policy takes the node out of external load balancers before its pods go (D6).

use std::time::Duration;

use bellwether_drainer_core::{CommandEnd, Drain, PodView};
use bellwether_proto::{BlockerKind, DrainTerms};

use crate::world::{World, at, pod};

#[test]
fn d6_no_pod_is_evicted_before_load_balancers_had_their_time() {
    let mut world = drain(600, &[pod("a")]);
    world.pass(29);
    assert!(world.evicted.is_empty() && world.patches == 1);
    let progress = world.progress.last().unwrap();
    assert_eq!((progress.pods_left, progress.blockers[0].kind), (1, BlockerKind::Rest));
    let sentence = "external load balancers have until 1970-01-01T00:00:30Z to stop to use the node";
    assert!(progress.held_up_by.iter().any(|it| it == sentence), "{progress:?}");
    world.pass(1);
    assert_eq!(world.evicted, ["a"]);
}

#[test]
fn d6_a_node_without_pods_that_go_waits_too_and_states_that() {
    let mut world = drain(600, &[]);
    world.pass(29);
    assert_eq!(world.end, None);
    let progress = world.progress.last().unwrap();
    assert!(
        progress.held_up_by[0].starts_with("external load balancers"),
        "{progress:?}"
    );
    world.pass(1);
    assert!(matches!(&world.end, Some((end, CommandEnd::Drained { .. })) if *end == at(30)));
}

#[test]
fn d6_a_second_cordon_begins_the_time_again() {
    let mut world = drain(600, &[pod("a")]);
    world.pass(20);
    world.change_node(|node| node.is_unschedulable = false);
    world.pass(29);
    assert!(world.evicted.is_empty() && world.patches == 2);
    world.pass(1);
    assert_eq!(world.evicted, ["a"]);
}

fn drain(not_after: i64, pods: &[PodView]) -> World<Drain> {
    let terms = DrainTerms {
        load_balancer_wait: Some(Duration::from_secs(30)),
        ..DrainTerms::default()
    };
    World::drain_with(terms, not_after, pods)
}
