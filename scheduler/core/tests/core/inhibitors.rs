//! Stories of orders that the rebooter cannot carry out at once: a package upgrade, a call that does not arrive.

use bellwether_proto::{Fact, Phase, Problem, ProblemCode};
use bellwether_scheduler_core::Policy;

use crate::world::{World, name};

/// The rebooter waits for the end of a package upgrade with the order in hand, and the node stays cordoned meanwhile.
#[test]
fn an_inhibitor_that_comes_during_the_drain_does_not_undo_it() {
    let mut world = World::new(1, &["a"]);
    world.need("a");
    let upgrade = Problem::new(ProblemCode::ShutdownInhibited, "apt blocks shutdowns");
    world.host("a").preflight = Some(upgrade);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    assert_eq!(world.reason("a"), Some("WaitsForRebootCall"));
    assert!(
        world.message("a").contains("apt blocks shutdowns"),
        "{}",
        world.message("a")
    );
    world.host("a").preflight = None;
    world.settle();
    world.rebooter("a", true);
    world.work_until_quiet();
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn an_inhibitor_keeps_a_node_from_being_drained() {
    let mut world = World::new(1, &["a"]);
    let upgrade = Problem::new(ProblemCode::ShutdownInhibited, "apt blocks shutdowns");
    world.host("a").preflight = Some(upgrade);
    world.need("a");
    assert_eq!(world.phase("a"), None);
    assert_eq!(world.reason("a"), Some("PreflightFailed"));
}

/// Only the rebooter's own word that no call is under way ends the wait for the announced reboot.
#[test]
fn an_announced_reboot_whose_call_never_arrived_costs_no_slot() {
    for (code, waits) in [("Unreached", false), ("Inhibited", false), ("Spent", true), ("", true)] {
        let mut world = World::new(1, &["a"]);
        world.need("a");
        world.drainer("a", true, 1);
        world.rebooter("a", false);
        let record = world.records[&name("a")].clone();
        assert!(record.reboot_started_at.is_some());
        let refused = Fact::RebootRefused {
            message: "no call arrived".to_owned(),
            code: code.to_owned(),
        };
        world.say(&name("a"), refused, record.generation, record.id);
        world.drainer("a", true, 1);
        world.pass(Policy::LATE_EFFECT_MAX);
        let expected = if waits { Phase::RollingBack } else { Phase::Failed };
        assert_eq!(world.phase("a"), Some(expected), "{code}");
        assert_eq!(world.records[&name("a")].slot_held, waits, "{code}");
    }
}
