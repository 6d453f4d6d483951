//! Stories of nodes that are tried in vain: they may neither starve others nor be drained again and again.

use bellwether_proto::{Phase, Problem};
use jiff::SignedDuration;

use crate::world::{AtBoot, World};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// How often an attempt started on the node.
fn starts(world: &World, node: &str) -> usize {
    let line = format!("{node} Draining");
    world.log.iter().filter(|entry| **entry == line).count()
}

/// Passes time in steps of a minute, in which no drain ends and every uncordon works.
fn pass_in_vain(world: &mut World, minutes: i64) {
    for _ in 0..minutes {
        world.pass(MINUTE);
        let nodes: Vec<String> = world.hosts.keys().map(ToString::to_string).collect();
        for node in nodes {
            if world.phase(&node) == Some(Phase::RollingBack) {
                world.drainer(&node, true, 1);
                world.drainer(&node, true, 1);
            }
        }
    }
}

#[test]
fn a_node_that_was_never_tried_starts_within_one_drain_however_many_others_fail_for_ever() {
    let failing: Vec<String> = (0..17).map(|number| format!("f{number}")).collect();
    let mut names: Vec<&str> = failing.iter().map(String::as_str).collect();
    names.extend(["free", "cp-free"]);
    let mut world = World::new(1, &names);
    for node in &failing {
        world.need(node);
    }
    // Long enough for each to fail so often that its delay is the longest.
    pass_in_vain(&mut world, 4 * 24 * 60);
    assert!(failing.iter().all(|node| starts(&world, node) > 2));
    for node in ["free", "cp-free"] {
        world.need(node);
        let limit = world.policy.drain_timeout + MINUTE * 3;
        pass_in_vain(&mut world, limit.as_mins());
        assert_eq!(world.phase(node), Some(Phase::Draining), "{node}");
        world.drainer(node, true, 1);
        world.rebooter(node, true);
        world.drainer(node, true, 1);
        world.pass(world.policy.soak);
        assert_eq!(world.phase(node), Some(Phase::Done));
    }
}

#[test]
fn nodes_that_fail_never_hold_all_slots() {
    let mut world = World::new(3, &["f1", "f2", "f3", "f4", "f5", "free"]);
    for node in ["f1", "f2", "f3", "f4", "f5"] {
        world.need(node);
    }
    assert_eq!(world.fleet.slots_taken(), 3, "nodes that were not tried take all");
    pass_in_vain(&mut world, 24 * 60);
    let mut most = 0;
    for _ in 0..600 {
        pass_in_vain(&mut world, 1);
        most = most.max(world.fleet.slots_taken());
    }
    assert_eq!(
        most, 2,
        "one slot is left for a node that was not tried, and no more than one"
    );
    world.need("free");
    assert_eq!(world.phase("free"), Some(Phase::Draining));
}

#[test]
fn nodes_that_fail_take_turns() {
    let mut world = World::new(1, &["a", "b", "c"]);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    pass_in_vain(&mut world, 7 * 24 * 60);
    let counts: Vec<usize> = ["a", "b", "c"].map(|node| starts(&world, node)).into();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

/// In each kind of flapping, the node is drained at most so often in three hours: after 0, 10, 30, 70 and
/// 150 minutes, with some minutes for each attempt.
const STARTS_MAX: usize = 5;

/// Repeats a mishap for three hours, and counts how often the node is drained. Another node waits for
/// the one slot, and must have its turn after the first mishap.
fn flap(name: &str, mut mishap: impl FnMut(&mut World)) {
    let mut world = World::new(1, &["a", "z"]);
    world.need("a");
    world.need("z");
    for _ in 0..360 {
        mishap(&mut world);
        for node in ["a", "z"] {
            if world.phase(node) == Some(Phase::RollingBack) {
                world.drainer(node, true, 1);
                world.drainer(node, true, 1);
            }
        }
        if world.phase("z") == Some(Phase::Draining) {
            world.drainer("z", true, 1);
            world.rebooter("z", true);
            world.drainer("z", true, 1);
        }
        world.pass(SignedDuration::from_secs(30));
    }
    assert!(
        (2..=STARTS_MAX).contains(&starts(&world, "a")),
        "{name}: {}",
        starts(&world, "a")
    );
    assert_eq!(starts(&world, "z"), 1, "{name}");
    let first = world.log.iter().position(|line| line == "z Draining").unwrap();
    let before = world.log[..first].iter().filter(|line| *line == "a Draining").count();
    assert_eq!(before, 1, "{name}: the other node waited for a second try");
}

#[test]
fn a_node_whose_attempts_end_without_a_reboot_is_drained_ever_more_rarely_for_each_cause() {
    flap("a preflight", |world| {
        world.host("a").preflight = Some(Problem::unclassified("no"));
        world.drainer("a", true, 1);
        world.settle();
        world.host("a").preflight = None;
        world.settle();
    });
    flap("a need", |world| {
        if world.phase("a") == Some(Phase::Draining) {
            world.host("a").need = Ok(None);
            world.settle();
        }
        world.need("a");
    });
    flap("a reboot by others", |world| {
        if world.phase("a") == Some(Phase::Draining) {
            world.boot("a", true);
        }
        world.need("a");
    });
    flap("an operator who uncordons", |world| {
        if world.phase("a") == Some(Phase::Draining) {
            let ready = std::mem::replace(&mut world.host("a").view.ready, false);
            world.drainer("a", true, 1);
            world.host("a").view.unschedulable = false;
            world.host("a").view.ready = ready;
            world.settle();
        }
    });
    flap("an operator who cancels", |world| {
        if world.phase("a") == Some(Phase::Draining) {
            world.cancel("a", "");
            world.settle();
        }
    });
    flap("a refusal", |world| {
        if world.phase("a") == Some(Phase::Draining) {
            world.drainer("a", true, 1);
            world.rebooter_refuses("a");
        }
    });
}

#[test]
fn a_node_whose_need_returns_after_each_reboot_is_rebooted_at_most_once_in_each_delay() {
    let mut world = World::new(1, &["a"]);
    let end = world.now + SignedDuration::from_hours(1);
    while world.now < end {
        world.need("a");
        world.drainer("a", true, 1);
        world.rebooter("a", true);
        world.drainer("a", true, 1);
        world.pass(SignedDuration::from_secs(30));
        if world.phase("a") == Some(Phase::Done) {
            world.need("a");
            assert_eq!(world.reason("a"), Some("CoolingDown"));
            assert!(
                world.message("a").contains("rebooted a short time ago"),
                "{}",
                world.message("a")
            );
        }
    }
    assert_eq!(world.ended_boots.len(), 6);
}

#[test]
fn a_host_that_asks_for_the_next_reboot_at_each_boot_is_rebooted_ever_more_rarely() {
    let mut world = World::new(1, &["a"]);
    world.host("a").at_boot = AtBoot::Comes;
    world.need("a");
    let end = world.now + SignedDuration::from_hours(24);
    while world.now < end {
        world.drainer("a", true, 1);
        if world.phase("a") == Some(Phase::Rebooting) {
            world.pass(MINUTE);
            world.rebooter("a", true);
            world.drainer("a", true, 1);
        }
        world.pass(MINUTE);
    }
    // After 0, 10, 30, 70, 150, 310, 630 and 1,110 minutes, with some minutes for each reboot.
    assert!(
        (6..=8).contains(&world.ended_boots.len()),
        "{}",
        world.ended_boots.len()
    );
}

#[test]
fn one_node_of_the_control_plane_is_disrupted_at_once_whatever_the_slots() {
    let mut world = World::new(3, &["cp1", "cp2", "cp3", "worker"]);
    for node in ["cp1", "cp2", "cp3"] {
        world.need(node);
    }
    assert_eq!(world.phase("cp1"), Some(Phase::Draining));
    assert_eq!(world.reason("cp2"), Some("ControlPlaneBusy"));
    let message = world.message("cp3");
    assert!(message.contains("cp1 is disrupted (Draining)"), "{message}");
    world.need("worker");
    assert_eq!(
        world.phase("worker"),
        Some(Phase::Draining),
        "workers have the other slots"
    );
    world.work_until_quiet();
    let of_control_plane =
        |line: &&String| line.starts_with("cp") && (line.ends_with("Draining") || line.ends_with("Done"));
    let log: Vec<&str> = world.log.iter().filter(of_control_plane).map(String::as_str).collect();
    let one_by_one = [
        "cp1 Draining",
        "cp1 Done",
        "cp2 Draining",
        "cp2 Done",
        "cp3 Draining",
        "cp3 Done",
    ];
    assert_eq!(log, one_by_one);
}

#[test]
fn a_node_of_the_control_plane_that_is_down_or_cordoned_by_others_keeps_the_rest_from_starting() {
    let mut world = World::new(3, &["cp1", "cp2"]);
    world.host("cp1").view.ready = false;
    world.need("cp2");
    assert_eq!(world.reason("cp2"), Some("ControlPlaneBusy"));
    let host = world.host("cp1");
    host.view.ready = true;
    host.foreign_cordon = true;
    host.view.unschedulable = true;
    world.settle();
    assert_eq!(world.reason("cp2"), Some("ControlPlaneBusy"));
    let host = world.host("cp1");
    host.foreign_cordon = false;
    host.view.unschedulable = false;
    world.settle();
    assert_eq!(world.phase("cp2"), Some(Phase::Draining));
}

#[test]
fn a_node_that_was_tried_in_vain_several_times_says_how_often_and_names_the_obstacle() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    for tries in 1..=3 {
        world.drainer("a", false, 1);
        world.drainer("a", true, 1);
        world.pass(MINUTE);
        let message = world.message("a");
        assert_eq!(world.reason("a"), Some("CoolingDown"));
        assert!(
            message.contains("next try at") && message.contains("a budget"),
            "{message}"
        );
        let counted = format!("{tries} attempts in a row ended without a reboot");
        assert_eq!(message.contains(&counted), tries > 1, "{message}");
        world.pass(MINUTE * 60);
        assert_eq!(world.phase("a"), Some(Phase::Draining));
    }
}
