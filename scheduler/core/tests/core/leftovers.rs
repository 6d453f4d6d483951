//! Stories of what is left behind: by agents that are gone, by nodes that are gone, by events of others.

use bellwether_proto::limit::HISTORY_MAX;
use bellwether_proto::{Attempt, DrainProgress, Fact, Generation, Phase};
use bellwether_scheduler_core::{Handled, Input, Wait};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

#[test]
fn an_order_on_which_no_rebooter_acted_frees_its_slot_at_the_deadline() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Rebooting), Some("WaitsForRebootCall"))
    );
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Failed), Some("CoolingDown"))
    );
    assert_eq!(
        world.phase("b"),
        Some(Phase::Draining),
        "no host was called for a reboot"
    );
}

#[test]
fn reports_of_nodes_that_are_gone_are_dropped_once_they_are_stale() {
    let mut world = World::new(1, &["a"]);
    for number in 0..100 {
        let node = format!("gone-{number}");
        world.join(&node);
        world.leave(&node);
    }
    assert!(world.fleet.sentinel(&name("gone-7")).is_some());
    // Three refreshes of the sentinel; then the core is woken though nothing happens.
    world.pass(MINUTE * 15);
    for number in 0..100 {
        let node = name(&format!("gone-{number}"));
        assert!(world.fleet.sentinel(&node).is_none() && world.fleet.rebooter(&node).is_none());
    }
    // A report that comes before its node waits for it.
    world.join("b");
    world.need("b");
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn a_node_that_flaps_through_its_soak_is_released_only_once_it_stays_ready() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    let flap = |world: &mut World| {
        for ready in [false, true] {
            world.host("a").view.ready = ready;
            world.pass(SignedDuration::from_secs(10));
        }
    };
    while world.phase("a") == Some(Phase::Soaking) {
        flap(&mut world);
    }
    for _ in 0..10 {
        flap(&mut world);
        assert_eq!(
            (world.phase("a"), world.reason("b")),
            (Some(Phase::Failed), Some("NoSlot"))
        );
    }
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn an_event_of_a_newer_generation_shows_that_another_scheduler_leads() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let Attempt { id, generation, .. } = world.records[&name("a")];
    let mut event = |generation: Generation| {
        world.give(Input::Event(bellwether_proto::NodeEvent {
            node: name("a"),
            attempt: id,
            generation,
            at: world.now,
            source: "test".into(),
            fact: Fact::Cordoned,
        }))
    };
    assert_eq!(event(generation.next()), Handled::OtherAttempt);
    assert_eq!(event(generation), Handled::Accepted);
}

#[test]
fn a_node_that_is_being_deleted_is_not_rebooted_in_any_phase_before_the_call() {
    for phase in [Phase::Draining, Phase::Rebooting] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        if phase == Phase::Rebooting {
            world.drainer("a", true, 1);
        }
        assert_eq!(world.phase("a"), Some(phase));
        world.host("a").view.deleting = true;
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
        world.drainer("a", true, 1);
        world.rebooter("a", true);
        assert!(world.ended_boots.is_empty());
    }
}

#[test]
fn the_history_of_a_record_is_bounded_whatever_a_node_does() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.host("a").view.ready = false;
    world.pass(world.policy.reboot_timeout);
    for _ in 0..HISTORY_MAX {
        assert_eq!(world.reason("a"), Some("NodeNotBack"));
        // Each time the node seems to be back, and is not.
        world.host("a").view.ready = true;
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::RollingBack));
        world.host("a").view.ready = false;
        world.pass(world.policy.uncordon_timeout);
        world.commands.clear();
    }
    let record = &world.records[&name("a")];
    assert_eq!(record.history.len(), HISTORY_MAX, "none is dropped too early");
    assert_eq!(record.history[0].phase, Phase::Draining, "the begin stays");
}

#[test]
fn a_cordon_of_ours_is_not_called_foreign() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.host("a").view.ready = false;
    world.records.clear();
    world.crash();
    world.host("a").view.ready = true;
    world.host("a").view.deleting = true;
    world.need("b");
    assert_eq!(world.reason("a"), Some("NodeDeleting"));
    assert!(world.message("b").contains("cordon of ours"), "{}", world.message("b"));
}

#[test]
fn a_drain_says_how_far_it_is_and_what_blocks_it() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let Attempt { id, generation, .. } = world.records[&name("a")];
    assert!(
        world.message("a").contains("none has reported progress yet"),
        "{}",
        world.message("a")
    );
    for (pods_left, held_up_by, text) in [
        (1, vec![], "1 pod left, 4 gone"),
        (2, vec!["budget web"], "2 pods left, 4 gone; held up by budget web"),
        (
            3,
            vec!["budget web", "pod db"],
            "3 pods left, 4 gone; held up by budget web and 1 more",
        ),
    ] {
        let held_up_by = held_up_by.into_iter().map(String::from).collect();
        let progress = Fact::DrainProgressed(DrainProgress {
            pods_left,
            pods_gone: 4,
            held_up_by,
            blockers: vec![],
        });
        world.say(&name("a"), progress, generation, id);
        assert_eq!(world.message("a"), text);
    }
}

#[test]
fn a_drain_that_is_done_is_not_commanded_again() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.host("a").view.ready = false;
    world.drainer("a", true, 1);
    let generation = world.records[&name("a")].generation;
    world.pass(MINUTE * 5);
    world.crash();
    world.pass(MINUTE * 5);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Draining), Some("WaitsForDrainedNode"))
    );
    assert_eq!(world.records[&name("a")].generation, generation);
}

#[test]
fn every_step_of_an_attempt_says_what_it_waits_for() {
    let mut world = World::new(1, &["a"]);
    let mut waits = Vec::new();
    let mut note = |world: &World| waits.push(world.reason("a").unwrap_or("none"));
    world.need("a");
    note(&world);
    world.host("a").view.ready = false;
    world.drainer("a", true, 1);
    note(&world);
    world.host("a").view.ready = true;
    world.settle();
    note(&world);
    world.rebooter("a", false);
    note(&world);
    world.boot("a", false);
    note(&world);
    world.host("a").view.ready = true;
    let mut view = world.host("a").view.clone();
    view.boot_id = Some("boot-kubelet".parse().unwrap());
    world.give(Input::Node(view));
    world.advance();
    note(&world);
    world.settle();
    note(&world);
    world.drainer("a", true, 1);
    note(&world);
    let codes = [
        Wait::Drain,
        Wait::DrainedNode,
        Wait::RebootCall,
        Wait::Reboot,
        Wait::ReadyInNewBoot,
        Wait::NewBootReports,
        Wait::Uncordon,
        Wait::Soak,
    ];
    assert_eq!(waits, codes.map(Wait::code));
}
