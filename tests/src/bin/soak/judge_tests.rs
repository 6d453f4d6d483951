use super::{Budget, Judge, NodeView, PodView};

fn judge() -> Judge {
    let budget = Budget {
        name: "web".to_owned(),
        app: "web".to_owned(),
        desired: 2,
    };
    let mut judge = Judge::new(1, vec![budget]);
    for (number, name) in ["web-1", "web-2", "web-3"].into_iter().enumerate() {
        judge.pod(pod(name, u64::try_from(number).unwrap()));
    }
    judge.node(node("n1", 4, None));
    judge.node(node("n2", 5, None));
    judge
}

fn pod(name: &str, version: u64) -> PodView {
    PodView {
        uid: name.to_owned(),
        name: name.to_owned(),
        app: "web".to_owned(),
        node: Some("n1".to_owned()),
        version,
        ready: true,
        ..PodView::default()
    }
}

fn evicted(name: &str, version: u64) -> PodView {
    PodView {
        deleting: true,
        evicted: true,
        ..pod(name, version)
    }
}

fn node(name: &str, version: u64, mark: Option<&str>) -> NodeView {
    NodeView {
        name: name.to_owned(),
        version,
        cordoned: mark.is_some(),
        mark: mark.map(str::to_owned),
    }
}

#[test]
fn an_attempt_that_evicts_within_its_budget_and_uncordons_is_in_order() {
    let mut judge = judge();
    judge.node(node("n1", 10, Some("a")));
    judge.pod(evicted("web-1", 11));
    judge.pod_gone("web-1");
    judge.pod(pod("web-4", 12));
    judge.pod(evicted("web-2", 13));
    judge.node(node("n1", 14, None));
    judge.conclude();
    assert_eq!(judge.violations(), <[String; 0]>::default());
    assert_eq!((judge.evictions(), judge.most_cordoned()), (2, 1));
}

#[test]
fn the_second_eviction_of_a_budget_for_one_breaks_it() {
    let mut judge = judge();
    judge.node(node("n1", 10, Some("a")));
    judge.pod(evicted("web-1", 11));
    judge.pod(evicted("web-2", 12));
    assert_eq!(
        judge.violations(),
        ["the budget web was broken: web-2 left 1 healthy pods of 2"]
    );
}

#[test]
fn a_pod_that_is_only_unready_because_its_node_is_silent_breaks_no_budget() {
    let mut judge = judge();
    judge.node(node("n1", 10, Some("a")));
    let silent = PodView {
        ready: false,
        ..pod("web-2", 11)
    };
    judge.pod(silent);
    judge.pod(evicted("web-1", 12));
    assert!(judge.violations().is_empty());
}

#[test]
fn a_deletion_without_the_eviction_api_and_one_of_a_daemon_set_are_found() {
    let mut judge = judge();
    judge.node(node("n1", 10, Some("a")));
    let deleted = PodView {
        evicted: false,
        ..evicted("web-1", 11)
    };
    judge.pod(deleted);
    let stays = PodView {
        app: "logs".to_owned(),
        stays: true,
        ..evicted("logs-1", 12)
    };
    judge.pod(stays);
    assert_eq!(
        judge.violations(),
        [
            "web-1 was deleted on n1, not evicted",
            "logs-1 of a DaemonSet was deleted on n1"
        ]
    );
}

#[test]
fn an_eviction_before_the_cordon_or_after_the_uncordon_is_outside_an_attempt() {
    for version in [9, 15] {
        let mut judge = judge();
        judge.pod(evicted("web-1", version));
        judge.node(node("n1", 10, Some("a")));
        judge.node(node("n1", 14, None));
        judge.conclude();
        assert_eq!(judge.violations(), ["web-1 went from n1 outside an attempt"]);
    }
}

#[test]
fn in_a_gap_of_the_watch_of_nodes_the_cordon_may_have_come_before_the_eviction() {
    let mut judge = judge();
    judge.pod(evicted("web-1", 9));
    judge.nodes_begin();
    judge.node(node("n1", 10, Some("a")));
    judge.nodes_end();
    judge.node(node("n1", 14, None));
    judge.conclude();
    assert!(judge.violations().is_empty(), "{:?}", judge.violations());
}

#[test]
fn a_cordon_of_an_operator_and_a_mark_that_is_left_are_found_at_the_end() {
    let mut judge = judge();
    judge.node(NodeView {
        cordoned: true,
        ..node("n1", 10, None)
    });
    judge.node(NodeView {
        cordoned: false,
        ..node("n2", 11, Some("a"))
    });
    judge.conclude();
    assert_eq!(
        judge.violations(),
        [
            "n1 was left cordoned with no mark",
            "n2 was left schedulable with the mark a"
        ]
    );
    assert_eq!(judge.most_cordoned(), 0, "an operator's cordon takes no slot of ours");
}

#[test]
fn more_cordons_than_slots_are_found_but_not_in_the_middle_of_a_list() {
    let mut judge = judge();
    judge.node(node("n1", 10, Some("a")));
    judge.nodes_begin();
    judge.node(node("n2", 12, Some("b")));
    judge.node(node("n1", 11, None));
    judge.nodes_end();
    assert!(judge.violations().is_empty());
    judge.node(node("n1", 13, Some("c")));
    assert_eq!(
        judge.violations(),
        ["2 nodes were cordoned at once with 1 slots: n1, n2"]
    );
}

#[test]
fn a_pod_that_a_new_list_lacks_went_unseen() {
    let mut judge = judge();
    judge.pods_begin();
    judge.pod(pod("web-1", 8));
    judge.pod(pod("web-2", 8));
    judge.pods_end();
    assert_eq!((judge.unseen(), judge.ready()), (1, 2));
}
