//! Each case is what the API server's eviction handler would answer, for a whole node.

use bellwether_proto::{CheckDrain, DrainFindingKind as Kind, DrainForecast, DrainVerdict};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use super::*;
use crate::budget::{BudgetView, Budgets};
use crate::namespace::{NamespaceOwners, NamespaceView};
use crate::pod::{DaemonSetKinds, NodePod, PodView};
use crate::volume::{VolumeView, Volumes};

#[test]
fn d4_a_node_without_budgets_can_be_drained_within_the_longest_grace() {
    let pods = [
        pod("web", 0),
        with(pod("web", 1), "/spec/terminationGracePeriodSeconds", json!(90)),
        daemon("net"),
    ];
    let forecast = check(&pods, &[], &[]);
    assert_eq!(verdict(&forecast), (DrainVerdict::Can, vec![]));
    assert_eq!((forecast.pods_to_go, forecast.pods_staying), (2, 1));
    assert_eq!(forecast.takes, Some(SignedDuration::from_secs(93)));
    let empty = check(&[], &[], &[]);
    assert_eq!(
        (empty.verdict, empty.takes),
        (DrainVerdict::Can, Some(SignedDuration::from_secs(3)))
    );
}

#[test]
fn d17_a_budget_that_never_allows_an_eviction_is_found_before_anything_is_touched() {
    // maxUnavailable 0, or minAvailable as high as the replicas: Kubernetes writes the same status.
    let never = budget("web", "web", 3, 3, 3, 0);
    let forecast = check(&[pod("web", 0), pod("api", 0)], &[], &[never]);
    assert_eq!(
        verdict(&forecast),
        (DrainVerdict::Cannot, vec![Kind::BudgetNeverAllows])
    );
    let finding = &forecast.findings[0];
    assert_eq!(finding.object, "PodDisruptionBudget shop/web");
    assert_eq!(
        finding.sentence,
        "PodDisruptionBudget shop/web never allows an eviction (3 of 3 pods are healthy, and 3 have to be): run more replicas, or let the budget allow one; it keeps pod shop/web-0"
    );
    assert_eq!(forecast.takes, None);
    // Of pods on other nodes it says nothing about this one.
    let elsewhere = check(&[pod("api", 0)], &[], &[budget("web", "web", 3, 3, 3, 0)]);
    assert_eq!(elsewhere.verdict, DrainVerdict::Can);
}

#[test]
fn d17_a_budget_that_kubernetes_cannot_work_out_or_has_not_processed_is_no_block_without_a_name() {
    let failed = json!([{ "type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed",
        "message": "found no controller ref for pod \"web-0\"", "lastTransitionTime": "2026-01-01T00:00:00Z" }]);
    let broken = with(budget("web", "web", 0, 0, 0, 0), "/status/conditions", failed);
    let forecast = check(&[pod("web", 0)], &[], &[broken]);
    assert_eq!(verdict(&forecast), (DrainVerdict::Cannot, vec![Kind::BudgetBroken]));
    assert!(
        forecast.findings[0].sentence.contains("found no controller ref"),
        "{forecast:?}"
    );
    let newer = with(budget("web", "web", 3, 2, 3, 1), "/metadata/generation", json!(2));
    let mut unseen = budget("web", "web", 3, 2, 3, 1);
    unseen.as_object_mut().unwrap().remove("status");
    for budget in [newer, unseen] {
        let forecast = check(&[pod("web", 0)], &[], &[budget]);
        assert_eq!(
            verdict(&forecast),
            (DrainVerdict::NotNow, vec![Kind::BudgetUnprocessed])
        );
    }
}

#[test]
fn a_pod_that_two_budgets_select_is_never_evicted() {
    let budgets = [budget("web", "web", 3, 2, 3, 1), budget("all", "web", 3, 2, 3, 1)];
    let forecast = check(&[pod("web", 0)], &[], &budgets);
    assert_eq!(verdict(&forecast), (DrainVerdict::Cannot, vec![Kind::SeveralBudgets]));
    assert!(
        forecast.findings[0]
            .sentence
            .contains("PodDisruptionBudget shop/all, PodDisruptionBudget shop/web")
    );
}

#[test]
fn a_budget_with_too_few_healthy_pods_allows_no_eviction_now() {
    let exhausted = budget("web", "web", 2, 2, 3, 0);
    let forecast = check(&[pod("web", 0)], &[], std::slice::from_ref(&exhausted));
    assert_eq!(verdict(&forecast), (DrainVerdict::NotNow, vec![Kind::BudgetExhausted]));
    assert!(
        forecast.findings[0]
            .sentence
            .contains("2 of 3 pods are healthy, and 2 have to be")
    );
    // D18: the pod that is not Ready goes, since the others suffice; the healthy one beside that pod does not.
    let unready = not_ready(pod("web", 1));
    let alone = check(std::slice::from_ref(&unready), &[], std::slice::from_ref(&exhausted));
    assert_eq!(alone.verdict, DrainVerdict::Can);
    let both = check(&[pod("web", 0), unready.clone()], &[], &[exhausted]);
    assert!(
        both.findings[0]
            .sentence
            .contains("pod shop/web-1 is not Ready, and could go with unhealthyPodEvictionPolicy")
    );
    // Fewer than have to be: also the one that is not Ready stays, unless the budget says otherwise.
    let fewer = budget("web", "web", 1, 2, 3, 0);
    assert_eq!(
        check(std::slice::from_ref(&unready), &[], std::slice::from_ref(&fewer)).verdict,
        DrainVerdict::NotNow
    );
    let lets_go = with(fewer, "/spec/unhealthyPodEvictionPolicy", json!("AlwaysAllow"));
    assert_eq!(check(&[unready], &[], &[lets_go]).verdict, DrainVerdict::Can);
}

#[test]
fn a_budget_that_expects_no_pods_or_demands_none_allows_none_while_its_numbers_say_so() {
    let demands_none = budget("web", "web", 0, 0, 1, 0);
    let unready = check(&[not_ready(pod("web", 0))], &[], &[demands_none]);
    assert_eq!(verdict(&unready), (DrainVerdict::NotNow, vec![Kind::BudgetExhausted]));
    let expects_none = check(&[pod("web", 0)], &[], &[budget("web", "web", 0, 0, 0, 0)]);
    assert_eq!(
        verdict(&expects_none),
        (DrainVerdict::NotNow, vec![Kind::BudgetExhausted])
    );
}

#[test]
fn a_pod_that_never_started_is_finished_or_ends_already_asks_no_budget() {
    let never = budget("web", "web", 1, 1, 1, 0);
    let pending = with(pod("web", 0), "/status/phase", json!("Pending"));
    let finished = with(pod("web", 1), "/status/phase", json!("Succeeded"));
    let ending = with(
        pod("web", 2),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:00:00Z"),
    );
    let forecast = check(&[pending, finished, ending], &[], &[never]);
    assert_eq!(verdict(&forecast), (DrainVerdict::Can, vec![]));
    assert_eq!((forecast.pods_to_go, forecast.pods_staying), (2, 1));
}

#[test]
fn d19_an_empty_selector_selects_every_pod_of_its_namespace_and_a_missing_one_none() {
    let every = with(budget("all", "x", 1, 1, 1, 0), "/spec/selector", json!({}));
    assert_eq!(
        check(&[pod("web", 0)], &[], std::slice::from_ref(&every)).verdict,
        DrainVerdict::Cannot
    );
    let elsewhere = with(every.clone(), "/metadata/namespace", json!("blog"));
    assert_eq!(check(&[pod("web", 0)], &[], &[elsewhere]).verdict, DrainVerdict::Can);
    let mut none = every;
    none["spec"].as_object_mut().unwrap().remove("selector");
    assert_eq!(check(&[pod("web", 0)], &[], &[none]).verdict, DrainVerdict::Can);
    let expression = json!({ "matchExpressions": [
        { "key": "app", "operator": "In", "values": ["web", "api"] },
        { "key": "tier", "operator": "NotIn", "values": ["batch"] },
        { "key": "canary", "operator": "DoesNotExist" },
    ] });
    let by_expression = with(budget("all", "x", 1, 1, 1, 0), "/spec/selector", expression);
    assert_eq!(
        check(&[pod("web", 0)], &[], std::slice::from_ref(&by_expression)).verdict,
        DrainVerdict::Cannot
    );
    let canary = with(pod("web", 0), "/metadata/labels/canary", json!("yes"));
    assert_eq!(check(&[canary], &[], &[by_expression]).verdict, DrainVerdict::Can);
}

#[test]
fn d20_pods_of_one_budget_go_in_turns_and_the_time_counts_each_turn() {
    let one_at_a_time = budget("web", "web", 5, 4, 5, 1);
    let pods = [pod("web", 0), pod("web", 1), pod("web", 2), pod("api", 0)];
    let forecast = check(&pods, &[], &[one_at_a_time]);
    assert_eq!(verdict(&forecast), (DrainVerdict::Can, vec![Kind::BudgetInTurns]));
    // Three graces of 30 s, and two times until a pod is Ready elsewhere.
    assert_eq!(forecast.takes, Some(SignedDuration::from_secs(153)));
    let wider = check(&pods, &[], &[budget("web", "web", 5, 2, 5, 3)]);
    assert_eq!(verdict(&wider), (DrainVerdict::Can, vec![]));
    assert_eq!(wider.takes, Some(SignedDuration::from_secs(33)));
}

#[test]
fn d12_the_waves_follow_each_other_in_the_time_that_a_drain_takes() {
    let critical = |index| with(pod("dns", index), "/spec/priority", json!(2_000_000_000));
    let slow = with(pod("web", 0), "/spec/terminationGracePeriodSeconds", json!(90));
    let pods = [slow, pod("api", 0), critical(0), critical(1)];
    let budget = budget("dns", "dns", 2, 1, 2, 1);
    // 90 s; then two graces of 30 s, with 30 s between them until a pod is Ready elsewhere.
    assert_eq!(check(&pods, &[], &[budget]).takes, Some(SignedDuration::from_secs(183)));
}

#[test]
fn d22_a_node_waits_while_a_node_that_is_drained_needs_the_rest_of_a_budget_of_both() {
    let budget_of = |allowed| budget("web", "web", 5, 5 - allowed, 5, allowed);
    let pods = [pod("web", 0)];
    let other = || vec![pod("web", 7), pod("web", 8)];
    let beside = check(&pods, &[("n2", other())], &[budget_of(2)]);
    assert_eq!(verdict(&beside), (DrainVerdict::NotNow, vec![Kind::BudgetShared]));
    assert_eq!(
        beside.findings[0].sentence,
        "PodDisruptionBudget shop/web allows 2 now, node n2 needs 2, and this node needs 1: pod shop/web-0"
    );
    // Enough for both, another workload, or a drain whose pods of this budget are gone.
    assert_eq!(
        check(&pods, &[("n2", other())], &[budget_of(3)]).verdict,
        DrainVerdict::Can
    );
    assert_eq!(
        check(&pods, &[("n2", vec![pod("api", 1)])], &[budget_of(1)]).verdict,
        DrainVerdict::Can
    );
    // Several nodes add up.
    let two = [("n2", vec![pod("web", 7)]), ("n3", vec![pod("web", 8)])];
    assert_eq!(check(&pods, &two, &[budget_of(2)]).verdict, DrainVerdict::NotNow);
    assert_eq!(check(&pods, &two, &[budget_of(3)]).verdict, DrainVerdict::Can);
    // The budget is used up by a pod that ends on the node beside.
    let ending = with(
        pod("web", 7),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:00:00Z"),
    );
    let used_up = check(&pods, &[("n2", vec![ending])], &[budget("web", "web", 4, 4, 5, 0)]);
    assert_eq!(verdict(&used_up), (DrainVerdict::NotNow, vec![Kind::BudgetShared]));
    assert!(
        used_up.findings[0].sentence.ends_with("; node n2 is drained now"),
        "{used_up:?}"
    );
}

#[test]
fn d10_every_loss_is_a_remark_that_keeps_no_node() {
    let mut lone = with(
        pod("lone", 0),
        "/spec/volumes",
        json!([{ "name": "tmp", "emptyDir": {} }]),
    );
    lone["metadata"].as_object_mut().unwrap().remove("ownerReferences");
    let slow = with(pod("batch", 0), "/spec/terminationGracePeriodSeconds", json!(3600));
    let forecast = check(&[lone, slow], &[], &[]);
    let kinds = vec![Kind::LongGrace, Kind::NoController, Kind::ScratchData];
    assert_eq!(verdict(&forecast), (DrainVerdict::Can, kinds));
    assert!(forecast.findings[0].sentence.ends_with("pod shop/batch-0"));
    assert!(forecast.findings[1].sentence.ends_with("pod shop/lone-0"));
}

#[test]
fn d39_a_pod_whose_volume_ties_it_to_the_node_is_a_remark_that_keeps_no_node() {
    let mut volumes = Volumes::default();
    volumes.insert(VolumeView {
        name: "pv".to_owned(),
        claim: Some(("shop".to_owned(), "data".to_owned())),
        is_tied: true,
    });
    let claims = |claim: &str| json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]);
    let tied = |number| with(pod("db", number), "/spec/volumes", claims("data"));
    let free = with(pod("db", 1), "/spec/volumes", claims("other"));
    let stays = with(daemon("net"), "/spec/volumes", claims("data"));
    let pods = [tied(0), free, stays];
    let forecast = check_with(&pods, &[], &[], Some(&volumes));
    assert_eq!(verdict(&forecast), (DrainVerdict::Can, vec![Kind::TiedVolume]));
    let sentence = "is pending until this node is back, since a volume ties it to the node: pod shop/db-0";
    assert_eq!(forecast.findings[0].sentence, sentence);
    assert_eq!(check(&pods, &[], &[]).findings, [], "without a look at volumes");
}

#[test]
fn the_worst_finding_comes_first_and_decides() {
    let budgets = [budget("web", "web", 2, 2, 3, 0), budget("api", "api", 1, 1, 1, 0)];
    let forecast = check(&[pod("web", 0), pod("api", 0)], &[], &budgets);
    let kinds = vec![Kind::BudgetNeverAllows, Kind::BudgetExhausted];
    assert_eq!(verdict(&forecast), (DrainVerdict::Cannot, kinds));
    let obstacles = forecast.obstacles();
    assert!(
        obstacles.starts_with("PodDisruptionBudget shop/api never allows"),
        "{obstacles}"
    );
    assert!(
        obstacles.contains("; PodDisruptionBudget shop/web allows no eviction now"),
        "{obstacles}"
    );
}

#[test]
fn many_pods_are_named_by_the_first_few() {
    let pods: Vec<Value> = (0..9).map(|number| pod("web", number)).collect();
    let forecast = check(&pods, &[], &[budget("web", "web", 9, 9, 9, 0)]);
    let sentence = &forecast.findings[0].sentence;
    assert!(
        sentence.ends_with("pod shop/web-0, pod shop/web-1, pod shop/web-2 and 6 more"),
        "{sentence}"
    );
}

fn question() -> CheckDrain {
    CheckDrain {
        node: "n1".parse().unwrap(),
        asked_at: Timestamp::UNIX_EPOCH,
        beside: vec![],
    }
}

fn check(pods: &[Value], beside: &[(&str, Vec<Value>)], budgets: &[Value]) -> DrainForecast {
    check_with(pods, beside, budgets, None)
}

fn check_with(
    pods: &[Value],
    beside: &[(&str, Vec<Value>)],
    budgets: &[Value],
    volumes: Option<&Volumes>,
) -> DrainForecast {
    let on = |node: &str, pods: &[Value]| -> Vec<NodePod> {
        let pods = pods.iter().map(|pod| with(pod.clone(), "/spec/nodeName", json!(node)));
        pods.filter_map(|pod| {
            NodePod::on_node(
                &PodView::of(&serde_json::from_value::<Pod>(pod).unwrap())?,
                node,
                &DaemonSetKinds::default(),
            )
        })
        .collect()
    };
    let beside: Vec<NodePods> = beside
        .iter()
        .map(|(node, pods)| NodePods {
            node: (*node).to_owned(),
            pods: on(node, pods),
        })
        .collect();
    let mut known = Budgets::default();
    for budget in budgets {
        let budget = serde_json::from_value::<PodDisruptionBudget>(budget.clone()).unwrap();
        known.insert(BudgetView::of(&budget).unwrap());
    }
    let mut owners = NamespaceOwners::default();
    owners.insert(NamespaceView {
        name: "shop".to_owned(),
        owner: Some("team-shop".to_owned()),
    });
    let known = Known {
        budgets: &known,
        volumes,
        owners: &owners,
    };
    forecast(&question(), "drainer 0", &on("n1", pods), &beside, known)
}

fn verdict(forecast: &DrainForecast) -> (DrainVerdict, Vec<Kind>) {
    (
        forecast.verdict,
        forecast.findings.iter().map(|finding| finding.kind).collect(),
    )
}

fn pod(app: &str, number: u32) -> Value {
    let owner = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": app, "uid": app, "controller": true });
    json!({
        "metadata": {
            "name": format!("{app}-{number}"), "namespace": "shop", "uid": format!("{app}-{number}"),
            "labels": { "app": app }, "ownerReferences": [owner],
        },
        "spec": { "containers": [], "terminationGracePeriodSeconds": 30 },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn daemon(app: &str) -> Value {
    with(pod(app, 0), "/metadata/ownerReferences/0/kind", json!("DaemonSet"))
}

fn not_ready(pod: Value) -> Value {
    with(pod, "/status/conditions/0/status", json!("False"))
}

fn budget(name: &str, app: &str, healthy: i32, desired: i32, expected: i32, allowed: i32) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "generation": 1 },
        "spec": { "selector": { "matchLabels": { "app": app } } },
        "status": {
            "observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": desired,
            "expectedPods": expected, "disruptionsAllowed": allowed,
        },
    })
}

/// The object with this value at this place, whether or not there was one.
fn with(mut object: Value, place: &str, value: Value) -> Value {
    let (parent, field) = place.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match field.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[field] = value,
    }
    object
}

#[test]
fn a_finding_that_keeps_the_node_names_the_owner_of_its_namespace_and_a_remark_names_none() {
    let never = || budget("web", "web", 3, 3, 3, 0);
    let owners = |forecast: &DrainForecast| -> Vec<String> {
        let findings = forecast.findings.iter();
        findings.map(|finding| finding.namespace_owners.join(",")).collect()
    };
    let forecast = check(&[pod("web", 0)], &[], &[never()]);
    assert_eq!(owners(&forecast), ["team-shop"]);
    let of_shop = &forecast.by_owner()["team-shop"];
    assert!(of_shop.ends_with("it keeps pod shop/web-0"), "{of_shop}");
    assert!(
        forecast.obstacles().ends_with("web-0 (owner team-shop)"),
        "{forecast:?}"
    );
    let several = check(&[pod("web", 0)], &[], &[never(), budget("also", "web", 3, 2, 3, 1)]);
    assert_eq!(owners(&several), ["team-shop"]);
    let pods = [pod("web", 0), pod("web", 1)];
    let in_turns = check(&pods, &[], &[budget("web", "web", 3, 2, 3, 1)]);
    assert_eq!(verdict(&in_turns), (DrainVerdict::Can, vec![Kind::BudgetInTurns]));
    assert_eq!(owners(&in_turns), [""]);
    assert!(in_turns.by_owner().is_empty());
}
