//! The key that signs records, and rebooters that do not know it.

use bellwether_proto::{KeyId, Phase};
use bellwether_scheduler_core::Input;

use crate::world::World;

fn key() -> KeyId {
    "34750f98bd59fcfc".parse().unwrap()
}

/// A world in which this key signs, and a need.
fn world(keys: Option<Vec<KeyId>>) -> World {
    let mut world = World::new(1, &["a"]);
    world.give(Input::SigningKey(key()));
    world.host("a").keys = keys;
    world.need("a");
    world
}

#[test]
fn a_node_whose_rebooter_does_not_know_the_key_is_not_drained_until_it_does() {
    let mut world = world(Some(vec!["6a3803d5f059902a".parse().unwrap()]));
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("RecordKeyUnknown")));
    world.host("a").keys = Some(vec![key()]);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_rebooter_of_a_version_before_signatures_needs_no_key() {
    assert_eq!(world(None).phase("a"), Some(Phase::Draining));
}

#[test]
fn no_reboot_is_ordered_while_the_rebooter_does_not_know_the_key_and_the_drain_is_not_lost() {
    let mut world = world(Some(vec![key()]));
    world.host("a").keys = Some(Vec::new());
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.host("a").keys = Some(vec![key()]);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}
