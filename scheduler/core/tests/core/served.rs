//! Stories of annotations that the last reboot has served: none is served twice, and no later one is lost, under any leader,
//! whatever the policies go through, and though a scheduler of a version before the list leads in between.

use bellwether_proto::{Cause, OrderKind, Phase, ServedAnnotation};
use bellwether_scheduler_core::{Handled, PolicyView};
use serde_json::json;

use crate::need_annotations::{HOUR, KEY, annotate, reboot, world};
use crate::orders::of_node;
use crate::world::{AtBoot, World, name, policy};

type Mishap = fn(&mut World);
type Exchanged = fn() -> Vec<PolicyView>;

/// What may happen to the scheduler at any time.
const MISHAPS: [(&str, Mishap); 4] = [
    ("nothing", |_| ()),
    ("crash", World::crash),
    ("reload", World::reload),
    ("both", |world| {
        world.crash();
        world.reload();
    }),
];

/// The annotation has the value t1, which was served, and stays; the fleet is paused.
fn served() -> World {
    let mut world = world();
    annotate(&mut world, Some("t1"));
    reboot(&mut world);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"));
    world.pause("");
    world
}

/// The node gets a value that no scheduler looks at yet.
fn write(world: &mut World, value: Option<&str>) {
    let annotation = (KEY.to_owned(), value.map(str::to_owned));
    world.host("a").view.annotations = [annotation].into();
}

/// A scheduler of a version before the list has led, which reads the host's need alone.
fn older_version_leads(world: &mut World) {
    let record = world.records.get_mut(&name("a")).unwrap();
    record.served_annotations = None;
    if let Some(last) = &mut record.last_reboot {
        last.served_annotations = None;
        last.need_cleared = true;
    }
}

fn list(world: &World) -> Option<Vec<String>> {
    let last = world.records[&name("a")].last_reboot.as_ref().unwrap();
    let served = last.served_annotations.as_ref()?;
    Some(served.iter().map(|served| served.value.clone()).collect())
}

fn drains(world: &mut World, story: &str) {
    world.resume();
    world.settle();
    assert_eq!(
        world.phase("a"),
        Some(Phase::Draining),
        "{story}: {:?}",
        world.reason("a")
    );
}

fn survives(world: &mut World, story: &str) {
    world.resume();
    world.pass(HOUR);
    assert_eq!(world.reason("a"), Some("NeedSurvivedReboot"), "{story}");
    assert_eq!(world.phase("a"), Some(Phase::Done), "{story}");
}

#[test]
fn a_request_that_is_written_after_the_reboot_is_served_under_any_leader() {
    for (before, happens_before) in MISHAPS {
        for (after, happens_after) in MISHAPS {
            let mut world = served();
            happens_before(&mut world);
            annotate(&mut world, Some("t2"));
            happens_after(&mut world);
            drains(&mut world, &format!("{before}, t2, {after}"));
        }
    }
    // While no scheduler leads, and beside a file that has survived.
    let mut world = served();
    write(&mut world, Some("t2"));
    world.crash();
    drains(&mut world, "t2 while no scheduler leads");
    reboot(&mut world);
    survives(&mut world, "t2 is served");

    let mut world = crate::need_annotations::world();
    world.host("a").at_boot = AtBoot::Survives;
    world.host("a").undated = true;
    world.need("a");
    reboot(&mut world);
    world.pause("");
    write(&mut world, Some("t2"));
    world.crash();
    drains(&mut world, "beside a file");
}

#[test]
fn an_annotation_is_served_once_though_no_policy_names_it_at_the_first_look_of_the_new_boot() {
    let policies: [(&str, Exchanged); 3] = [
        ("no policy", Vec::new),
        ("a policy without needs", || vec![policy("all", json!({}))]),
        ("a mistake", || {
            vec![policy("all", json!({ "needs": { "annotations": [{ "key": "" }] } }))]
        }),
    ];
    for (exchange, exchanged) in policies {
        for (mishap, happens) in MISHAPS {
            let story = format!("{exchange}, {mishap}");
            let mut world = world();
            annotate(&mut world, Some("t1"));
            world.drainer("a", true, 1);
            assert_eq!(world.phase("a"), Some(Phase::Rebooting), "{story}");
            let policies = std::mem::replace(&mut world.policies, exchanged());
            // A view states only what a policy names.
            world.host("a").view.annotations.clear();
            world.settle();
            happens(&mut world);
            world.rebooter("a", true);
            happens(&mut world);
            world.drainer("a", true, 1);
            world.pass(world.policy.soak);
            assert_eq!(world.phase("a"), Some(Phase::Done), "{story}");
            assert_eq!(list(&world).unwrap(), ["t1"], "{story}");
            world.policies = policies;
            annotate(&mut world, Some("t1"));
            happens(&mut world);
            survives(&mut world, &story);
            // A later request is none the less one.
            write(&mut world, Some("t2"));
            world.settle();
            happens(&mut world);
            drains(&mut world, &story);
        }
    }
}

#[test]
fn what_another_policy_names_is_served_as_well() {
    let mut world = world();
    let policies = std::mem::replace(&mut world.policies, vec![policy("all", json!({}))]);
    annotate(&mut world, Some("t1"));
    world.need("a");
    reboot(&mut world);
    world.policies = policies;
    world.settle();
    survives(&mut world, "the node has another policy now");
}

#[test]
fn under_an_older_version_in_between_nothing_is_served_twice_and_a_later_request_is_not_lost() {
    // It led after the reboot, or already when the reboot was ordered.
    for at_order in [false, true] {
        let mut world = world();
        annotate(&mut world, Some("t1"));
        if at_order {
            world.drainer("a", true, 1);
            world.rebooter("a", false);
            older_version_leads(&mut world);
            world.crash();
            world.boot("a", true);
            world.drainer("a", true, 1);
            world.pass(world.policy.soak);
        } else {
            reboot(&mut world);
            older_version_leads(&mut world);
            world.crash();
        }
        survives(&mut world, "t1");
        assert_eq!(list(&world).unwrap(), ["t1"]);
        world.pause("");
        write(&mut world, Some("t2"));
        world.crash();
        drains(&mut world, "t2");
    }
}

#[test]
fn the_first_look_after_an_older_version_is_one_by_a_view_that_was_read_and_without_a_mistake_in_the_policy() {
    let mistake = || vec![policy("all", json!({ "needs": { "annotations": [{ "key": "" }] } }))];
    let mut world = served();
    older_version_leads(&mut world);
    let policies = std::mem::replace(&mut world.policies, mistake());
    let annotations = std::mem::take(&mut world.host("a").view.annotations);
    world.crash();
    assert_eq!(list(&world), None);
    world.policies = policies;
    world.settle();
    assert_eq!((list(&world), world.reason("a")), (None, Some("ProbeError")));
    world.host("a").view.annotations = annotations;
    world.settle();
    assert_eq!(list(&world).unwrap(), ["t1"]);
    survives(&mut world, "t1");
    // And one that is named only later was not looked at before.
    let mut world = served();
    older_version_leads(&mut world);
    let policies = std::mem::take(&mut world.policies);
    world.host("a").view.annotations.clear();
    world.crash();
    assert_eq!(list(&world).unwrap(), [""; 0]);
    world.policies = policies;
    annotate(&mut world, Some("t1"));
    drains(&mut world, "named for the first time");
}

#[test]
fn a_removal_that_one_leader_sees_makes_the_same_value_a_new_request_under_the_next() {
    for (gone, value) in [
        ("removed", None),
        ("false", Some("false")),
        ("another value", Some("t2")),
    ] {
        for (mishap, happens) in MISHAPS {
            let mut world = served();
            annotate(&mut world, value);
            assert_eq!(list(&world).unwrap(), [""; 0]);
            happens(&mut world);
            write(&mut world, Some("t1"));
            happens(&mut world);
            drains(&mut world, &format!("{gone}, {mishap}"));
        }
    }
    // A removal that no view shows is none.
    let mut world = served();
    write(&mut world, None);
    write(&mut world, Some("t1"));
    world.crash();
    survives(&mut world, "not shown");
}

#[test]
fn what_is_written_before_the_host_is_called_is_served_and_what_is_written_after_that_is_not() {
    let mut world = world();
    annotate(&mut world, Some("t1"));
    world.drainer("a", true, 1);
    let serves = |world: &World, value: &str| {
        let served = ServedAnnotation {
            key: KEY.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(world.records[&name("a")].served_annotations, Some(vec![served]));
    };
    serves(&world, "t1");
    annotate(&mut world, Some("t2"));
    serves(&world, "t2");
    world.crash();
    world.rebooter("a", false);
    annotate(&mut world, Some("t3"));
    serves(&world, "t2");
    world.boot("a", true);
    assert_eq!(list(&world).unwrap(), [""; 0], "t3 has replaced it");
    assert_eq!(world.records[&name("a")].served_annotations, None);
    world.drainer("a", true, 1);
    world.pass(world.policy.soak);
    world.pass(HOUR);
    drains(&mut world, "t3");
    reboot(&mut world);
    survives(&mut world, "t3");
}

#[test]
fn a_file_that_comes_after_the_reboot_is_a_new_need_beside_an_annotation_that_stays() {
    for (mishap, happens) in MISHAPS {
        let mut world = served();
        world.host("a").undated = true;
        write(&mut world, Some("t1"));
        world.need("a");
        happens(&mut world);
        drains(&mut world, mishap);
        // The file goes, and what was served is no reason to continue.
        world.host("a").need = Ok(None);
        world.settle();
        assert_eq!(world.phase("a"), Some(Phase::RollingBack), "{mishap}");
        let ending = world.records[&name("a")].ending.clone().unwrap();
        assert_eq!(ending.cause, Cause::NeedCleared, "{mishap}");
    }
}

#[test]
fn a_reboot_was_not_in_vain_though_its_annotation_stays() {
    let world = served();
    let record = &world.records[&name("a")];
    assert_eq!((record.failures_in_row, record.phase), (0, Phase::Done));
}

#[test]
fn a_skip_of_a_later_request_holds_under_the_next_leader() {
    let mut world = served();
    let booted_at = world.now - HOUR;
    world.host("a").booted_at = Some(booted_at);
    annotate(&mut world, Some("t2"));
    assert_eq!(world.order(OrderKind::Skip, of_node("a"), None), Handled::Accepted);
    world.resume();
    world.settle();
    assert_eq!(world.reason("a"), Some("Skipped"));
    world.pass(HOUR);
    world.crash();
    assert_eq!(world.reason("a"), Some("Skipped"));
}
