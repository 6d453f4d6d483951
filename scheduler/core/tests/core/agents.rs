//! Stories of agents and kubelets that do not agree, or fall silent, before a node starts.

use bellwether_proto::Phase;
use bellwether_scheduler_core::{Input, NodeView, Policy};
use jiff::SignedDuration;

use crate::world::{World, name};

#[test]
fn a_node_whose_kubelet_and_sentinel_report_different_boots_waits_until_they_agree() {
    let mut world = World::new(1, &["a"]);
    let agreed = world.host("a").view.clone();
    let other = NodeView {
        boot_id: Some("boot-other".parse().unwrap()),
        ..agreed.clone()
    };
    world.give(Input::Node(other));
    world.need("a");
    assert_eq!(world.reason("a"), Some("BootUnsettled"));
    world.give(Input::Node(agreed));
    world.advance();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_rebooter_of_another_boot_or_one_that_is_silent_cannot_carry_out_an_order() {
    let mut world = World::new(1, &["a"]);
    let mut of_other_boot = world.fleet.rebooter(&name("a")).unwrap().clone();
    of_other_boot.report.boot_id = "boot-other".parse().unwrap();
    world.give(Input::Rebooter(of_other_boot));
    world.need("a");
    assert_eq!(
        world.reason("a"),
        Some("NoRebooter"),
        "its report is new, and of another boot"
    );
    // One that is of this boot, and has missed its reports while the sentinel has not.
    let mut world = World::new(1, &["a"]);
    let rebooter = world.fleet.rebooter(&name("a")).unwrap().clone();
    let mut sentinel = world.fleet.sentinel(&name("a")).unwrap().clone();
    world.now += SignedDuration::from_mins(10);
    assert!(rebooter.stale_at() <= world.now);
    sentinel.stored_at = world.now;
    sentinel.report.reported_at = world.now;
    sentinel.report.need = bellwether_proto::NeedReport::Required(bellwether_proto::RebootNeed {
        since: world.now,
        first_since: world.now,
        reasons: vec!["linux-image".into()],
        trace: None,
        undated: false,
    });
    world.give(Input::Sentinel(sentinel));
    world.advance();
    assert_eq!(world.reason("a"), Some("NoRebooter"), "its last report is stale");
}

#[test]
fn a_node_whose_clock_is_off_is_neither_drained_nor_ordered_to_reboot_until_the_clock_is_right() {
    let second = SignedDuration::from_secs(1);
    for limit in [Policy::CLOCK_OFF_MAX, -Policy::CLOCK_OFF_MAX] {
        let beyond = limit + second * limit.signum().into();
        let mut world = World::new(1, &["a"]);
        world.host("a").rebooter_ahead = beyond;
        world.settle();
        world.need("a");
        assert_eq!(world.reason("a"), Some("ClockOff"), "{beyond:#}");
        let side = if limit.is_negative() { "behind" } else { "ahead of" };
        let message = world.message("a");
        assert!(message.contains(&format!("1m 1s {side} that of NATS")), "{message}");
        world.host("a").rebooter_ahead = limit;
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::Draining), "{limit:#}");
        // Right before the order the next report is waited for.
        world.host("a").rebooter_ahead = beyond;
        world.settle();
        world.drainer("a", true, 1);
        assert_eq!(world.phase("a"), Some(Phase::Draining), "{beyond:#}");
        assert!(world.message("a").contains("that of NATS"), "{}", world.message("a"));
        world.host("a").rebooter_ahead = limit;
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::Rebooting), "{limit:#}");
    }
}
