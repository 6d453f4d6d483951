//! Stories of one drain over time. Times are seconds since its begin.

use bellwether_drainer_core::action::Staying;
use bellwether_drainer_core::{Answer, ApiFault, CommandEnd, Machine as _, Notice, PodView};
use bellwether_proto::{DrainFailure, DrainReport, Fact, ObstacleKind, Phase};

use crate::world::{Response, World, at, pod, staying};
use std::time::Duration;

#[test]
fn d49_an_empty_node_is_drained_two_seconds_after_its_cordon_and_not_before() {
    let mut world = World::drain(600, &[staying("d")]);
    world.pass(1);
    assert_eq!((world.patches, &world.facts[..]), (1, &[Fact::Cordoned][..]));
    assert_eq!((world.lists, &world.end), (0, &None));
    world.pass(1);
    let staying = Staying {
        annotated: 1,
        ..Staying::default()
    };
    let report = DrainReport {
        seconds: 2,
        staying,
        ..DrainReport::default()
    };
    let drained = CommandEnd::Drained {
        pods_gone: 0,
        staying,
        remarks: String::new(),
        attached: String::new(),
        report: Box::new(report),
    };
    assert_eq!(world.end, Some((at(2), drained)));
}

#[test]
fn a_node_is_drained_when_its_last_pod_is_gone_and_not_when_it_terminates() {
    let mut world = World::drain(600, &[pod("a"), pod("b")]);
    world.pass(20);
    assert_eq!(world.evicted, ["a", "b"]);
    assert_eq!((world.lists, &world.end), (0, &None));
    world.remove_pod("a");
    world.remove_pod("b");
    world.pass(0);
    assert_eq!(world.drained(), 2);
    let left: Vec<_> = world.progress.iter().map(|progress| progress.pods_left).collect();
    assert_eq!(
        left,
        [2, 2, 1],
        "as found, as terminating, after the first; the end has its own event"
    );
}

#[test]
fn d49_a_pod_that_only_the_consistent_list_contains_keeps_the_drain_open() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.pods.insert("late".to_owned(), pod("late"));
    world.pass(1);
    assert_eq!((world.lists, &world.evicted[..]), (1, &["late".to_owned()][..]));
    world.pods.clear();
    world.responses.clear();
    world.machine.handle_answer(at(2), "late", Answer::Gone);
    world.pass(1);
    assert_eq!((world.lists, world.drained()), (2, 1));
}

#[test]
fn d9_a_node_that_an_operator_uncordons_is_cordoned_and_listed_again_and_settles_again() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(10);
    world.change_node(|node| node.is_unschedulable = false);
    // Bound while the node was schedulable; the old watch has not shown it.
    world.pods.insert("b".to_owned(), pod("b"));
    world.pass(0);
    assert_eq!(
        (world.patches, world.facts.len()),
        (2, 1),
        "the event about the cordon is not repeated"
    );
    assert!(world.notices.contains(&Notice::CordonedAgain));
    assert_eq!(world.evicted, ["a", "b"]);
    world.remove_pod("a");
    world.remove_pod("b");
    world.pass(1);
    assert_eq!(world.end, None);
    world.pass(1);
    assert_eq!(world.drained(), 2);
}

#[test]
fn d9_an_uncordon_counts_even_if_the_cordon_is_back_before_the_drain_learns_of_either() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(10);
    world.change_node(|node| node.is_unschedulable = false);
    world.change_node(|node| node.is_unschedulable = true);
    world.pods.insert("b".to_owned(), pod("b"));
    world.pass(0);
    assert_eq!(world.evicted, ["a", "b"], "the pods are listed again");
}

#[test]
fn d9_no_proof_begins_after_a_second_cordon_before_the_pods_are_listed_again() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.change_node(|node| node.is_unschedulable = false);
    world.deliver_only(|response| !matches!(response, Response::Pod(_)));
    world.now = at(10);
    world.act();
    assert_eq!((world.patches, world.lists), (2, 0));
    world.pass(0);
    assert_eq!((world.lists, world.drained()), (1, 0));
}

#[test]
fn d3_a_foreign_cordon_ends_the_drain_without_a_touch() {
    let mut world = World::drain(600, &[pod("a")]);
    world.change_node(|node| node.is_unschedulable = true);
    world.pass(10);
    assert_eq!(world.failure(), DrainFailure::ForeignCordon);
    assert_eq!((world.patches, world.evicted.len(), world.facts.len()), (0, 0, 0));
}

#[test]
fn d42_a_node_that_is_deleted_ends_the_drain() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(10);
    world.delete_node();
    world.pass(0);
    assert_eq!(world.failure(), DrainFailure::NodeGone);
}

#[test]
fn d45_evictions_pause_while_the_node_is_not_ready_and_the_reason_is_named() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.change_node(|node| node.not_ready = Some("kubelet silent".to_owned()));
    world.put_pod(pod("a"));
    world.put_pod(PodView {
        deletion_at: Some(at(2000)),
        ..pod("b")
    });
    world.pass(10);
    assert!(world.evicted.is_empty());
    let reason = "node n1 is not Ready (kubelet silent): its kubelet ends no pod, and evictions pause until it is";
    assert_eq!(held_up_by(&world)[0], reason);
    assert_eq!(held_up_by(&world).iter().filter(|it| *it == reason).count(), 1);
    world.remove_pod("a");
    world.pass(10);
    assert_eq!(
        held_up_by(&world)[0],
        reason,
        "a pod that ends does not end there either"
    );
    world.put_pod(pod("a"));
    world.change_node(|node| node.not_ready = None);
    world.pass(3);
    assert_eq!(world.evicted, ["a"]);
    assert!(!held_up_by(&world).iter().any(|it| it == reason));
    let grace = "by its grace may end only after the drain's time is over at 1970-01-01T00:10:00Z: pod shop/b";
    assert!(
        held_up_by(&world).iter().any(|it| it == grace),
        "D32: {:?}",
        held_up_by(&world)
    );
    world.pass(600);
    assert_eq!(world.failure(), DrainFailure::Timeout);
}

#[test]
fn d8_a_node_that_another_writer_changes_is_read_again_before_the_next_patch() {
    let mut world = World::drain(600, &[]);
    world.act();
    world.deliver(0);
    // Between the read and the patch.
    world.change_node(|_| ());
    world.pass(1);
    assert!(world.notices.contains(&Notice::NodeChanged));
    assert_eq!(world.patches, 1);
    world.pass(5);
    assert_eq!(world.drained(), 0);
}

#[test]
fn d1_a_record_that_moves_on_ends_the_drain_before_the_next_eviction() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.phase = Phase::RollingBack;
    world.put_pod(pod("a"));
    world.pass(1);
    assert!(
        matches!(world.end, Some((_, CommandEnd::PermitLost { .. }))),
        "{:?}",
        world.end
    );
    assert_eq!(world.evicted.len(), 0);
}

#[test]
fn d1_a_record_that_moves_on_during_the_proof_ends_the_drain_without_success() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.phase = Phase::RollingBack;
    world.pass(1);
    assert!(
        matches!(world.end, Some((_, CommandEnd::PermitLost { .. }))),
        "{:?}",
        world.end
    );
}

#[test]
fn while_nats_is_silent_evictions_continue_for_half_a_minute_and_no_drain_ends_well() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.nats_answers = false;
    world.put_pod(pod("a"));
    world.pass(10);
    assert_eq!(world.evicted, ["a"]);
    world.pass(30);
    world.put_pod(pod("b"));
    world.pass(30);
    assert_eq!(world.evicted, ["a"]);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::EvictionsSuspended(_)))
    );
    world.remove_pod("a");
    world.remove_pod("b");
    world.pass(30);
    assert_eq!(world.end, None);
    assert!(
        world
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Unconfirmed(_)))
    );
    world.nats_answers = true;
    world.pass(5);
    assert_eq!(world.drained(), 2);
}

#[test]
fn d50_a_drain_that_a_budget_blocks_ends_in_time_and_names_the_budget() {
    let mut world = World::drain(120, &[pod("a")]);
    world.eviction_answer = Answer::BudgetBlocked("budget web needs 2 and has 2".to_owned());
    world.pass(1000);
    assert_eq!(world.failure(), DrainFailure::Timeout);
    let (ended_at, end) = world.end.unwrap();
    assert_eq!(ended_at, at(120));
    let CommandEnd::DrainFailed {
        message,
        obstacle,
        report,
        ..
    } = end
    else {
        unreachable!()
    };
    let report = report.unwrap();
    let [budget] = &report.budgets[..] else {
        unreachable!("{report:?}")
    };
    assert_eq!((&*budget.namespace, budget.blocked_seconds), ("shop", 120));
    assert_eq!((report.seconds, report.pods_left, report.evictions), (120, 1, 0));
    let of = obstacle.map(|obstacle| (obstacle.kind, obstacle.namespace, obstacle.owner));
    let expected = (ObstacleKind::Budget, "shop".to_owned(), "ReplicaSet/r".to_owned());
    assert_eq!(of, Some(expected));
    assert_eq!(
        message,
        "the time was over with 0 pods gone and 1 still there: pod shop/a: budget web needs 2 and has 2"
    );
}

#[test]
fn a_drain_whose_time_is_over_before_its_begin_touches_nothing() {
    let mut world = World::drain(0, &[pod("a")]);
    world.pass(0);
    assert_eq!(world.failure(), DrainFailure::Timeout);
    assert_eq!((world.patches, world.facts.len()), (0, 0));
}

#[test]
fn a_drain_that_cannot_cordon_in_time_ends_in_time() {
    let mut world = World::drain(120, &[pod("a")]);
    world.api_fault = Some(ApiFault::Unavailable("down".to_owned()));
    world.pass(119);
    assert_eq!(world.end, None);
    world.pass(1);
    assert_eq!(world.failure(), DrainFailure::Timeout);
}

#[test]
fn d1_a_drain_that_only_waits_ends_at_once_after_a_hint() {
    let mut world = World::drain(600, &[pod("a")]);
    world.pass(11);
    world.phase = Phase::RollingBack;
    world.hint();
    world.pass(60);
    let (ended_at, end) = world.end.unwrap();
    assert!(matches!(end, CommandEnd::PermitLost { .. }), "{end:?}");
    assert_eq!(ended_at, at(11));
}

#[test]
fn a_busy_api_server_gets_the_quiet_that_it_asks_for() {
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Throttled(Duration::from_secs(20));
    world.pass(1);
    let quiet = world.throttles[0];
    assert!(quiet >= at(20) && quiet <= at(24), "{quiet}");
    world.put_pod(pod("b"));
    world.pass(14);
    assert_eq!(world.evicted, ["a"]);
    world.eviction_answer = Answer::Accepted;
    world.pass(60);
    assert_eq!(world.evicted.len(), 3);
}

#[test]
fn a_quiet_that_was_noted_before_the_clock_was_set_back_is_over() {
    let mut world = World::drain(7200, &[pod("a")]);
    world.machine.handle_throttle(at(3600));
    world.pass(1);
    assert_eq!(world.evicted, ["a"]);
}

#[test]
fn a_quiet_of_a_day_rests_evictions_for_half_a_minute_and_other_causes_not_at_all() {
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Throttled(Duration::from_hours(24));
    world.pass(5);
    assert_eq!(world.evicted.len(), 1);
    world.eviction_answer = Answer::Accepted;
    world.pass(36);
    assert_eq!(world.evicted.len(), 2);
    // The cordon is no eviction: it does not rest.
    let mut world = World::drain(600, &[pod("a")]);
    world.eviction_answer = Answer::Throttled(Duration::from_secs(30));
    world.pass(5);
    let patches = world.patches;
    world.change_node(|node| node.is_unschedulable = false);
    world.pass(2);
    assert_eq!(world.patches, patches + 1);
}

#[test]
fn the_longest_quiet_counts_that_any_drain_was_asked_for() {
    let mut world = World::drain(600, &[pod("a")]);
    for until in [10, 30, 20] {
        world.machine.handle_throttle(at(until));
    }
    world.pass(29);
    assert_eq!(world.evicted.len(), 0);
    let blocker = "the API server is busy and asked for fewer requests";
    assert_eq!(held_up_by(&world), [blocker]);
    world.pass(1);
    assert_eq!(world.evicted, ["a"]);
}

#[test]
fn an_answer_to_an_older_request_counts_for_nothing() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.now = at(2);
    world.act();
    assert_eq!(world.lists, 1);
    // Before the list comes in, an operator uncordons the node.
    world.change_node(|node| node.is_unschedulable = false);
    world.deliver(1);
    world.pass(1);
    assert_eq!((world.lists, &world.end), (1, &None));
    world.pass(1);
    assert_eq!((world.lists, world.drained()), (2, 0));
}

#[test]
fn a_read_of_the_node_for_an_older_proof_counts_for_nothing() {
    let but_node_reads = |response: &Response| !matches!(response, Response::NodeRead(..));
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.now = at(2);
    world.act();
    world.deliver_only(but_node_reads);
    assert_eq!((world.lists, world.responses.len()), (1, 1), "the node is being read");
    world.put_pod(pod("a"));
    world.deliver_only(but_node_reads);
    world.remove_pod("a");
    world.deliver_only(but_node_reads);
    world.now = at(4);
    world.act();
    world.deliver_only(but_node_reads);
    assert_eq!(
        (world.lists, world.responses.len()),
        (2, 2),
        "the node is being read again"
    );
    world.deliver(0);
    world.deliver_only(but_node_reads);
    assert_eq!(world.end, None);
    world.settle();
    assert_eq!(world.drained(), 1);
}

#[test]
fn a_drain_reads_its_record_again_when_the_clock_is_set_back() {
    let mut world = World::drain(7200, &[pod("a")]);
    world.pass(3600);
    assert!(world.responses.is_empty());
    world.now = at(0);
    world.act();
    let reads = |response: &Response| matches!(response, Response::Record(..));
    assert!(world.responses.iter().any(reads));
}

#[test]
fn a_slow_api_server_gets_one_consistent_list_at_a_time() {
    let mut world = World::drain(600, &[]);
    world.pass(1);
    world.now = at(2);
    world.act();
    assert_eq!(world.lists, 1);
    // A pod comes and goes while the API server works on the list.
    world.put_pod(pod("b"));
    world.remove_pod("b");
    let but_the_list = |response: &Response| !matches!(response, Response::PodsListed(..));
    world.deliver_only(but_the_list);
    world.now = at(10);
    world.act();
    assert_eq!((world.lists, &world.end), (1, &None));
    // The node loses its cordon meanwhile, gets it again, and settles.
    world.change_node(|node| node.is_unschedulable = false);
    world.deliver_only(but_the_list);
    world.now = at(20);
    world.act();
    world.deliver_only(but_the_list);
    assert_eq!((world.patches, world.lists, &world.end), (2, 1, &None));
    world.pass(2);
    assert_eq!((world.lists, world.drained()), (2, 1));
}

/// Blockers in the newest event about the progress.
pub(crate) fn held_up_by<M>(world: &World<M>) -> &[String] {
    match world.progress.last() {
        Some(progress) => &progress.held_up_by,
        None => unreachable!("no progress"),
    }
}

impl<M> World<M> {
    pub(crate) fn drained(&self) -> u32 {
        match &self.end {
            Some((_, CommandEnd::Drained { pods_gone, .. })) => *pods_gone,
            end => unreachable!("{end:?}"),
        }
    }

    pub(crate) fn failure(&self) -> DrainFailure {
        match &self.end {
            Some((_, CommandEnd::DrainFailed { failure, .. })) => *failure,
            end => unreachable!("{end:?}"),
        }
    }
}
