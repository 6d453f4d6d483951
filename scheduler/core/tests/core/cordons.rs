//! Stories of cordons that operators take away, and of commands that are asked for again.

use bellwether_proto::{Cause, DrainFailure, Fact, Phase};
use bellwether_scheduler_core::{CancelRefusal, Handled, Input, Policy};
use jiff::SignedDuration;

use crate::world::{World, name};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The ways in which an operator takes our cordon away.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Removal {
    /// `kubectl uncordon`.
    Uncordon,
    /// Only the mark is removed: the node stays cordoned, and the cordon is a foreign one.
    Mark,
    /// Both, as the page for operators has it.
    Both,
}

const REMOVALS: [Removal; 3] = [Removal::Uncordon, Removal::Mark, Removal::Both];

fn drained() -> Fact {
    Fact::Drained {
        pods_gone: 1,
        pods_left: 0,
        pods_returning: 0,
        message: String::new(),
        report: None,
    }
}

fn remove_cordon(world: &mut World, node: &str, removal: Removal) {
    let host = world.host(node);
    if removal != Removal::Mark {
        host.view.unschedulable = false;
    }
    if removal != Removal::Uncordon {
        host.view.cordoned_for = None;
    }
    host.foreign_cordon = removal == Removal::Mark;
    world.settle();
}

/// The attempt ends as after a cancel: no reboot, and no second drain at once.
fn is_cancelled(world: &mut World, removal: Removal) {
    world.rebooter("a", true);
    assert!(world.ended_boots.is_empty(), "{removal:?}");
    assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{removal:?}");
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled), "{removal:?}");
    let reason = if removal == Removal::Mark {
        "ForeignCordon"
    } else {
        "CoolingDown"
    };
    assert_eq!(world.reason("a"), Some(reason), "{removal:?}");
    let drains = world.log.iter().filter(|line| *line == "a Draining").count();
    assert_eq!(drains, 1, "{removal:?}");
}

#[test]
fn a_cordon_that_is_taken_away_after_the_order_and_before_the_call_takes_the_order_back() {
    for removal in REMOVALS {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(Phase::Rebooting));
        remove_cordon(&mut world, "a", removal);
        is_cancelled(&mut world, removal);
    }
}

#[test]
fn a_cordon_that_is_taken_away_after_the_drain_and_before_the_order_ends_the_attempt_with_a_reason() {
    for removal in REMOVALS {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        world.host("a").view.ready = false;
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(Phase::Draining), "not while it is not Ready");
        remove_cordon(&mut world, "a", removal);
        assert!(world.reason("a").is_some());
        world.host("a").view.ready = true;
        world.settle();
        is_cancelled(&mut world, removal);
    }
}

#[test]
fn a_cordon_that_is_taken_away_during_the_drain_ends_the_attempt() {
    for removal in REMOVALS {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        let record = world.records[&name("a")].clone();
        world.host("a").view.unschedulable = true;
        world.host("a").view.cordoned_for = Some(record.id);
        world.say(&name("a"), Fact::Cordoned, record.generation, record.id);
        remove_cordon(&mut world, "a", removal);
        assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{removal:?}");
        is_cancelled(&mut world, removal);
    }
}

#[test]
fn a_cordon_that_a_view_has_shown_before_is_missed_at_once() {
    for reloads in [false, true] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        let record = world.records[&name("a")].clone();
        world.host("a").view.unschedulable = true;
        world.host("a").view.cordoned_for = Some(record.id);
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::Draining));
        if reloads {
            // The core that was given the view without the cordon decides nothing any more.
            let host = world.host("a");
            host.view.unschedulable = false;
            host.view.cordoned_for = None;
            let view = host.view.clone();
            world.give(Input::Node(view));
            world.reload();
        } else {
            remove_cordon(&mut world, "a", Removal::Both);
        }
        assert_eq!(world.phase("a"), Some(Phase::RollingBack), "a reload: {reloads}");
    }
}

#[test]
fn the_slot_of_a_drain_that_was_broken_off_is_kept_until_no_request_to_cordon_can_be_under_way() {
    let cordoned_again = |world: &mut World| {
        // The drainer cordons again what an operator uncordons, and the scheduler cancels: the new cordon comes late.
        let record = world.records[&name("a")].clone();
        world.host("a").view.unschedulable = true;
        world.host("a").view.cordoned_for = Some(record.id);
        world.settle();
        remove_cordon(world, "a", Removal::Both);
    };
    let cancelled = |world: &mut World| drop(world.cancel("a", ""));
    let rebooted_by_others = |world: &mut World| world.boot("a", true);
    for (name, break_off) in [
        ("cordoned again", cordoned_again as fn(&mut World)),
        ("cancelled", cancelled),
        ("rebooted by others", rebooted_by_others),
    ] {
        let mut world = World::new(1, &["a", "b"]);
        world.need("a");
        world.need("b");
        break_off(&mut world);
        world.drainer("a", true, 1);
        world.drainer("a", true, 1);
        world.pass(SignedDuration::from_secs(29));
        assert_eq!(
            (world.phase("a"), world.reason("a"), world.reason("b")),
            (Some(Phase::RollingBack), Some("WaitsForLateEffect"), Some("NoSlot")),
            "{name}"
        );
        world.pass(SignedDuration::from_secs(1));
        assert_eq!(world.phase("a"), Some(Phase::Cancelled));
        assert_eq!(world.phase("b"), Some(Phase::Draining));
    }
    // A drainer whose time is over does not wait for its request either.
    for uncordons in [1, 0] {
        let mut world = World::new(1, &["a", "b"]);
        world.policy.uncordon_timeout = SignedDuration::from_secs(1);
        world.policy.soak = SignedDuration::ZERO;
        world.crash();
        world.need("a");
        world.need("b");
        let record = world.records[&name("a")].clone();
        let failed = Fact::DrainFailed {
            failure: DrainFailure::Timeout,
            message: String::new(),
            obstacle: None,
            report: None,
        };
        world.say(&name("a"), failed, record.generation, record.id);
        world.drainer("a", true, uncordons);
        world.pass(SignedDuration::from_secs(29));
        assert_eq!(world.reason("b"), Some("NoSlot"), "{uncordons} uncordons");
        world.pass(SignedDuration::from_secs(1));
        assert_eq!(world.phase("b"), Some(Phase::Draining), "{uncordons} uncordons");
    }
}

#[test]
fn an_uncordon_that_got_no_answer_is_asked_for_again_though_the_host_has_gone_down_since() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    let first = world.records[&name("a")].generation;
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    world.boot("a", false);
    // A drainer takes the command and dies.
    world.drainer("a", false, 0);
    world.pass(MINUTE / 2);
    let record = &world.records[&name("a")];
    assert_eq!((record.phase, record.generation), (Phase::Uncordoning, first.next()));
}

#[test]
fn a_view_that_is_behind_the_drainers_report_is_waited_for() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    // The report is there before the view is.
    world.say(&name("a"), drained(), record.generation, record.id);
    world.pass(SignedDuration::from_secs(20));
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Draining), Some("WaitsForDrainedNode"))
    );
    let waiting = &world.records[&name("a")];
    assert_eq!((waiting.cordoned_at, waiting.drained_at), (None, None));
    // The state is loaded again from the records; what was reported is not forgotten.
    world.reload();
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(record.id);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    let known = &world.records[&name("a")];
    assert_eq!(
        (known.cordoned_at, known.drained_at),
        (Some(world.now), Some(world.now))
    );
}

#[test]
fn a_drain_that_is_reported_for_a_node_without_our_cordon_does_not_count() {
    for report in [drained(), Fact::Cordoned] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        let record = world.records[&name("a")].clone();
        world.commands.clear();
        world.say(&name("a"), report.clone(), record.generation, record.id);
        world.pass(SignedDuration::from_secs(29));
        assert_eq!(world.phase("a"), Some(Phase::Draining), "{report:?}");
        world.pass(SignedDuration::from_secs(1));
        assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{report:?}");
        let ended = &world.records[&name("a")];
        assert_eq!((ended.cordoned_at, ended.drained_at), (None, None), "{report:?}");
        let ending = ended.ending.clone().unwrap();
        assert_eq!(ending.cause, Cause::DrainFailed, "{}", ending.message);
        assert!(ending.message.contains("does not carry it"), "{}", ending.message);
    }
}

#[test]
fn a_foreign_cordon_does_not_prove_a_drain() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    world.host("a").view.unschedulable = true;
    world.settle();
    world.say(&name("a"), drained(), record.generation, record.id);
    world.pass(SignedDuration::from_secs(29));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(world.records[&name("a")].drained_at, None);
}

#[test]
fn a_report_that_its_leader_took_and_could_not_check_is_asked_for_again_by_the_next_leader() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    world.commands.clear();
    world.say(&name("a"), drained(), record.generation, record.id);
    world.crash();
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(record.id);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.pass(MINUTE / 2);
    assert!(world.records[&name("a")].generation > record.generation);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_drain_that_is_reported_is_not_commanded_again_while_the_view_is_behind() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let record = world.records[&name("a")].clone();
    world.commands.clear();
    world.pass(SignedDuration::from_secs(10));
    world.say(&name("a"), drained(), record.generation, record.id);
    world.pass(SignedDuration::from_secs(29));
    assert_eq!(world.records[&name("a")].generation, record.generation);
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(record.id);
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_report_of_an_older_generation_does_not_count_once_the_view_agrees() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let first = world.records[&name("a")].clone();
    world.commands.clear();
    world.pass(MINUTE / 2);
    let second = world.records[&name("a")].clone();
    assert!(second.generation > first.generation, "asked for again");
    world.say(&name("a"), drained(), first.generation, first.id);
    world.host("a").view.unschedulable = true;
    world.host("a").view.cordoned_for = Some(first.id);
    world.settle();
    assert_eq!(world.records[&name("a")].drained_at, None);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_uncordon_that_is_reported_while_the_view_shows_our_cordon_is_not_believed() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    let record = world.records[&name("a")].clone();
    assert_eq!(record.phase, Phase::Uncordoning);
    let report = Fact::Uncordoned {
        left_unschedulable: false,
    };
    world.say(&name("a"), report.clone(), record.generation, record.id);
    assert_eq!(
        world.phase("a"),
        Some(Phase::Uncordoning),
        "the node carries our cordon"
    );
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    assert_eq!(
        (world.reason("a"), world.reason("b")),
        (Some("UncordonStuck"), Some("NoSlot"))
    );
    // The same in a rollback.
    let mut world = World::new(1, &["a"]);
    world.need("a");
    world.drainer("a", false, 1);
    let record = world.records[&name("a")].clone();
    assert_eq!(record.phase, Phase::RollingBack);
    world.say(&name("a"), report, record.generation, record.id);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    assert!(world.records[&name("a")].slot_held);
    let host = world.host("a");
    host.view.unschedulable = false;
    host.view.cordoned_for = None;
    world.pass(Policy::LATE_EFFECT_MAX);
    assert_eq!(world.phase("a"), Some(Phase::Failed), "view and report agree");
}

#[test]
fn an_old_report_of_a_drain_does_not_count_for_a_drain_that_a_new_leader_asked_for_again() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let first = world.records[&name("a")].clone();
    // The drainer is done and its command settled; the leader dies before it gets the report.
    world.drainer("a", true, 0);
    world.crash();
    let second = world.records[&name("a")].clone();
    assert!(second.generation > first.generation, "a second drainer has the command");
    assert_eq!(
        (second.deadline, second.history.len()),
        (first.deadline, 1),
        "its deadline stays"
    );
    let drained = Fact::Drained {
        pods_gone: 3,
        pods_left: 1,
        pods_returning: 0,
        message: String::new(),
        report: None,
    };
    world.say(&name("a"), drained, first.generation, first.id);
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "the second drainer still evicts"
    );
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_drain_that_is_under_way_is_not_asked_for_again_by_a_new_leader() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let before = world.records[&name("a")].generation;
    world.crash();
    world.pass(MINUTE);
    assert_eq!(
        world.records[&name("a")].generation,
        before,
        "its command is still queued"
    );
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_command_that_is_lost_is_asked_for_again_in_each_phase_that_has_one() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    for (phase, next) in [
        (Phase::Draining, Phase::Rebooting),
        (Phase::Uncordoning, Phase::Soaking),
    ] {
        assert_eq!(world.phase("a"), Some(phase));
        world.commands.clear();
        world.pass(MINUTE / 2);
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(next));
        world.rebooter("a", true);
    }
}

#[test]
fn the_slot_of_a_host_that_ignored_its_reboot_is_kept_though_its_uncordon_got_stuck() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.reason("a"), Some("UncordonStuck"));
    let Handled::Refused(refusal) = world.cancel("a", "") else {
        panic!("the cancel was not refused");
    };
    assert_eq!(refusal, CancelRefusal::StillCordoned(name("a")));
    assert!(refusal.to_string().contains("kubectl uncordon a"), "{refusal}");
    world.drainer("a", true, 1);
    world.drainer("a", true, 1);
    assert!(world.host("a").view.cordoned_for.is_none());
    world.pass(MINUTE * 10);
    assert_eq!(world.reason("b"), Some("NoSlot"), "the host may go down at any moment");
    world.boot("a", true);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining), "the host is back");
}

#[test]
fn the_slot_of_a_node_that_rebooted_and_got_stuck_is_free_once_the_cordon_is_gone() {
    let mut world = World::new(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.pass(world.policy.uncordon_timeout);
    assert_eq!(world.reason("a"), Some("UncordonStuck"));
    remove_cordon(&mut world, "a", Removal::Both);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    let messages: Vec<&String> = world
        .log
        .iter()
        .filter(|line| line.starts_with("a RollingBack"))
        .collect();
    assert!(
        messages.is_empty(),
        "no orphan attempt holds the slot again: {messages:?}"
    );
}
