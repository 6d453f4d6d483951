//! Stories of needs by annotation: each is served once, and none twice because its annotation was not removed.

use bellwether_proto::{OrderKind, Phase, ProbeOutcome};
use bellwether_scheduler_core::{Handled, Input};
use jiff::SignedDuration;
use serde_json::json;

use crate::orders::of_node;
use crate::world::{AtBoot, World, name, policy};

pub(crate) const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub(crate) const KEY: &str = "example.com/reboot";

/// A policy for every node that names one annotation.
pub(crate) fn world() -> World {
    let mut world = World::new(1, &["a"]);
    world.policies = vec![policy("all", json!({ "needs": { "annotations": [{ "key": KEY }] } }))];
    annotate(&mut world, None);
    world
}

/// The node gets the annotation, or another value of it, or loses it.
pub(crate) fn annotate(world: &mut World, value: Option<&str>) {
    let annotation = (KEY.to_owned(), value.map(str::to_owned));
    world.host("a").view.annotations = [annotation].into();
    world.settle();
}

/// Takes the node from its drain to Done, and lets the wait after a reboot pass.
pub(crate) fn reboot(world: &mut World) {
    assert_eq!(world.phase("a"), Some(Phase::Draining), "{}", world.message("a"));
    world.drainer("a", true, 1);
    world.rebooter("a", true);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    assert_eq!(world.phase("a"), Some(Phase::Done));
    world.pass(HOUR);
}

/// What the node shows of its annotation: whether that requires a reboot, and whether its begin is known.
fn shown(world: &World) -> (&'static str, Option<bool>) {
    let report = &world.fleet.sentinel(&name("a")).unwrap().report;
    let probe = report.probes.last().unwrap();
    assert_eq!((&*probe.name, &*probe.kind), (KEY, "annotation"));
    match &probe.outcome {
        ProbeOutcome::Required(need) => ("required", Some(!need.undated)),
        ProbeOutcome::NotRequired => ("not required", None),
        ProbeOutcome::Unknown(_) => ("unknown", None),
    }
}

#[test]
fn an_annotation_that_a_policy_names_reboots_its_node_once_until_it_was_gone() {
    let mut world = world();
    assert_eq!((world.reason("a"), shown(&world).0), (None, "not required"));
    annotate(&mut world, Some("kernel"));
    assert_eq!(shown(&world), ("required", Some(true)));
    let reasons = world.records[&name("a")].reasons.clone();
    assert_eq!(reasons, ["annotation example.com/reboot=kernel"]);
    reboot(&mut world);
    // The annotation is still there.
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    assert_eq!(shown(&world), ("required", Some(false)));
    annotate(&mut world, None);
    assert_eq!((world.reason("a"), shown(&world).0), (None, "not required"));
    annotate(&mut world, Some("kernel"));
    reboot(&mut world);
}

#[test]
fn an_annotation_that_no_policy_of_the_node_names_asks_for_nothing() {
    let mut world = world();
    world.policies = vec![policy("all", json!({}))];
    annotate(&mut world, Some("kernel"));
    assert_eq!((world.phase("a"), world.reason("a")), (None, None));
    world.policies = vec![policy(
        "all",
        json!({ "needs": { "annotations": [{ "key": KEY, "value": "yes" }] } }),
    )];
    world.settle();
    assert_eq!((world.phase("a"), world.reason("a")), (None, None));
    annotate(&mut world, Some("yes"));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn another_value_after_the_reboot_is_another_need_of_its_own_age_and_the_next_one_continues_it() {
    let need = |world: &World| {
        let stored = world.fleet.sentinel(&name("a")).unwrap();
        stored.report.need.required().cloned().unwrap()
    };
    let mut world = world();
    annotate(&mut world, Some("2026-01-01"));
    reboot(&mut world);
    let served = need(&world);
    annotate(&mut world, Some("2026-01-02"));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    let first = need(&world);
    assert!(first.first_since > served.first_since && first.since > served.since && !first.undated);
    world.pass(SignedDuration::from_secs(1));
    annotate(&mut world, Some("2026-01-03"));
    let second = need(&world);
    assert_eq!(second.first_since, first.first_since);
    assert!(second.since > first.since && !second.undated);
}

#[test]
fn an_annotation_survives_its_reboot_whatever_the_scheduler_and_its_policy_go_through() {
    type Mishap = fn(&mut World);
    let mishaps: [(&str, Mishap); 5] = [
        ("another scheduler leads", World::crash),
        ("the records are loaded again", World::reload),
        ("the policy is exchanged", |world| {
            let policies = std::mem::take(&mut world.policies);
            world.settle();
            world.pass(HOUR);
            world.policies = policies;
            world.settle();
        }),
        ("the policy has a mistake for a time", |world| {
            let policies = world.policies.clone();
            world.policies = vec![policy("all", json!({ "needs": { "annotations": [{ "key": "" }] } }))];
            world.pass(HOUR);
            world.policies = policies;
            world.settle();
        }),
        ("a view was not read for the annotation", |world| {
            let annotations = std::mem::take(&mut world.host("a").view.annotations);
            world.pass(HOUR);
            assert_eq!((world.reason("a"), shown(world).0), (Some("ProbeError"), "unknown"));
            world.host("a").view.annotations = annotations;
            world.settle();
        }),
    ];
    for (mishap, happens) in mishaps {
        let mut world = world();
        annotate(&mut world, Some("yes"));
        reboot(&mut world);
        happens(&mut world);
        world.pass(HOUR);
        assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "{mishap}");
    }
}

#[test]
fn an_annotation_of_this_boot_is_a_new_need_beside_a_file_that_has_survived() {
    let mut world = world();
    world.host("a").at_boot = AtBoot::Survives;
    world.need("a");
    reboot(&mut world);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    annotate(&mut world, Some("yes"));
    reboot(&mut world);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    // One that the last reboot should have served changes nothing, and a newer file does.
    world.need("a");
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_annotation_counts_although_the_sentinel_cannot_look() {
    let mut world = world();
    world.host("a").need = Err("no mount".into());
    annotate(&mut world, None);
    assert_eq!(world.reason("a"), Some("ProbeError"));
    annotate(&mut world, Some("yes"));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_annotation_that_is_removed_in_the_drain_ends_the_attempt() {
    let mut world = world();
    annotate(&mut world, Some("yes"));
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    annotate(&mut world, Some("false"));
    assert_eq!(world.phase("a"), Some(Phase::RollingBack));
}

#[test]
fn a_program_that_annotates_its_node_after_each_reboot_is_held_by_the_brake() {
    let mut world = world();
    for _ in 0..3 {
        annotate(&mut world, Some("yes"));
        reboot(&mut world);
        annotate(&mut world, None);
    }
    annotate(&mut world, Some("yes"));
    assert_eq!(world.reason("a"), Some("RebootLoop"));
}

#[test]
fn a_skip_covers_an_annotation_under_the_next_leader_too() {
    let mut world = world();
    let now = world.now;
    world.host("a").booted_at = Some(now);
    world.host("a").view.ready = false;
    world.pass(HOUR);
    annotate(&mut world, Some("yes"));
    assert_eq!(world.order(OrderKind::Skip, of_node("a"), None), Handled::Accepted);
    world.host("a").view.ready = true;
    world.settle();
    assert_eq!(world.reason("a"), Some("Skipped"));
    world.pass(HOUR);
    world.crash();
    assert_eq!(world.reason("a"), Some("Skipped"));
    annotate(&mut world, None);
    annotate(&mut world, Some("yes"));
    assert_eq!(world.phase("a"), Some(Phase::Draining), "a later need is served");
}

#[test]
fn the_next_core_is_given_the_report_as_the_sentinel_made_it() {
    let mut world = world();
    annotate(&mut world, Some("yes"));
    let mut observed = world.fleet.clone().into_observed();
    let report = observed.find_map(|input| {
        if let Input::Sentinel(stored) = input {
            return Some(stored.report);
        }
        None
    });
    let report = report.unwrap();
    assert!(report.need.required().is_none() && report.probes.is_empty());
}
