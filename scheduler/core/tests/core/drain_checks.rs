//! Stories of the check whether a node can be drained: about which node a drainer is asked, and what its answer changes.

use bellwether_proto::{OrderKind, OrderScope, Phase, Queues, UndrainableNodes};
use bellwether_scheduler_core::queues_differ;
use bellwether_scheduler_core::reading::{Found, Outcome, Query};
use jiff::SignedDuration;

use crate::orders::of_node;
use crate::world::{World, name};

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// So many slots, and drainers that do not answer yet.
fn unanswered(slots: u32, nodes: &[&str]) -> World {
    let mut world = World::new(slots, nodes);
    world.drain_answer = None;
    world
}

/// The node about which a drainer is asked, with those beside it.
fn asked(world: &World) -> Option<(String, Vec<String>)> {
    let mut questions = world.drain_questions.iter().filter_map(|(query, _)| match query {
        Query::Drain { node, beside } => Some((node.to_string(), beside.iter().map(ToString::to_string).collect())),
        Query::Prometheus(_) | Query::Pods { .. } | Query::DaemonPods { .. } => None,
    });
    let question = questions.next();
    assert_eq!(questions.next(), None, "one question at a time");
    question
}

fn of(node: &str, beside: &[&str]) -> (String, Vec<String>) {
    (node.to_owned(), beside.iter().map(|node| (*node).to_owned()).collect())
}

fn blocked() -> Outcome {
    Outcome::Shut("PodDisruptionBudget shop/web never allows an eviction".into())
}

fn not_now() -> Outcome {
    Outcome::NotNow("PodDisruptionBudget shop/web allows 1 now, node a needs 1".into())
}

#[test]
fn a_node_starts_once_a_drainer_answers_that_the_node_can_be_drained() {
    let mut world = unanswered(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("DrainUnchecked")));
    assert_eq!(asked(&world), Some(of("a", &[])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    // The slot is taken: no drainer is asked about a node that could not start.
    assert_eq!((asked(&world), world.reason("b")), (None, Some("NoSlot")));
}

#[test]
fn a_node_that_cannot_be_drained_takes_no_slot_and_lets_the_next_one_go() {
    let mut world = unanswered(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.answer_drain_with(&blocked());
    assert_eq!((world.phase("a"), world.reason("a")), (None, Some("DrainBlocked")));
    assert!(
        world.message("a").contains("shop/web never allows"),
        "{}",
        world.message("a")
    );
    assert_eq!(asked(&world), Some(of("b", &[])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    world.drain_answer = Some(Outcome::Open);
    world.reboot("b");
    assert_eq!(world.phase("a"), None, "what keeps it is hardly gone so soon");
    world.pass(SECOND * 60);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn nodes_that_need_one_budget_are_not_drained_at_once_while_another_one_can_go() {
    let mut world = unanswered(2, &["a", "b", "c"]);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
    assert_eq!(
        asked(&world),
        Some(of("b", &["a"])),
        "beside the node that is drained now"
    );
    world.answer_drain_with(&not_now());
    assert_eq!((world.phase("b"), world.reason("b")), (None, Some("DrainNotNow")));
    assert_eq!(asked(&world), Some(of("c", &["a"])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("c"), Some(Phase::Draining));
    // The first drain has ended, so its pods need the budget no more.
    world.drainer("a", true, 1);
    world.settle();
    assert_eq!(world.reason("b"), Some("NoSlot"), "the answer is void");
    world.reboot("c");
    assert_eq!(asked(&world), Some(of("b", &[])), "a reboots, and is drained no more");
}

#[test]
fn the_time_until_the_next_question_doubles_with_each_answer_that_a_node_cannot_be_drained() {
    for (answer, first, longest) in [(blocked(), 60, 480), (not_now(), 15, 480)] {
        let mut world = unanswered(1, &["a"]);
        world.need("a");
        let mut wait = first;
        for _ in 0..8 {
            world.answer_drain_with(&answer);
            world.pass(SECOND * (wait - 1));
            assert_eq!(asked(&world), None);
            world.pass(SECOND);
            assert_eq!(asked(&world), Some(of("a", &[])), "after {wait} s");
            wait = (wait * 2).min(longest);
        }
        world.answer_drain_with(&Outcome::Open);
        assert_eq!(world.phase("a"), Some(Phase::Draining));
    }
}

#[test]
fn an_operator_who_has_a_node_checked_again_shortens_the_wait() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    world.answer_drain_with(&blocked());
    world.pass(SECOND);
    let query = Query::Drain {
        node: name("a"),
        beside: vec![],
    };
    world.drain_questions.push((query, world.now));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_answer_is_void_once_another_node_is_drained() {
    let mut world = unanswered(2, &["a", "b"]);
    world.need("b");
    assert_eq!(asked(&world), Some(of("b", &[])));
    // An operator sends a first while the drainer looks at b.
    world.need("a");
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    assert_eq!(asked(&world), Some(of("a", &["b"])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn a_drainer_that_cannot_look_or_does_not_answer_keeps_every_node_and_each_one_states_that() {
    let mut world = unanswered(1, &["a", "b", "c"]);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer_drain_with(&Outcome::Failed("no drainer has answered".into()));
    assert_eq!(world.reason("a"), Some("DrainUnchecked"));
    for node in ["a", "b", "c"] {
        assert!(
            world.message(node).contains("no drainer has answered"),
            "{}",
            world.message(node)
        );
    }
    assert_eq!(asked(&world), None, "the next question would have the same answer");
    world.pass(SECOND * 4);
    assert_eq!(asked(&world), None);
    world.pass(SECOND);
    assert_eq!(
        asked(&world),
        Some(of("b", &[])),
        "one node about which no drainer can answer does not keep the others"
    );
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    assert_eq!(world.reason("c"), Some("NoSlot"));
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    world.drain_questions.clear();
    world.pass(SECOND * 59);
    assert_eq!(asked(&world), None);
    world.pass(SECOND);
    assert_eq!(asked(&world), Some(of("a", &[])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn an_answer_that_comes_late_or_about_a_node_that_is_gone_changes_nothing() {
    let mut world = unanswered(1, &["a", "b"]);
    world.need("a");
    let late = world.drain_questions.clone();
    world.host("a").need = Ok(None);
    world.settle();
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("a"), None);
    world.need("b");
    assert_eq!(asked(&world), Some(of("b", &[])));
    // The same answer again, while another question is under way.
    world.drain_questions.extend(late);
    let own = world.drain_questions.remove(0);
    world.answer_drain_with(&Outcome::Failed("late".into()));
    world.drain_questions.push(own);
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
}

#[test]
fn each_attempt_needs_an_answer_of_its_own() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    world.answer_drain_with(&Outcome::Open);
    world.cancel("a", "");
    world.drainer("a", true, 1);
    for _ in 0..60 {
        if asked(&world).is_none() {
            world.pass(SECOND * 30);
        }
    }
    assert_eq!(asked(&world), Some(of("a", &[])));
}

#[test]
fn without_checks_no_drainer_is_asked() {
    let mut world = unanswered(1, &["a"]);
    world.policy.check_drains = false;
    world.crash();
    world.reload();
    world.need("a");
    assert_eq!(asked(&world), None);
    assert_eq!(world.phase("a"), Some(Phase::Draining));
}

#[test]
fn nodes_about_which_no_drainer_can_answer_do_not_keep_those_behind_them() {
    let mut world = unanswered(1, &["a", "b", "c", "d"]);
    for node in ["a", "b", "c", "d"] {
        world.need(node);
    }
    for _ in 0..60 {
        if asked(&world).is_some_and(|(node, _)| node == "d") {
            return;
        }
        if !world.drain_questions.is_empty() {
            world.answer_drain_with(&Outcome::Failed("its pods cannot be listed".into()));
        }
        world.pass(SECOND);
    }
    assert_eq!(asked(&world), Some(of("d", &[])), "within a minute");
}

#[test]
fn only_answers_alike_in_a_row_make_the_wait_longer_and_those_of_the_last_night_do_not() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    for wait in [60, 120, 240] {
        world.answer_drain_with(&blocked());
        world.pass(SECOND * wait);
    }
    world.answer_drain_with(&not_now());
    world.pass(SECOND * 15);
    assert_eq!(asked(&world), Some(of("a", &[])));
    world.answer_drain_with(&not_now());
    world.pause("until the next night");
    world.pass(SECOND * 36_000);
    world.resume();
    world.settle();
    world.answer_drain_with(&not_now());
    world.pass(SECOND * 15);
    assert_eq!(asked(&world), Some(of("a", &[])));
}

#[test]
fn an_operator_who_looks_in_vain_makes_no_wait_longer() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    world.answer_drain_with(&blocked());
    for _ in 0..3 {
        world.pass(SECOND * 19);
        let query = Query::Drain {
            node: name("a"),
            beside: vec![],
        };
        world.drain_questions.push((query, world.now));
        world.answer_drain_with(&blocked());
    }
    world.pass(SECOND * 3);
    assert_eq!(
        asked(&world),
        Some(of("a", &[])),
        "a minute after the scheduler's own question"
    );
}

#[test]
fn a_node_that_waits_for_a_drain_is_asked_about_again_when_the_node_of_that_drain_is_deleted() {
    let mut world = unanswered(2, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.answer_drain_with(&Outcome::Open);
    world.answer_drain_with(&not_now());
    assert_eq!((world.phase("a"), asked(&world)), (Some(Phase::Draining), None));
    world.leave("a");
    assert_eq!(asked(&world), Some(of("b", &[])));
}

#[test]
fn an_answer_that_crosses_the_end_of_the_drain_that_it_is_about_is_asked_for_again() {
    let mut world = unanswered(2, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(asked(&world), Some(of("b", &["a"])));
    world.drainer("a", true, 1);
    world.settle();
    world.answer_drain_with(&not_now());
    assert_eq!(asked(&world), Some(of("b", &[])));
}

#[test]
fn an_answer_of_before_the_end_of_a_drain_starts_no_node() {
    let mut world = unanswered(2, &["a", "b"]);
    world.need("b");
    world.order(OrderKind::Block, of_node("b"), None);
    world.answer_drain_with(&Outcome::Open);
    assert_eq!((world.phase("b"), world.reason("b")), (None, Some("Held")));
    world.need("a");
    world.answer_drain_with(&Outcome::Open);
    world.drainer("a", true, 1);
    world.settle();
    world.end(OrderKind::Block, of_node("b"));
    assert_eq!(
        world.phase("b"),
        None,
        "what that drain has used of a budget is not free at once"
    );
    assert_eq!(asked(&world), Some(of("b", &[])));
}

/// What keeps the pods of each of these owners.
fn kept(by_owner: &[(&str, &str)]) -> Found {
    let by_owner = by_owner.iter();
    Found {
        text: "all of it".to_owned(),
        by_owner: by_owner
            .map(|(owner, text)| ((*owner).to_owned(), (*text).to_owned()))
            .collect(),
    }
}

fn undrainable(world: &World) -> Vec<UndrainableNodes> {
    world.fleet.queues(&world.fleet.policies(), world.now).undrainable
}

fn lines(world: &World) -> Vec<String> {
    let nodes = undrainable(world).into_iter();
    nodes
        .map(|it| format!("{}: {} from {} ({})", it.owner, it.nodes, it.first_node, it.message))
        .collect()
}

#[test]
fn the_event_about_queues_names_whose_pods_keep_how_many_nodes_and_only_while_these_wait_for_that() {
    let mut world = unanswered(1, &["a", "b", "c"]);
    for node in ["a", "b", "c"] {
        world.need(node);
    }
    world.answer_drain_with(&Outcome::Shut(kept(&[("team-shop", "web never")])));
    let of_two = kept(&[("team-cart", "api never"), ("team-shop", "web never")]);
    world.answer_drain_with(&Outcome::Shut(of_two));
    world.answer_drain_with(&Outcome::Shut(kept(&[("", "db never")])));
    let expected = [
        "team-shop: 2 from a (web never)",
        ": 1 from c (db never)",
        "team-cart: 1 from b (api never)",
    ];
    assert_eq!(lines(&world), expected, "each with its own");
    // Another count or owner is news, another sentence is none.
    let queues = |undrainable| Queues {
        undrainable,
        ..Queues::default()
    };
    let before = undrainable(&world);
    let mut reworded = before.clone();
    reworded[0].message.push('.');
    let mut counted = before.clone();
    counted[0].nodes = 1;
    assert!(!queues_differ(&queues(before.clone()), &queues(reworded)));
    assert!(queues_differ(&queues(before.clone()), &queues(counted)));
    assert!(queues_differ(&queues(before), &queues(Vec::new())));
    // What waits for an operator first is kept by no owner.
    world.order(OrderKind::Block, OrderScope::Fleet, None);
    assert_eq!(lines(&world), Vec::<String>::new());
}

#[test]
fn a_node_whose_pods_cannot_go_counts_while_others_have_the_slot_and_no_longer_than_an_hour() {
    let mut world = unanswered(1, &["a", "b"]);
    world.need("a");
    world.need("b");
    world.answer_drain_with(&Outcome::Shut(kept(&[("team-shop", "web never")])));
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(world.phase("b"), Some(Phase::Draining));
    let counted = ["team-shop: 1 from a (web never)"];
    for _ in 0..5 {
        world.pass(SECOND * 60);
        assert_eq!(lines(&world), counted, "at {}", world.now);
    }
    world.now += SECOND * 3600;
    assert_eq!(lines(&world), Vec::<String>::new());
}

#[test]
fn pods_that_may_go_in_a_moment_count_once_they_have_not_gone_for_minutes() {
    let mut world = unanswered(1, &["a"]);
    world.need("a");
    for answers in 1..=6 {
        world.answer_drain_with(&Outcome::NotNow(kept(&[("team-shop", "web allows none")])));
        let counted = usize::from(answers >= 5);
        assert_eq!(lines(&world).len(), counted, "after {answers} answers");
        while asked(&world).is_none() {
            world.pass(SECOND * 15);
        }
    }
    world.answer_drain_with(&Outcome::Open);
    assert_eq!(lines(&world), Vec::<String>::new());
}
