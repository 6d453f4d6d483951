//! Stories of the taint that nodes carry while they wait for their reboot.

use bellwether_proto::{TaintNode, mark};
use bellwether_scheduler_core::{AnnotatedKind, Effect, Taint};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::annotated;
use crate::world::{World, name, policy};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn under(spec: Value, nodes: &[&str]) -> World {
    let mut world = World::new(1, nodes);
    set_policy(&mut world, spec);
    world
}

fn set_policy(world: &mut World, spec: Value) {
    world.policies = vec![policy("all", spec)];
    world.settle();
}

/// From one o'clock to three; the world begins at midnight.
fn night() -> Value {
    json!({ "windows": [{ "days": ["Mon-Sun"], "start": "01:00", "end": "03:00" }], "startMargin": "10m" })
}

fn is_tainted(world: &World, node: &str) -> bool {
    let taints = &world.hosts[&name(node)].view.taints;
    taints.iter().any(|taint| taint.key == mark::WAITS_FOR_REBOOT)
}

fn commands(world: &World) -> Vec<TaintNode> {
    let effects = world.effects.iter().filter_map(|(_, effect)| {
        let Effect::TaintNode(command) = effect else {
            return None;
        };
        Some(command.clone())
    });
    effects.collect()
}

#[test]
fn nodes_that_wait_carry_the_taint_and_lose_it_with_their_need() {
    let mut world = under(json!({}), &["a", "b", "c"]);
    assert!(!is_tainted(&world, "c"), "no need");
    world.need("a");
    world.need("b");
    world.need("c");
    assert!(!is_tainted(&world, "a"), "it starts at once");
    assert!(is_tainted(&world, "b") && is_tainted(&world, "c"));
    for node in ["a", "b", "c"] {
        world.reboot(node);
        assert!(!is_tainted(&world, node), "{node}");
    }
    assert!(commands(&world).iter().all(|command| command.node != name("a")));
}

#[test]
fn the_taint_is_there_only_while_the_window_is_open() {
    let mut world = under(night(), &["a", "b"]);
    world.need("a");
    world.need("b");
    assert!(!is_tainted(&world, "b"), "pods may use the node until then");
    world.pass(MINUTE * 61);
    assert!(is_tainted(&world, "b"));
    // Ten minutes before the end no node starts any more.
    world.pass(MINUTE * 108);
    assert!(is_tainted(&world, "b"));
    world.pass(MINUTE * 2);
    assert_eq!(world.reason("b"), Some("WindowTooShort"));
    assert!(!is_tainted(&world, "b"));
}

#[test]
fn an_operator_who_pauses_the_fleet_takes_the_taint_away() {
    let mut world = under(json!({}), &["a", "b"]);
    world.need("a");
    world.need("b");
    assert!(is_tainted(&world, "b"));
    world.pause("patch day is over");
    world.settle();
    world.settle();
    assert!(!is_tainted(&world, "b"));
    world.resume();
    world.settle();
    world.settle();
    assert!(is_tainted(&world, "b"));
}

#[test]
fn a_node_that_an_operator_holds_or_skips_carries_no_taint() {
    let mut world = under(json!({}), &["a", "b"]);
    world.need("a");
    world.need("b");
    let orders = [AnnotatedKind::Hold, AnnotatedKind::Skip].map(|kind| annotated::order(&world, kind));
    for order in orders {
        assert!(is_tainted(&world, "b"));
        world.annotate("b", [order]);
        world.settle();
        assert!(!is_tainted(&world, "b"), "{:?}", world.reason("b"));
        world.annotate("b", []);
        world.settle();
    }
    assert!(is_tainted(&world, "b"));
}

#[test]
fn a_gate_that_comes_and_goes_by_the_minute_leaves_the_taint() {
    let gate = json!({ "gates": { "prometheus": [{ "name": "alerts", "url": "http://p", "query": "ALERTS" }] } });
    let mut world = under(gate, &["a", "b"]);
    world.need("b");
    world.settle();
    assert_eq!(world.reason("b"), Some("GateUnread"));
    assert!(is_tainted(&world, "b"));
}

#[test]
fn without_a_policy_that_wants_the_taint_a_node_loses_it() {
    let mut world = under(json!({}), &["a", "b"]);
    world.need("a");
    world.need("b");
    assert!(is_tainted(&world, "b"));
    set_policy(&mut world, json!({ "waitingTaint": "None" }));
    assert!(!is_tainted(&world, "b"));
    set_policy(&mut world, json!({}));
    world.settle();
    assert!(is_tainted(&world, "b"));
    world.policies.clear();
    world.settle();
    assert!(!is_tainted(&world, "b"), "the built-in policy has no taint");
}

#[test]
fn a_taint_that_another_program_removes_or_sets_is_corrected() {
    let mut world = under(json!({}), &["a", "b", "c"]);
    world.need("a");
    world.need("b");
    world.settle();
    world.host("b").view.taints.clear();
    world.settle();
    assert!(is_tainted(&world, "b"));
    world.host("c").view.taints = vec![Taint {
        key: mark::WAITS_FOR_REBOOT.to_owned(),
        value: String::new(),
        effect: "NoExecute".to_owned(),
    }];
    world.settle();
    assert!(!is_tainted(&world, "c"));
}

#[test]
fn few_commands_are_under_way_at_once_and_each_comes_again_after_a_minute() {
    let names: Vec<String> = (0..50).map(|number| format!("n{number:02}")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = under(json!({}), &nodes);
    world.pause("until all are here");
    world.drainers_taint = false;
    for node in &nodes {
        world.need(node);
    }
    assert_eq!(commands(&world), vec![]);
    world.resume();
    world.settle();
    let first = commands(&world);
    // One of the fifty starts at once.
    assert_eq!(first.len(), 20);
    assert!(
        first
            .iter()
            .all(|command| command.present && command.not_after == world.now + MINUTE)
    );
    world.pass(MINUTE - SignedDuration::from_secs(1));
    assert_eq!(commands(&world).len(), 20);
    world.pass(SignedDuration::from_secs(1));
    // Nodes that had no command yet come first.
    let second = commands(&world)[20..].to_vec();
    assert_eq!(second.len(), 20);
    assert!(
        second
            .iter()
            .all(|command| first.iter().all(|before| before.node != command.node))
    );
    // An answer, as the view shows, makes room at once.
    world.drainers_taint = true;
    world.pass(MINUTE);
    world.settle();
    world.settle();
    let tainted = nodes.iter().filter(|node| is_tainted(&world, node)).count();
    assert_eq!(tainted, 49);
}

#[test]
fn a_node_that_is_to_be_left_alone_loses_the_taint_before_it_leaves_the_view() {
    let mut world = under(json!({}), &["a", "b", "c", "d"]);
    world.need("a");
    world.need("b");
    world.settle();
    // The command for this one is under way, and no view has shown the taint yet.
    world.need("c");
    for node in ["b", "c"] {
        let before = commands(&world).len();
        world.leave(node);
        let after = commands(&world);
        assert_eq!(after.len(), before + 1, "{node}");
        let last = after.last().unwrap();
        assert_eq!((last.node.clone(), last.present), (name(node), false));
    }
    let before = commands(&world).len();
    world.leave("d");
    assert_eq!(commands(&world).len(), before, "it has no taint");
}

#[test]
fn a_need_of_which_nothing_is_known_any_more_leaves_the_taint() {
    let mut world = under(json!({}), &["a", "b"]);
    world.need("a");
    world.need("b");
    world.host("b").need = Err("the file cannot be read".to_owned());
    world.settle();
    assert!(is_tainted(&world, "b"));
    world.host("b").need = Ok(None);
    world.settle();
    world.settle();
    assert!(!is_tainted(&world, "b"));
}
