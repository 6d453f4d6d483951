//! Stories of the way back: a node that is Ready is not in service before its pods of DaemonSets are.

use bellwether_proto::{BootReport, Cause, Phase};
use bellwether_scheduler_core::reading::{Outcome, PodOfDaemonSet, Query};
use bellwether_scheduler_core::{Effect, Taint};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::world::{World, name, policy};

const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn pod(daemon_set: &str, run: &str, ready: bool) -> PodOfDaemonSet {
    PodOfDaemonSet {
        daemon_set: daemon_set.into(),
        run: run.into(),
        ready,
    }
}

/// Every later listing shows these pods.
fn list(world: &mut World, pods: &[PodOfDaemonSet]) {
    world.daemon_pods = Some(Outcome::DaemonPods(pods.to_vec()));
}

/// A node under one policy with these fields, drained and rebooted; before the reboot its pods were these.
fn rebooted(spec: Value, before: &[PodOfDaemonSet], after: &[PodOfDaemonSet]) -> World {
    let mut world = World::new(1, &["a", "c"]);
    world.policies = vec![policy("all", spec)];
    list(&mut world, before);
    world.need("a");
    world.pass(SECOND);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
    list(&mut world, after);
    world.pass(SECOND);
    world.rebooter("a", true);
    world
}

fn listings(world: &World) -> usize {
    let effects = world.effects.iter();
    let is_listing = |effect: &Effect| {
        matches!(
            effect,
            Effect::Read {
                query: Query::DaemonPods { .. },
                ..
            }
        )
    };
    effects.filter(|(_, effect)| is_listing(effect)).count()
}

/// The node waits for its service, for a reason with these words.
fn waits(world: &World, words: &str) {
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Verifying), Some("WaitsForService"))
    );
    let message = world.message("a");
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_node_is_uncordoned_once_its_pods_that_were_ready_before_are_ready_again() {
    let before = [pod("sys/net", "1", true), pod("sys/broken", "1", false)];
    let mut world = rebooted(
        json!({}),
        &before,
        &[pod("sys/net", "2", false), pod("sys/broken", "2", false)],
    );
    waits(&world, "sys/net is not Ready");
    list(
        &mut world,
        &[
            pod("sys/net", "2", true),
            pod("sys/broken", "2", false),
            pod("sys/new", "1", false),
        ],
    );
    world.pass(SECOND * 4);
    waits(&world, "sys/net is not Ready");
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "listed every five seconds");
}

#[test]
fn the_status_of_a_pod_from_before_the_boot_does_not_count() {
    let before = [pod("sys/net", "1", true)];
    let mut world = rebooted(json!({}), &before, &before);
    waits(&world, "sys/net has not been started again");
    list(&mut world, &[]);
    world.pass(SECOND * 5);
    waits(&world, "sys/net is missing");
    list(&mut world, &[pod("sys/net", "1", false), pod("sys/net", "3", true)]);
    world.pass(SECOND * 5);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn only_a_listing_after_the_boot_counts() {
    let before = [pod("sys/net", "1", true)];
    let mut world = rebooted(json!({}), &before, &before);
    world.daemon_pods = None;
    world.pass(SECOND * 5);
    assert_eq!(world.listings.len(), 1);
    // The node goes down again before the answer is here.
    world.host("a").view.ready = false;
    world.settle();
    world.pass(SECOND);
    world.host("a").view.ready = true;
    world.settle();
    let newer = world.listings.split_off(1);
    world.list_with(&Outcome::DaemonPods(vec![pod("sys/net", "2", true)]));
    waits(&world, "are being listed");
    world.listings = newer;
    world.list_with(&Outcome::DaemonPods(vec![pod("sys/net", "2", true)]));
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_startup_taint_keeps_the_cordon() {
    let service = json!({ "backInService": { "startupTaints": ["example.com/agent"] } });
    for (key, waits_for) in [
        ("node.cilium.io/agent-not-ready", true),
        ("example.com/agent", true),
        // D40.
        ("node.kubernetes.io/out-of-service", true),
        ("example.com/other", false),
    ] {
        let mut world = World::new(1, &["a"]);
        world.policies = vec![policy("all", service.clone())];
        world.need("a");
        world.drainer("a", true, 1);
        let taint = Taint {
            key: key.into(),
            value: String::new(),
            effect: "NoSchedule".into(),
        };
        world.host("a").view.taints.push(taint);
        world.rebooter("a", true);
        if waits_for {
            waits(&world, key);
            world.host("a").view.taints.clear();
            world.settle();
        }
        assert_eq!(world.phase("a"), Some(Phase::Uncordoning), "{key}");
    }
}

#[test]
fn a_node_that_is_not_back_in_time_fails_cordoned_and_continues_once_it_is() {
    let before = [pod("sys/net", "1", true)];
    let mut world = rebooted(json!({}), &before, &[pod("sys/net", "2", false)]);
    // In the last seconds of the time the pods are listed once more.
    world.pass(world.policy.verify_timeout - SECOND * 10);
    world.pass(SECOND * 10);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NodeNotBack);
    assert!(ending.message.contains("sys/net is not Ready"), "{}", ending.message);
    world.need("c");
    assert_eq!(world.reason("c"), Some("NoSlot"));
    world.pass(MINUTE * 30);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    list(&mut world, &[pod("sys/net", "2", true)]);
    world.pass(SECOND * 30);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_new_leader_knows_which_pods_were_ready() {
    let before = [pod("sys/net", "1", true), pod("sys/broken", "1", false)];
    let mut world = rebooted(
        json!({}),
        &before,
        &[pod("sys/net", "2", false), pod("sys/broken", "2", false)],
    );
    world.crash();
    waits(&world, "sys/net is not Ready");
    list(&mut world, &[pod("sys/net", "2", true), pod("sys/broken", "2", false)]);
    world.pass(SECOND * 5);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn of_a_record_without_the_pods_all_have_to_be_ready() {
    let mut world = rebooted(json!({}), &[], &[pod("sys/net", "2", false)]);
    waits(&world, "sys/net is not Ready");
    list(&mut world, &[pod("sys/net", "2", true)]);
    world.pass(SECOND * 5);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_policy_may_have_a_ready_node_be_enough_and_without_a_policy_it_is() {
    let broken = [pod("sys/net", "1", true)];
    let ignoring = json!({ "backInService": { "daemonPods": "Ignore" } });
    let world = rebooted(ignoring, &broken, &broken);
    assert_eq!((world.phase("a"), listings(&world)), (Some(Phase::Uncordoning), 0));
    let mut world = World::new(1, &["a"]);
    list(&mut world, &broken);
    world.need("a");
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    assert_eq!((world.phase("a"), listings(&world)), (Some(Phase::Uncordoning), 0));
}

#[test]
fn pods_that_cannot_be_listed_before_the_reboot_stop_the_reboot_and_after_it_keep_the_cordon() {
    let failed = Some(Outcome::Failed("the scheduler may not list pods".into()));
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({}))];
    world.daemon_pods = failed.clone();
    world.need("a");
    world.drainer("a", true, 1);
    assert_eq!(world.reason("a"), Some("WaitsForGateReading"));
    world.pass(MINUTE * 2);
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert!(ending.message.contains("may not list pods"), "{}", ending.message);

    let before = [pod("sys/net", "1", true)];
    let mut world = rebooted(json!({}), &before, &before);
    world.daemon_pods = failed;
    world.pass(SECOND * 5);
    waits(&world, "may not list pods");
}

/// A node in the soak after its reboot, under a policy that asks whether errors have risen.
fn soaking() -> World {
    let question = json!([{ "name": "errors", "url": "http://p", "query": "errors > 1" }]);
    let mut world = rebooted(json!({ "backInService": { "prometheus": question } }), &[], &[]);
    world.pass(SECOND);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Soaking));
    world.need("c");
    world
}

#[test]
fn a_soak_is_over_only_once_the_question_of_the_policy_is_open() {
    let mut world = soaking();
    world.pass(world.policy.soak - SECOND);
    assert_eq!(
        world.asked.len(),
        0,
        "an answer before the end of the time does not count"
    );
    world.pass(SECOND);
    assert_eq!((world.phase("a"), world.asked.len()), (Some(Phase::Soaking), 1));
    world.answer = Some(Outcome::Shut("3 results".into()));
    world.settle();
    world.advance();
    assert_eq!(world.reason("a"), Some("WaitsForSoak"));
    let message = world.message("a");
    assert!(
        message.contains("policy all") && message.contains("errors") && message.contains("3 results"),
        "{message}"
    );
    world.pass(MINUTE);
    assert_eq!(
        (world.phase("a"), world.phase("c")),
        (Some(Phase::Soaking), None),
        "the slot is kept"
    );
    world.answer = Some(Outcome::Open);
    world.pass(MINUTE);
    assert_eq!(
        (world.phase("a"), world.phase("c")),
        (Some(Phase::Done), Some(Phase::Draining))
    );
}

#[test]
fn a_soak_that_a_question_keeps_for_too_long_fails_and_keeps_its_slot_until_the_question_is_open() {
    let mut world = soaking();
    world.answer = Some(Outcome::Shut("3 results".into()));
    world.pass(world.policy.soak);
    for _ in 0..22 {
        world.pass(SECOND * 30);
    }
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NodeNotBack);
    assert!(ending.message.contains("3 results"), "{}", ending.message);
    world.pass(MINUTE * 60);
    assert_eq!((world.phase("a"), world.phase("c")), (Some(Phase::Failed), None));
    world.crash();
    world.answer = Some(Outcome::Open);
    world.pass(MINUTE);
    assert!(!world.records[&name("a")].slot_held);
    assert_eq!(world.phase("c"), Some(Phase::Draining));
}

/// What a policy writes that holds a node if a unit fails.
fn hold() -> Value {
    json!({ "backInService": { "failedUnits": "Hold" }, "brakes": { "maxFailures": 1 } })
}

/// A node under such a policy, rebooted; before, these units had failed.
fn rebooted_with_units(before: &[&str]) -> World {
    let mut world = World::new(1, &["a", "c"]);
    world.policies = vec![policy("all", hold())];
    list(&mut world, &[]);
    world.host("a").boot = Some(boot(before, true));
    world.host("c").boot = Some(boot(before, true));
    drain(&mut world);
    // The report of the new boot comes without a boot: systemd has not been asked yet.
    world.host("a").boot = None;
    world.rebooter("a", true);
    world.settle();
    waits(&world, "has not reported which units have failed");
    world
}

/// Drains the node, whose reboot is ordered then.
fn drain(world: &mut World) {
    world.need("a");
    world.pass(SECOND);
    world.drainer("a", true, 1);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

fn boot(failed_units: &[&str], finished: bool) -> BootReport {
    BootReport {
        userspace: finished.then_some(SECOND),
        failed_units: failed_units.iter().map(|&unit| unit.to_owned()).collect(),
        ..BootReport::default()
    }
}

fn shows(world: &mut World, failed_units: &[&str], finished: bool) {
    world.host("a").boot = Some(boot(failed_units, finished));
    world.settle();
}

#[test]
fn a_unit_that_fails_after_the_boot_and_had_not_before_holds_the_node_until_it_is_repaired() {
    let mut world = rebooted_with_units(&["old.service"]);
    shows(&mut world, &["old.service"], false);
    waits(&world, "its boot has not ended");
    shows(&mut world, &["new.service", "old.service"], true);
    waits(&world, "the unit new.service of the host has failed");
    world.crash();
    waits(&world, "the unit new.service of the host has failed");
    shows(&mut world, &["old.service"], true);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_unit_that_stays_failed_fails_the_attempt_which_stops_the_rollout_until_it_is_repaired() {
    let mut world = rebooted_with_units(&[]);
    shows(&mut world, &["new.service"], true);
    // In the last seconds of the time the pods are listed once more.
    world.pass(world.policy.verify_timeout - SECOND * 10);
    world.pass(SECOND * 10);
    assert_eq!(world.phase("a"), Some(Phase::Failed));
    let ending = world.records[&name("a")].ending.clone().unwrap();
    assert_eq!(ending.cause, Cause::NodeNotBack);
    assert!(ending.message.contains("new.service"), "{}", ending.message);
    world.need("c");
    assert_eq!(world.reason("c"), Some("PolicyStopped"));
    shows(&mut world, &[], true);
    world.pass(SECOND * 30);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn where_the_units_before_are_not_known_each_failed_one_counts() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({}))];
    list(&mut world, &[]);
    drain(&mut world);
    world.policies = vec![policy("all", hold())];
    world.host("a").boot = Some(boot(&["old.service"], true));
    world.rebooter("a", true);
    world.settle();
    waits(&world, "the unit old.service of the host has failed");
}

#[test]
fn a_node_that_shows_no_units_is_neither_drained_nor_rebooted_under_a_policy_that_holds_it_for_them() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", hold())];
    list(&mut world, &[]);
    world.need("a");
    world.pass(SECOND);
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("GateFailed")));
    shows(&mut world, &[], false);
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("GateFailed")));

    shows(&mut world, &[], true);
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    // The bus goes away during the drain.
    world.host("a").boot = None;
    world.drainer("a", true, 1);
    world.pass(SECOND);
    assert_eq!(
        (world.phase("a"), world.reason("a")),
        (Some(Phase::Draining), Some("WaitsForGateReading"))
    );
    shows(&mut world, &[], true);
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Rebooting));
}

#[test]
fn a_policy_with_a_mistake_takes_no_node_back_that_it_held_for_its_units() {
    let wrong = policy(
        "all",
        json!({ "backInService": { "failedUnits": "Hold", "daemonPods": "Perhaps" } }),
    );
    let of_others = policy(
        "others",
        json!({ "nodeSelector": { "matchLabels": { "pool": "others" } } }),
    );
    let rival = policy("rival", hold());
    for policies in [vec![wrong], vec![of_others], vec![policy("all", hold()), rival], vec![]] {
        let mut world = rebooted_with_units(&["old.service"]);
        shows(&mut world, &["new.service", "old.service"], true);
        waits(&world, "the unit new.service of the host has failed");
        world.policies = policies;
        world.settle();
        waits(&world, "the unit new.service of the host has failed");
        shows(&mut world, &["old.service"], true);
        world.pass(SECOND * 30);
        assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
    }
}

#[test]
fn a_policy_without_the_field_ignores_units() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({}))];
    list(&mut world, &[]);
    world.need("a");
    world.pass(SECOND);
    world.drainer("a", true, 1);
    world.host("a").boot = Some(boot(&["new.service"], false));
    world.rebooter("a", true);
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}

#[test]
fn a_policy_that_ignored_units_holds_no_node_for_them_once_it_has_a_mistake() {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({}))];
    list(&mut world, &[]);
    world.host("a").boot = Some(boot(&[], true));
    drain(&mut world);
    world.policies = vec![policy("all", json!({ "backInService": { "daemonPods": "Perhaps" } }))];
    world.host("a").boot = Some(boot(&["new.service"], true));
    world.rebooter("a", true);
    world.pass(SECOND);
    assert_eq!(world.phase("a"), Some(Phase::Uncordoning));
}
