//! What stands in a record and in the events about it, and the order of the queue: rules whose breach stops nothing.

use bellwether_proto::{Cause, Phase};
use bellwether_scheduler_core::{Effect, Input, Policy};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn cause(world: &World) -> Option<Cause> {
    world.records[&name("a")].ending.as_ref().map(|ending| ending.cause)
}

#[test]
fn the_event_of_a_phase_has_the_reason_of_the_transition() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.cancel("a", "not tonight");
    assert_eq!(world.log.last().unwrap(), "a RollingBack cancelled by me: not tonight");
}

#[test]
fn a_command_that_is_asked_for_again_begins_no_phase() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let (events, before) = (world.log.len(), world.records[&name("a")].clone());
    world.commands.clear();
    world.pass(Policy::REMINDER);
    let after = &world.records[&name("a")];
    assert!(after.generation > before.generation);
    assert_eq!((after.history.len(), world.log.len()), (before.history.len(), events));
}

#[test]
fn the_record_knows_the_kernel_before_the_reboot() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    assert_eq!(world.records[&name("a")].kernel_before, "6.1");
}

#[test]
fn the_attempt_of_a_node_that_is_gone_ends_with_an_event_if_it_was_running() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.leave("a");
    assert_eq!(world.log.last().unwrap(), "a Cancelled the Node object is gone");
    world.join("a");
    world.commands.clear();
    world.need("a");
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    let events = world.log.len();
    world.leave("a");
    assert_eq!(
        world.log[events..],
        Vec::<String>::new(),
        "an attempt that has ended ends once"
    );
    assert!(!world.records.contains_key(&name("a")));
}

#[test]
fn the_last_reboot_is_one_that_the_attempt_ordered() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.boot("a", true);
    assert_eq!(cause(&world), Some(Cause::RebootedElsewhere));
    assert_eq!(world.records[&name("a")].last_reboot, None);
}

#[test]
fn the_last_reboot_began_at_the_order_if_no_rebooter_has_announced_a_call() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.pass(MINUTE);
    world.drainer("a", true, 1);
    let ordered = world.now;
    world.pass(MINUTE);
    world.boot("a", true);
    let reboot = world.records[&name("a")].last_reboot.clone().unwrap();
    assert_eq!(reboot.began_at, ordered);
}

#[test]
fn a_boot_by_others_after_the_proof_does_not_replace_the_last_reboot() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    let before = world.records[&name("a")].last_reboot.clone();
    assert!(before.is_some());
    world.boot("a", true);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    assert_eq!(world.records[&name("a")].last_reboot, before);
}

#[test]
fn a_node_whose_slot_an_operator_has_released_does_not_continue_its_attempt() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.host("a").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    world.cancel("a", "");
    world.boot("a", true);
    world.pass(MINUTE);
    assert_eq!(
        (world.phase("a"), cause(&world)),
        (Some(Phase::RollingBack), Some(Cause::RecordLost))
    );
}

#[test]
fn a_node_whose_kubelet_stays_in_the_old_boot_is_not_taken_for_one_with_a_silent_sentinel() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    let mut report = world.fleet.sentinel(&name("a")).unwrap().clone();
    report.report.boot_id = "boot-new".parse().unwrap();
    world.give(Input::Sentinel(report));
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::Verifying));
    world.now += world.policy.verify_timeout;
    world.advance();
    assert_eq!(
        (world.phase("a"), cause(&world)),
        (Some(Phase::Failed), Some(Cause::NodeNotBack))
    );
}

#[test]
fn an_uncordon_that_got_stuck_names_what_was_rolled_back() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", false, 1);
    world.commands.clear();
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(cause(&world), Some(Cause::UncordonStuck));
    assert!(world.message("a").contains("after: a budget"), "{}", world.message("a"));
}

#[test]
fn a_node_that_was_rebooted_before_is_no_node_that_was_tried_in_vain() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE * 5);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    world.pass(MINUTE * 60);
    world.pause("");
    world.need("a");
    world.pass(MINUTE);
    world.need("b");
    world.resume();
    world.settle();
    assert_eq!(
        (world.phase("a"), world.phase("b")),
        (Some(Phase::Draining), None),
        "the older need goes first"
    );
}

#[test]
fn every_node_in_the_queue_has_its_number_and_reads_how_many_slots_are_taken() {
    for (slots, text) in [(1, "1 slot is taken by"), (2, "2 slots are taken by")] {
        let mut world = World::new(slots, &["a", "b", "c", "d"]);
        for node in ["a", "b", "c", "d"] {
            world.need(node);
            world.pass(MINUTE);
        }
        let waiting: Vec<_> = world
            .fleet
            .standings()
            .filter_map(|(node, standing)| Some((node.name.clone(), standing.reason?)))
            .filter(|(_, reason)| reason.code() == "NoSlot")
            .collect();
        assert_eq!(waiting.len(), 4 - usize::try_from(slots).unwrap());
        for ((node, reason), number) in waiting.into_iter().zip(1..) {
            let message = reason.message();
            assert!(message.starts_with(text), "{message}");
            assert!(message.ends_with(&format!("number {number} in the queue")), "{message}");
            assert_eq!(world.message(node.as_str()), message, "one node, or all of them");
        }
    }
}

#[test]
fn an_attempt_that_failed_and_holds_no_slot_is_left_as_it_is() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", false, 1);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    let stored = |world: &World| {
        let stores = world
            .effects
            .iter()
            .filter(|(_, effect)| matches!(effect, Effect::StoreAttempt(..)));
        stores.count()
    };
    let before = stored(&world);
    world.host("a").need = Ok(None);
    world.pass(MINUTE * 5);
    world.boot("a", true);
    world.pass(MINUTE * 5);
    assert_eq!(stored(&world), before);
}

#[test]
fn a_need_keeps_its_age_and_its_place_in_the_queue_when_its_file_is_written_again() {
    let mut world = World::new(1, &["a", "b", "c"]);
    world.need("a");
    world.need("b");
    let since = world.now;
    world.need("c");
    world.pass(MINUTE);
    world.need("b");
    let oldest = |world: &World| world.fleet.counts().oldest_need();
    assert!(
        world.message("b").contains("number 1 in the queue"),
        "{}",
        world.message("b")
    );
    // The next leader has it from the report.
    world.crash();
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!((world.phase("b"), oldest(&world)), (Some(Phase::Draining), Some(since)));
    // What distinguishes a need from the one before is the time of its file.
    assert!(world.records[&name("b")].need_since > since);
    // A need after a report without one is a new need.
    world.host("c").need = Ok(None);
    world.settle();
    world.need("c");
    let report = world.fleet.sentinel(&name("c")).unwrap();
    assert_eq!(report.report.need.required().unwrap().first_since, world.now);
}
