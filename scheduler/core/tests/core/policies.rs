//! Stories of policies: which node may start, and what happens at the end of a window.

use bellwether_proto::{Cause, Phase};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The world begins at midnight.
fn under(policies: &[(&str, Value)]) -> World {
    let mut world = World::new(1, &["a", "c"]);
    world.policies = policies.iter().map(|(name, spec)| policy(name, spec.clone())).collect();
    world.settle();
    world
}

/// From one o'clock to three.
fn window() -> Value {
    json!({ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" })
}

fn nights() -> (&'static str, Value) {
    ("nights", json!({ "windows": [window()], "startMargin": "30m" }))
}

#[test]
fn a_node_starts_at_the_very_opening_of_the_window_and_knows_when_that_is() {
    let mut world = under(&[nights()]);
    world.need("a");
    assert_eq!(world.reason("a"), Some("WindowShut"));
    assert!(
        world.message("a").contains("next opening at 2026-01-01T01:00:00Z"),
        "{}",
        world.message("a")
    );
    world.now = "2026-01-01T01:00:00Z".parse().unwrap();
    world.settle();
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_drain_that_could_not_end_inside_does_not_begin() {
    let mut world = under(&[nights()]);
    world.pass(MINUTE * 151);
    world.need("a");
    assert_eq!(world.reason("a"), Some("WindowTooShort"));
    let message = world.message("a");
    assert!(
        message.contains("2026-01-01T03:00:00Z") && message.contains("30m"),
        "{message}"
    );
    world.pass(MINUTE * 24 * 60 - MINUTE * 91);
    assert_eq!(world.phase("a"), Some(Phase::Draining), "in the next night");
}

#[test]
fn without_a_margin_the_last_drain_of_the_node_counts_or_the_longest_there_may_be() {
    let without = ("nights", json!({ "windows": [window()] }));
    let mut world = under(&[without]);
    world.policy.drain_timeout = MINUTE * 60;
    world.crash();
    world.settle();
    world.pass(MINUTE * 61);
    world.need("a");
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "59 minutes are left, and an hour before that one was"
    );
    world.pass(MINUTE * 10);
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    // 40 minutes before the end: the drain took ten.
    world.pass(MINUTE * 68);
    world.need("a");
    world.need("c");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(
        world.reason("c"),
        Some("WindowTooShort"),
        "nothing was measured of this node"
    );
}

#[test]
fn a_node_whose_last_drain_took_ten_minutes_does_not_start_a_quarter_of_an_hour_before_the_end() {
    let mut world = under(&[("nights", json!({ "windows": [window()] }))]);
    world.pass(MINUTE * 61);
    world.need("a");
    world.pass(MINUTE * 10);
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE * 94);
    world.need("a");
    assert_eq!(world.reason("a"), Some("WindowTooShort"));
    assert!(world.message("a").contains("20m"), "{}", world.message("a"));
}

#[test]
fn the_delay_of_a_reboot_counts_once_and_is_no_time_of_the_drain() {
    let spec = json!({ "windows": [window()], "drain": { "rebootDelay": "10m" } });
    let mut world = under(&[("nights", spec)]);
    world.pass(MINUTE * 61);
    world.need("a");
    world.pass(MINUTE * 10);
    world.drainer("a", true, 1);
    world.pass(MINUTE * 10);
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE * 84);
    world.need("a");
    assert_eq!(world.reason("a"), Some("WindowTooShort"));
    let message = world.message("a");
    assert!(
        message.contains("start 30m before"),
        "twice the ten minutes, and ten: {message}"
    );
}

#[test]
fn a_drain_that_is_under_way_at_the_end_of_the_window_is_taken_back_before_the_reboot() {
    let mut world = under(&[("nights", json!({ "windows": [window()], "startMargin": "0s" }))]);
    world.pass(MINUTE * 170);
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    world.pass(MINUTE * 10);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NotFit);
    assert!(ending.message.contains("no window is open"), "{}", ending.message);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Cancelled));
    assert!(world.host("a").view.cordoned_for.is_none());
}

#[test]
fn a_reboot_that_was_ordered_in_the_window_goes_on_after_its_end() {
    let mut world = under(&[nights()]);
    world.pass(MINUTE * 149);
    world.need("a");
    world.pass(MINUTE * 30);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    world.pass(MINUTE * 2);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("a"), Some(Phase::Done));
}

#[test]
fn a_blackout_says_its_reason_and_the_opening_after_itself() {
    let blackout = json!({ "from": "2026-01-01", "to": "2026-01-02", "reason": "stocktaking" });
    let mut world = under(&[("nights", json!({ "windows": [window()], "blackouts": [blackout] }))]);
    world.pass(MINUTE * 70);
    world.need("a");
    let message = world.message("a");
    assert_eq!(world.reason("a"), Some("WindowShut"));
    assert!(
        message.contains("stocktaking") && message.contains("2026-01-03T01:00:00Z"),
        "{message}"
    );
}

#[test]
fn each_node_follows_its_own_policy() {
    let workers = json!({ "matchLabels": { "pool": "w" } });
    let always = ("workers", json!({ "nodeSelector": workers, "priority": 1 }));
    let mut world = under(&[nights(), always]);
    world.need("c");
    world.need("a");
    assert_eq!(
        (world.phase("a"), world.reason("c")),
        (Some(Phase::Draining), Some("WindowShut"))
    );
}

#[test]
fn a_node_without_a_policy_among_policies_and_one_with_two_are_left_alone() {
    let workers = json!({ "matchLabels": { "pool": "w" } });
    let mut world = under(&[("workers", json!({ "nodeSelector": workers }))]);
    world.need("c");
    assert_eq!(world.reason("c"), Some("NoPolicy"));
    world.policies.push(policy("all", json!({})));
    world.settle();
    assert_eq!(world.phase("c"), Some(Phase::Draining));
    world.need("a");
    assert_eq!(world.reason("a"), Some("PolicyConflict"));
    let message = world.message("a");
    assert!(message.contains("all and workers"), "{message}");
}

#[test]
fn a_policy_with_a_mistake_stops_its_nodes_and_the_order_of_one_that_is_drained() {
    let mut world = under(&[("all", json!({}))]);
    world.need("a");
    world.policies = vec![policy(
        "all",
        json!({ "windows": [{ "days": ["Sit"], "start": "1:00", "end": "2:00" }] }),
    )];
    world.settle();
    world.need("c");
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    world.drainer("a", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.reason("c"), Some("PolicyRefused"));
    let message = world.message("c");
    assert!(
        message.contains("spec.windows[0].days") && message.contains("Mon-Fri"),
        "{message}"
    );
    // The last policy is gone: the flags alone count.
    world.policies.clear();
    world.settle();
    assert_eq!(world.phase("c"), Some(Phase::Draining));
}

#[test]
fn a_clock_that_is_set_back_into_the_window_opens_the_window_again() {
    let mut world = under(&[nights()]);
    world.pass(MINUTE * 200);
    world.need("a");
    assert_eq!(world.reason("a"), Some("WindowShut"));
    world.pass(-MINUTE * 100);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn policies_are_known_to_the_core_after_a_reload() {
    let mut world = under(&[nights()]);
    world.need("a");
    world.reload();
    assert_eq!(world.reason("a"), Some("WindowShut"));
}

#[test]
fn a_policy_is_shown_with_its_window_its_mistakes_and_its_nodes() {
    let workers = json!({ "matchLabels": { "pool": "w" } });
    let blackout = json!({ "from": "2026-01-01", "to": "2026-01-01", "reason": "stocktaking" });
    let mut world = under(&[
        ("all", json!({ "priority": -1, "blackouts": [blackout] })),
        (
            "wrong",
            json!({ "nodeSelector": { "matchLabels": { "x": "y" } }, "startMargin": "soon" }),
        ),
        ("workers", json!({ "nodeSelector": workers })),
    ]);
    world.need("a");
    world.need("c");
    let of = |world: &World, name: &str| {
        let policies = world.fleet.policies();
        policies.into_iter().find(|policy| policy.name == name).unwrap()
    };
    let all = of(&world, "all");
    assert_eq!(
        (all.faults.as_str(), all.blackout.as_deref(), all.conflict.clone()),
        ("", Some("stocktaking"), None)
    );
    assert!(!all.calendar.unwrap().is_open());
    assert_eq!(
        (all.nodes.governed, all.nodes.waiting, all.nodes.in_progress),
        (1, 1, 0)
    );
    let workers = of(&world, "workers");
    assert!(workers.calendar.unwrap().is_open());
    assert_eq!(
        (workers.nodes.governed, workers.nodes.waiting, workers.nodes.in_progress),
        (1, 0, 1)
    );
    let wrong = of(&world, "wrong");
    assert!(wrong.faults.starts_with("spec.startMargin: "), "{}", wrong.faults);
    assert_eq!((wrong.calendar, wrong.nodes.governed), (None, 0));
    // One more for the same nodes, with the same priority.
    world.policies.push(policy("other", json!({})));
    world.settle();
    let conflict = of(&world, "workers").conflict.unwrap();
    assert_eq!((&*conflict.0, conflict.1), ("other", name("a")));
    let conflict = of(&world, "other").conflict.unwrap();
    assert_eq!((&*conflict.0, conflict.1), ("workers", name("a")));
    assert_eq!(of(&world, "workers").nodes.governed, 0);
    // Failed nodes count, too.
    world.policies = vec![policy("workers", json!({}))];
    world.drainer("a", true, 1);
    world.rebooter("a", false);
    world.pass(world.policy.reboot_timeout);
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("RebootIgnored"));
    assert_eq!(of(&world, "workers").nodes.failed, 1);
}
