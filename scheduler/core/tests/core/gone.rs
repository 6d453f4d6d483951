//! Stories of Node objects that are deleted while their hosts reboot, as cloud controllers do.

use bellwether_proto::Phase;
use bellwether_scheduler_core::admission::budget::Holder;
use bellwether_scheduler_core::{CancelEffect, Handled};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The host of `a` is down for its reboot, its Node was deleted, and `b` needs the one slot.
fn down_without_node() -> World {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.pass(MINUTE);
    world.drainer("a", true, 1);
    // The call is announced, and the host goes down for longer.
    world.rebooter("a", false);
    world.leave("a");
    world.need("b");
    world
}

#[test]
fn a_host_that_loses_its_node_while_it_is_down_keeps_its_slot_until_the_time_for_the_reboot_is_over() {
    let mut world = down_without_node();
    assert_eq!(world.reason("b"), Some("NoSlot"));
    assert!(
        world.message("b").contains("a (Node object deleted"),
        "{}",
        world.message("b")
    );
    // Another leader knows that from the record.
    world.crash();
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.pass(world.policy.reboot_timeout - MINUTE);
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), None, "its record is gone");
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_host_that_comes_back_under_a_new_node_frees_its_slot_after_the_soak() {
    let mut world = down_without_node();
    world.join("a");
    assert_eq!(
        (world.reason("a"), world.reason("b")),
        (Some("WaitsForReboot"), Some("NoSlot"))
    );
    assert!(world.message("a").contains("deleted while its host rebooted"));
    world.host("a").view.ready = false;
    world.pass(MINUTE);
    assert_eq!(world.reason("b"), Some("NoSlot"), "it has to be Ready");
    world.host("a").view.ready = true;
    world.settle();
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    assert!(world.host("a").view.cordoned_for.is_none());
}

#[test]
fn a_new_node_in_the_old_boot_shows_that_the_reboot_is_yet_to_come() {
    let mut world = down_without_node();
    let before = world.records[&name("a")].boot_before.clone();
    world.join("a");
    world.host("a").view.boot_id = Some(before);
    world.settle();
    world.pass(MINUTE * 5);
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_cancelled_reboot_whose_host_loses_its_node_keeps_its_slot_too() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.cancel("a", "");
    let record = world.records[&name("a")].clone();
    assert_eq!(record.phase, Phase::RollingBack);
    // The call was under way.
    let started = bellwether_proto::Fact::RebootStarted {
        boot_id: record.boot_before.clone(),
        method: "logind".into(),
    };
    world.say(&name("a"), started, record.generation, record.id);
    world.leave("a");
    world.need("b");
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.pass(world.policy.reboot_timeout);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_call_at_the_very_end_of_its_order_does_not_extend_the_time_for_the_reboot() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    let ordered = world.now;
    let record = world.records[&name("a")].clone();
    world.now = record.reboot_not_after.unwrap();
    let started = bellwether_proto::Fact::RebootStarted {
        boot_id: record.boot_before.clone(),
        method: "logind".into(),
    };
    world.say(&name("a"), started, record.generation, record.id);
    world.leave("a");
    world.need("b");
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.now = ordered + world.policy.reboot_timeout;
    world.settle();
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_host_that_never_was_called_or_was_back_already_frees_its_slot_at_once() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    world.need("b");
    world.leave("a");
    assert_eq!(world.phase("b"), Some(Phase::Draining), "no call was announced");
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    world.need("b");
    world.leave("a");
    assert_eq!(world.phase("b"), Some(Phase::Draining), "it was Ready in its new boot");
}

#[test]
fn a_host_that_lost_its_node_before_it_was_ready_in_its_new_boot_has_the_time_of_a_verification() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter_then("a", true, false);
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.need("b");
    world.leave("a");
    assert_eq!(world.reason("b"), Some("NoSlot"));
    world.pass(world.policy.verify_timeout);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn an_operator_releases_the_slot_of_a_host_whose_node_is_gone() {
    let mut world = down_without_node();
    let released = CancelEffect::SlotReleased { still: None };
    assert_eq!(world.cancel("a", "the machine is scrap"), Handled::Cancelled(released));
    world.settle();
    assert_eq!((world.phase("a"), world.phase("b")), (None, Some(Phase::Draining)));
    // Under a new Node, which is down itself.
    let mut world = down_without_node();
    world.join("a");
    world.host("a").view.ready = false;
    world.settle();
    let released = CancelEffect::SlotReleased {
        still: Some(Holder::NotReady),
    };
    assert_eq!(world.cancel("a", ""), Handled::Cancelled(released));
    world.settle();
    assert_eq!(world.reason("b"), Some("NoSlot"));
}
