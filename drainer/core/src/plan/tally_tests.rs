//! The reasons for which pods are left, and what a drain has met: pods, budgets and answers in, numbers out.

use std::sync::Arc;
use std::time::Duration;

use bellwether_proto::{BlockedBudget, Blocker, BlockerKind, BudgetNumbers};

use super::turns_tests::{Drain, at, blocked, pod};
use super::*;
use crate::answer::Answer;
use crate::namespace::{NamespaceOwners, NamespaceView};
use crate::pod::{Class, NodePod};

#[test]
fn d51_each_pod_that_is_left_counts_once_with_the_reason_for_which_it_is_still_there() {
    let mut drain = Drain::new(&[("web", 0, 1), ("db", 1, 1)]);
    let pods = [
        pod("web-0"),
        pod("web-1"),
        pod("db-0"),
        pod("db-1"),
        ending_at("in-time", 50),
        ending_at("in-time-too", 40),
        ending_at("stuck", -60),
        pod("free-0"),
        pod("guarded-0"),
    ];
    assert_eq!(drain.evict(0, &pods), ["db-0", "web-0"]);
    drain.answered(0, "web-0", blocked());
    drain.answered(0, "db-0", Answer::AdmissionDenied("no".to_owned()));
    let step = drain.step(0, &pods);
    let web = BudgetNumbers {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        healthy: 3,
        desired: 3,
        expected: 9,
    };
    let kept = Blocker {
        budget: Some(web),
        ..Blocker::of(BlockerKind::Budget, 2)
    };
    let grace = Blocker {
        grace_ends_at: Some(at(50)),
        ..Blocker::of(BlockerKind::Grace, 2)
    };
    // One pod of db is next, and free pods wait for the budgets.
    let expected = [
        kept,
        Blocker::of(BlockerKind::Webhook, 1),
        Blocker::of(BlockerKind::Stuck, 1),
        grace,
        Blocker::of(BlockerKind::Turn, 3),
    ];
    assert_eq!(step.blockers, expected);
    assert_eq!(step.pods_left, 9);
}

#[test]
fn each_answer_that_keeps_a_pod_has_its_reason() {
    let failed = || Answer::Failed("502".to_owned());
    for (answer, kind) in [
        (Answer::SeveralBudgets, BlockerKind::SeveralBudgets),
        (Answer::AdmissionDenied(String::new()), BlockerKind::Webhook),
        (failed(), BlockerKind::EvictionFailed),
        (Answer::Conflict, BlockerKind::Turn),
        (Answer::NamespaceEnding, BlockerKind::Turn),
    ] {
        let mut drain = Drain::new(&[]);
        drain.evict(0, &[pod("a-0")]);
        drain.answered(0, "a-0", answer.clone());
        let blockers = drain.step(0, &[pod("a-0")]).blockers;
        assert_eq!(blockers, [Blocker::of(kind, 1)], "{answer:?}");
    }
    let rest = Suspension {
        until: at(10),
        reason: "NATS".to_owned(),
    };
    let mut plan = Plan::new(10);
    let blockers = |plan: &mut Plan, second| plan.step(at(second), &[pod("a-0")], Some(&rest)).blockers;
    assert_eq!(blockers(&mut plan, 0), [Blocker::of(BlockerKind::Rest, 1)]);
    assert_eq!(blockers(&mut plan, 10), [Blocker::of(BlockerKind::Turn, 1)]);
}

#[test]
fn an_obstacle_names_the_owners_of_its_namespaces_and_what_passes_by_itself_names_none() {
    let mut drain = Drain::new(&[("web", 0, 1)]);
    let guarded = NodePod {
        namespace: "cart".to_owned(),
        ..pod("guarded-0")
    };
    let pods = [pod("web-0"), guarded, ending_at("in-time", 50), ending_at("stuck", -60)];
    drain.evict(0, &pods);
    drain.answered(0, "web-0", blocked());
    drain.answered(0, "guarded-0", Answer::AdmissionDenied("no".to_owned()));
    let mut owners_of = |owners: &[(&str, &str)]| -> Vec<(BlockerKind, String)> {
        let mut known = NamespaceOwners::default();
        for (name, owner) in owners {
            known.insert(NamespaceView {
                name: (*name).to_owned(),
                owner: Some((*owner).to_owned()),
            });
        }
        drain.plan.handle_owners(Arc::new(known));
        let blockers = drain.step(0, &pods).blockers.into_iter();
        blockers.map(|it| (it.kind, it.namespace_owners.join(","))).collect()
    };
    let named = |budget: &str, webhook: &str, stuck: &str| {
        let kinds = [
            BlockerKind::Budget,
            BlockerKind::Webhook,
            BlockerKind::Stuck,
            BlockerKind::Grace,
        ];
        let owners = [budget, webhook, stuck, ""].map(str::to_owned);
        kinds.into_iter().zip(owners).collect::<Vec<_>>()
    };
    let of_all = owners_of(&[("shop", "team-shop"), ("cart", "team-cart"), ("blog", "editors")]);
    assert_eq!(of_all, named("team-shop", "team-cart", "team-shop"));
    assert_eq!(owners_of(&[("cart", "team-cart")]), named("", "team-cart", ""));
}

#[test]
fn a_budget_that_only_an_answer_names_is_counted_without_a_name() {
    let mut plan = Plan::new(10);
    plan.step(at(0), &[pod("web-0")], None);
    plan.answered(at(0), "web-0", blocked(), |wait: Duration| wait);
    let blockers = plan.step(at(0), &[pod("web-0")], None).blockers;
    let [blocker] = &blockers[..] else {
        unreachable!("{blockers:?}")
    };
    let budget = blocker.budget.as_ref().unwrap();
    assert_eq!((blocker.kind, blocker.pods), (BlockerKind::Budget, 1));
    assert_eq!((&*budget.namespace, &*budget.name), ("shop", ""));
}

#[test]
fn of_many_budgets_those_that_keep_most_pods_have_their_own_entry_and_no_pod_is_lost() {
    let names: Vec<String> = (0..12).map(|number| format!("b{number:02}")).collect();
    let budgets: Vec<_> = names.iter().map(|name| (name.as_str(), 0, 1)).collect();
    let mut drain = Drain::new(&budgets);
    let mut pods: Vec<NodePod> = names.iter().map(|name| pod(&format!("{name}-0"))).collect();
    pods.push(pod("b11-1"));
    for uid in drain.evict(0, &pods) {
        drain.answered(0, &uid, blocked());
    }
    for uid in drain.evict(0, &pods) {
        drain.answered(0, &uid, blocked());
    }
    let step = drain.step(0, &pods);
    let first = step.blockers.first().unwrap();
    assert_eq!((first.pods, &*first.budget.as_ref().unwrap().name), (2, "b11"));
    assert_eq!(step.blockers.len(), 9);
    assert_eq!(step.blockers.last().unwrap(), &Blocker::of(BlockerKind::Budget, 4));
    assert_eq!(step.blockers.iter().map(|blocker| blocker.pods).sum::<u32>(), 13);
}

#[test]
fn d51_the_report_counts_for_how_long_each_budget_kept_pods_and_names_the_stuck_ones() {
    let mut drain = Drain::new(&[("web", 0, 1), ("db", 0, 1)]);
    let pods = [pod("web-0"), pod("db-0"), ending_at("stuck", -60)];
    for uid in drain.evict(0, &pods) {
        drain.answered(0, &uid, blocked());
    }
    drain.step(0, &pods);
    drain.step(10, &pods);
    drain.budgets(&[("web", 1, 2), ("db", 0, 1)]);
    assert_eq!(drain.evict(20, &pods), ["web-0"]);
    drain.answered(20, "web-0", Answer::Accepted);
    let pods = [ending_at("web-0", 50), pod("db-0"), ending_at("stuck", -60)];
    drain.step(25, &pods);
    // The clock is set back; after that the drain continues.
    drain.step(22, &pods);
    let report = drain.plan.report(at(27));
    let blocked = |name: &str, blocked_seconds| BlockedBudget {
        namespace: "shop".to_owned(),
        budget: name.to_owned(),
        blocked_seconds,
    };
    assert_eq!(report.budgets, [blocked("db", 30), blocked("web", 20)]);
    assert_eq!((report.evictions, report.longest_grace_seconds), (1, 30));
    assert_eq!(report.stuck_pods, ["shop/stuck"]);
}

fn ending_at(uid: &str, second: i64) -> NodePod {
    NodePod {
        class: Class::Terminating {
            grace_ends_at: at(second),
        },
        uid: uid.to_owned(),
        name: uid.to_owned(),
        ..pod("any-0")
    }
}
