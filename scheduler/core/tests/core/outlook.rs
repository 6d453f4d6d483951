//! Stories of the outlook: whether the openings suffice for the nodes that wait, and when each one would start.

use bellwether_proto::{FleetOrder, NodeName, OrderKind, OrderScope, Phase, Queues};
use bellwether_scheduler_core::{Input, PolicyOutlook, Turn, queues_differ};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// The world begins at midnight. From one o'clock to two, nodes start until ten minutes before the end, and take as long.
fn nights() -> Value {
    json!({ "windows": [{ "days": ["Mon-Sun"], "start": "01:00", "end": "02:00" }], "startMargin": "10m" })
}

/// Nodes that need a reboot, under this policy and so many slots.
fn under(slots: u32, spec: Value, nodes: &[&str]) -> World {
    let mut world = World::new(slots, nodes);
    world.policies = vec![policy("nights", spec)];
    world.settle();
    for node in nodes {
        world.need(node);
    }
    world
}

fn outlook(world: &World) -> PolicyOutlook {
    world.fleet.outlook().policies["nights"].clone()
}

fn names(nodes: &[NodeName]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

fn turn(world: &World, node: &str) -> Option<Turn> {
    world.fleet.outlook().nodes.get(&name(node)).copied()
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be unknown")]
fn starts_at(time: &str) -> Option<Turn> {
    let at: Timestamp = format!("2026-01-01T{time}Z").parse().unwrap();
    Some(Turn::StartsAt(at))
}

fn block(world: &mut World, scope: OrderScope, until: Option<Timestamp>) {
    world.give(Input::GiveOrder(FleetOrder {
        kind: OrderKind::Block,
        scope,
        by: "anna".into(),
        reason: "disks".into(),
        since: world.now,
        until,
    }));
    world.do_effects();
    world.settle();
}

const SEVEN: [&str; 7] = ["n1", "n2", "n3", "n4", "n5", "n6", "n7"];

#[test]
fn the_nodes_that_do_not_fit_into_the_next_opening_are_named() {
    let world = under(1, nights(), &SEVEN);
    let before = outlook(&world);
    assert_eq!(before.opens_at, Some("2026-01-01T01:00:00Z".parse().unwrap()));
    assert_eq!(before.until, Some("2026-01-01T02:00:00Z".parse().unwrap()));
    assert_eq!(before.fitting, 5, "the sixth would start ten minutes before the end");
    assert_eq!(names(&before.left_over), ["n6", "n7"]);
    assert_eq!(turn(&world, "n1"), starts_at("01:00:00"));
    assert_eq!(turn(&world, "n3"), starts_at("01:20:00"));
    assert_eq!(turn(&world, "n7"), Some(Turn::DoesNotFit));
    let standing = world.fleet.policies().remove(0);
    assert_eq!(standing.left_over, Some(2));
    assert_eq!(names(&standing.first_left_over), ["n6", "n7"]);
    assert!(outlook(&under(2, nights(), &SEVEN)).left_over.is_empty());
}

#[test]
fn the_event_about_queues_names_the_oldest_need_of_each_policy_and_what_does_not_fit() {
    let mut world = under(1, nights(), &SEVEN);
    let queues = |world: &World| world.fleet.queues(&world.fleet.policies(), world.now);
    let [queue] = queues(&world).policies.try_into().unwrap();
    assert_eq!((queue.policy.as_str(), queue.nodes), ("nights", 7));
    assert_eq!((queue.oldest_node.as_str(), queue.code.as_str()), ("n1", "WindowShut"));
    assert_eq!(queue.left_over_nodes, ["n6", "n7"]);
    assert_eq!(queue.left_over, 2);
    assert_eq!(queue.opening_ends_at, Some("2026-01-01T02:00:00Z".parse().unwrap()));
    let before = queues(&world);
    assert!(!queues_differ(&before, &before));
    block(&mut world, OrderScope::Node(name("n7")), None);
    assert!(
        queues_differ(&before, &queues(&world)),
        "n7 waits for an operator, and not for time"
    );
    // In an attempt the oldest node has no reason to wait, and stays the oldest.
    world.now = "2026-01-01T01:00:00Z".parse().unwrap();
    world.settle();
    world.pass(MINUTE * 4);
    assert_eq!(world.phase("n1"), Some(Phase::Draining));
    let [queue] = queues(&world).policies.try_into().unwrap();
    assert_eq!((queue.oldest_node.as_str(), queue.code.as_str()), ("n1", ""));
    // A sentence alone is no news.
    let mut other = queue.clone();
    other.message.push('.');
    other.left_over_nodes.clear();
    let only = |queue| Queues {
        policies: vec![queue],
        undrainable: Vec::new(),
    };
    assert!(!queues_differ(&only(queue), &only(other)));
}

#[test]
fn nodes_without_a_policy_are_a_queue_of_their_own_and_a_skipped_need_is_none() {
    let mut world = World::new(1, &["n1", "n2"]);
    world.settle();
    let queues = |world: &World| world.fleet.queues(&world.fleet.policies(), world.now);
    assert_eq!(queues(&world), Queues::default());
    block(&mut world, OrderScope::Fleet, None);
    world.need("n1");
    world.need("n2");
    let [queue] = queues(&world).policies.try_into().unwrap();
    assert_eq!(
        (queue.policy.as_str(), queue.nodes, queue.code.as_str()),
        ("", 2, "Paused")
    );
    world.order(OrderKind::Skip, OrderScope::Node(name("n1")), None);
    let [queue] = queues(&world).policies.try_into().unwrap();
    assert_eq!((queue.nodes, queue.oldest_node.as_str()), (1, "n2"));
}

#[test]
fn a_running_attempt_takes_its_slot_for_the_time_that_it_may_still_need() {
    let mut world = under(1, nights(), &SEVEN);
    world.now = "2026-01-01T01:00:00Z".parse().unwrap();
    world.settle();
    world.pass(MINUTE * 4);
    assert_eq!(world.phase("n1"), Some(Phase::Draining));
    let during = outlook(&world);
    assert_eq!((during.opens_at, during.fitting), (None, 4));
    assert_eq!(turn(&world, "n1"), None, "it has started");
    assert_eq!(turn(&world, "n2"), starts_at("01:10:00"));
    // One that is overdue may end at any moment.
    world.pass(MINUTE * 15);
    assert_eq!(turn(&world, "n2"), starts_at("01:19:00"));
    assert_eq!(names(&outlook(&world).left_over), ["n6", "n7"]);
    world.pass(MINUTE);
    assert_eq!(names(&outlook(&world).left_over), ["n5", "n6", "n7"]);
}

#[test]
fn a_node_counts_with_the_time_that_its_last_reboot_took() {
    let mut world = World::new(1, &["n1", "n2"]);
    world.need("n1");
    world.pass(MINUTE * 19);
    world.drainer("n1", true, 1);
    world.rebooter("n1", true);
    world.drainer("n1", true, 1);
    world.pass(MINUTE);
    assert_eq!(world.phase("n1"), Some(Phase::Done));
    world.policies = vec![policy("nights", nights())];
    for node in ["n1", "n2"] {
        world.need(node);
    }
    assert_eq!(turn(&world, "n1"), starts_at("01:00:00"));
    assert_eq!(turn(&world, "n2"), starts_at("01:20:00"));
}

#[test]
fn nodes_that_wait_for_an_operator_or_a_repair_do_not_count() {
    let mut world = under(1, nights(), &["n1", "n2", "n3"]);
    world.host("n1").view.ready = false;
    world.settle();
    let (with, slots) = (outlook(&world), world.fleet.slots_taken());
    assert_eq!((with.fitting, slots), (0, 1), "n1 takes the only slot for ever");
    assert_eq!(names(&with.left_over), ["n2", "n3"]);
    world.host("n1").view.ready = true;
    world.settle();
    block(&mut world, OrderScope::Node(name("n2")), None);
    assert_eq!((outlook(&world).fitting, turn(&world, "n2")), (2, None));
    let until = "2026-01-01T01:15:00Z".parse().unwrap();
    block(&mut world, OrderScope::Fleet, Some(until));
    assert_eq!(turn(&world, "n1"), starts_at("01:15:00"));
    block(&mut world, OrderScope::Fleet, None);
    assert_eq!((outlook(&world).fitting, turn(&world, "n1")), (0, None));
}

#[test]
fn a_policy_with_an_opening_without_an_end_leaves_no_node_over() {
    let mut world = under(1, json!({}), &SEVEN);
    world.host("n1").view.ready = false;
    world.settle();
    let always = outlook(&world);
    assert_eq!((always.until, always.is_never_open), (None, false));
    assert!(always.left_over.is_empty());
    let never = json!({ "blackouts": [{ "from": "2026-01-01", "to": "2199-12-31" }] });
    let never = outlook(&under(1, never, &["n1"]));
    assert!(never.is_never_open);
    assert_eq!(names(&never.left_over), ["n1"]);
}

#[test]
fn without_a_policy_the_expected_start_is_known_all_the_same() {
    let mut world = World::new(1, &["n1", "n2", "n3"]);
    for node in ["n1", "n2", "n3"] {
        world.need(node);
    }
    let outlook = world.fleet.outlook();
    assert!(outlook.policies.is_empty());
    let start = |node| match outlook.nodes.get(&name(node)) {
        Some(Turn::StartsAt(at)) => at.duration_since(world.now),
        other => panic!("{other:?}"),
    };
    let needs = world.policy.drain_timeout;
    let (second, third) = (start("n2"), start("n3"));
    assert!(needs - second < MINUTE, "{second}");
    assert_eq!(third - second, needs);
}

#[test]
fn the_other_nodes_wait_for_the_soak_of_the_canaries_and_so_may_be_left_over() {
    let with = |soak: &str| {
        let mut spec = nights();
        spec["canaries"] = json!({ "nodeSelector": { "matchLabels": { "canary": "yes" } }, "soak": soak });
        let mut world = under(2, spec, &["n1", "n2", "n3"]);
        world.host("n3").view.labels = [("canary".to_owned(), "yes".to_owned())].into();
        world.settle();
        world
    };
    let short = with("20m");
    assert_eq!(turn(&short, "n3"), starts_at("01:00:00"));
    assert_eq!(turn(&short, "n1"), starts_at("01:30:00"));
    assert_eq!(names(&outlook(&with("2h")).left_over), ["n1", "n2"]);
}
