//! Nodes whose drain was proved too long before the order to reboot.

use bellwether_proto::Phase;
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;

use crate::world::{World, name};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A node that is drained, and whose order waits since it is not Ready.
fn held_back() -> World {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").view.ready = false;
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "not while it is not Ready");
    assert!(world.records[&name("a")].drained_at.is_some());
    world
}

#[test]
fn d49_a_node_that_was_drained_long_ago_is_drained_again_before_its_reboot_is_ordered() {
    let mut world = held_back();
    let first = world.records[&name("a")].generation;
    world.pass(Policy::DRAIN_PROVED_FOR);
    world.host("a").view.ready = true;
    world.settle();
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.generation), (Phase::Draining, first.next()));
    assert_eq!(record.drained_at, None);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    assert_eq!(world.log.iter().filter(|line| *line == "a Draining").count(), 1);
}

#[test]
fn d49_a_node_that_was_drained_just_now_is_rebooted_at_once() {
    let mut world = held_back();
    world.pass(Policy::DRAIN_PROVED_FOR - SECOND);
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}
