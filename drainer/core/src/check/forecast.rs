//! The findings about the drain of a node, and the verdict that follows.

use std::time::Duration;

use bellwether_proto::{CheckDrain, DrainFinding, DrainFindingKind, DrainForecast, DrainVerdict};
use jiff::SignedDuration;

use super::needs::Needs;
use crate::budget::{BudgetView, Budgets, State};
use crate::namespace::NamespaceOwners;
use crate::pod::{Class, NodePod, Risk, Wave};
use crate::volume::Volumes;

/// How many pods or nodes a sentence names.
const NAMES_MAX: usize = 3;
/// A grace beyond this one is worth a remark: it is a large part of the time that a drain has.
const LONG_GRACE: Duration = Duration::from_secs(600);
/// How long a pod takes to become Ready elsewhere, so that its budget lets the next one go: an estimate.
const REPLACEMENT: Duration = Duration::from_secs(30);
/// What a drain takes beside the graces of its pods.
const OVERHEAD: Duration = Duration::from_secs(3);

/// A node that is drained now, with its pods.
#[derive(Debug, Clone)]
pub struct NodePods {
    /// The name of the node.
    pub node: String,
    /// All its pods.
    pub pods: Vec<NodePod>,
}

/// What the drainer knows of the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// All disruption budgets.
    pub budgets: &'a Budgets,
    /// All volumes; none: no pod counts as tied to its node.
    pub volumes: Option<&'a Volumes>,
    /// The owners of the namespaces, as far as they are known.
    pub owners: &'a NamespaceOwners,
}

/// Forecasts the drain of a node with these pods. `source` is the service and version that answers.
#[must_use]
pub fn forecast(
    question: &CheckDrain,
    source: &str,
    pods: &[NodePod],
    beside: &[NodePods],
    known: Known<'_>,
) -> DrainForecast {
    let Known {
        budgets,
        volumes,
        owners,
    } = known;
    let needs = Needs::of(pods, budgets);
    let mut findings: Vec<DrainFinding> = needs
        .of_several
        .iter()
        .map(|(pod, budgets)| owned(several_budgets(pod, budgets), &pod.namespace, owners))
        .collect();
    for (budget, asking) in &needs.of_one {
        let found = of_budget(budget, asking, pods, beside);
        findings.extend(found.map(|finding| owned(finding, &budget.namespace, owners)));
    }
    findings.extend(remarks(pods, volumes));
    findings.sort_by(|one, other| (one.kind, &one.object).cmp(&(other.kind, &other.object)));
    let verdict = findings.iter().map(|finding| finding.kind.verdict()).max();
    let verdict = verdict.unwrap_or(DrainVerdict::Can);
    let to_go = pods.iter().filter(|pod| pod.has_to_go()).count();
    let takes = (verdict == DrainVerdict::Can).then(|| takes(&needs));
    DrainForecast {
        node: question.node.clone(),
        asked_at: question.asked_at,
        verdict,
        pods_to_go: count(to_go),
        pods_staying: count(pods.len().saturating_sub(to_go)),
        takes: takes.map(|takes| SignedDuration::try_from(takes).unwrap_or(SignedDuration::MAX)),
        findings,
        source: source.to_owned(),
    }
}

fn several_budgets(pod: &NodePod, budgets: &[&BudgetView]) -> DrainFinding {
    let names: Vec<String> = budgets.iter().map(ToString::to_string).collect();
    let sentence = format!(
        "{pod} is selected by {}: the API server evicts no pod with several disruption budgets; leave the pod one",
        list(&names)
    );
    let object = format!("Pod {}/{}", pod.namespace, pod.name);
    finding(DrainFindingKind::SeveralBudgets, object, sentence)
}

/// What a budget means for the pods that ask it.
fn of_budget(budget: &BudgetView, asking: &[&NodePod], pods: &[NodePod], beside: &[NodePods]) -> Option<DrainFinding> {
    let needed_by = list(&asking.iter().map(|pod| pod.to_string()).collect::<Vec<_>>());
    let of = |kind, sentence| Some(finding(kind, budget.to_string(), sentence));
    match budget.state() {
        State::Never => of(
            DrainFindingKind::BudgetNeverAllows,
            format!(
                "{budget} never allows an eviction ({}): run more replicas, or let the budget allow one; it keeps {needed_by}",
                budget.numbers()
            ),
        ),
        State::Broken(reason) => of(
            DrainFindingKind::BudgetBroken,
            format!(
                "{budget} cannot be worked out by Kubernetes, and so allows no eviction ({reason}); it keeps {needed_by}"
            ),
        ),
        State::Unprocessed => of(
            DrainFindingKind::BudgetUnprocessed,
            format!(
                "{budget} is still being processed by Kubernetes: does kube-controller-manager run? It keeps {needed_by}"
            ),
        ),
        State::Exhausted => {
            let also = nodes_with_pods_of(budget, beside);
            let (kind, also) = if also.is_empty() {
                (DrainFindingKind::BudgetExhausted, hint_about_unhealthy(budget, pods))
            } else {
                let drained = format!(
                    "; {} {} drained now",
                    list(&also),
                    if also.len() == 1 { "is" } else { "are" }
                );
                (DrainFindingKind::BudgetShared, drained)
            };
            of(
                kind,
                format!(
                    "{budget} allows no eviction now ({}); it keeps {needed_by}{also}",
                    budget.numbers()
                ),
            )
        }
        State::Allows(allowed) => {
            let also = nodes_that_ask(budget, beside);
            let asking_beside = also.iter().map(|(_, asking)| asking).sum::<usize>();
            if asking_beside > 0 && count(asking.len().saturating_add(asking_beside)) > *allowed {
                let nodes: Vec<String> = also.into_iter().map(|(node, _)| node).collect();
                return of(
                    DrainFindingKind::BudgetShared,
                    format!(
                        "{budget} allows {allowed} now, {} needs {asking_beside}, and this node needs {}: {needed_by}",
                        list(&nodes),
                        asking.len()
                    ),
                );
            }
            (count(asking.len()) > *allowed).then(|| {
                let sentence = format!(
                    "{budget} allows {allowed} now, so its {} pods on this node go in turns, each once those before are healthy elsewhere",
                    asking.len()
                );
                finding(DrainFindingKind::BudgetInTurns, budget.to_string(), sentence)
            })
        }
    }
}

/// What helps if a pod that is not Ready keeps its budget exhausted.
fn hint_about_unhealthy(budget: &BudgetView, pods: &[NodePod]) -> String {
    let unhealthy = |pod: &&NodePod| !pod.facts.is_ready && pod.asks_a_budget() && budget.selects(pod);
    match pods.iter().find(unhealthy) {
        Some(pod) if !budget.lets_unhealthy_go => {
            format!("; {pod} is not Ready, and could go with unhealthyPodEvictionPolicy: AlwaysAllow in the budget")
        }
        Some(_) | None => String::new(),
    }
}

/// The nodes that are drained now and still have pods of the budget, those that end included.
fn nodes_with_pods_of(budget: &BudgetView, beside: &[NodePods]) -> Vec<String> {
    let has = |node: &&NodePods| node.pods.iter().any(|pod| pod.has_to_go() && budget.selects(pod));
    beside
        .iter()
        .filter(has)
        .map(|node| format!("node {}", node.node))
        .collect()
}

/// The nodes that are drained now and need disruptions of the budget, with how many.
fn nodes_that_ask(budget: &BudgetView, beside: &[NodePods]) -> Vec<(String, usize)> {
    let asks = |pod: &&NodePod| pod.asks_a_budget() && budget.selects(pod) && !budget.lets_go_unasked(pod);
    let asking = beside
        .iter()
        .map(|node| (format!("node {}", node.node), node.pods.iter().filter(asks).count()));
    asking.filter(|(_, asking)| *asking > 0).collect()
}

/// What an operator may regret.
fn remarks(pods: &[NodePod], volumes: Option<&Volumes>) -> Vec<DrainFinding> {
    let mut remarks = Vec::new();
    let with =
        |risk: Risk| move |pod: &&NodePod| matches!(&pod.class, Class::Evictable { risks } if risks.contains(&risk));
    let is_long = |pod: &&NodePod| pod.has_to_go() && pod.facts.grace > LONG_GRACE;
    let mut remark = |kind, text: &str, of: Vec<&NodePod>| {
        let names: Vec<String> = of.iter().map(|pod| pod.to_string()).collect();
        if !names.is_empty() {
            remarks.push(finding(kind, String::new(), format!("{text}: {}", list(&names))));
        }
    };
    remark(
        DrainFindingKind::LongGrace,
        "may take more than ten minutes to end, by its grace",
        pods.iter().filter(is_long).collect(),
    );
    let is_tied = |pod: &&NodePod| {
        let is_tied = |claim| volumes.is_some_and(|volumes| volumes.is_tied(&claim));
        pod.has_to_go() && pod.claims().any(is_tied)
    };
    remark(
        DrainFindingKind::TiedVolume,
        "is pending until this node is back, since a volume ties it to the node",
        pods.iter().filter(is_tied).collect(),
    );
    remark(
        DrainFindingKind::NoController,
        "is not started again, since no controller owns it",
        pods.iter().filter(with(Risk::NoController)).collect(),
    );
    remark(
        DrainFindingKind::ScratchData,
        "loses the data of its emptyDir volumes",
        pods.iter().filter(with(Risk::ScratchData)).collect(),
    );
    remarks
}

/// The waves follow each other. In a wave, the pods without a budget end at the same time, and those of a budget in turns.
fn takes(needs: &Needs<'_>) -> Duration {
    let waves = Wave::ALL.into_iter().map(|wave| takes_of(needs, wave));
    waves.fold(OVERHEAD, Duration::saturating_add)
}

fn takes_of(needs: &Needs<'_>, wave: Wave) -> Duration {
    let of_wave = |pods: &[&NodePod]| -> Vec<Duration> {
        let pods = pods.iter().filter(|pod| pod.wave() == wave);
        pods.map(|pod| pod.facts.grace).collect()
    };
    let longest = |graces: &[Duration]| graces.iter().max().copied().unwrap_or_default();
    let in_turns = needs.of_one.iter().map(|(budget, asking)| {
        let State::Allows(allowed) = budget.state() else {
            return Duration::ZERO;
        };
        let graces = of_wave(asking);
        let turns = count(graces.len()).div_ceil((*allowed).max(1));
        let turn = longest(&graces).saturating_add(REPLACEMENT);
        turn.saturating_mul(turns).saturating_sub(REPLACEMENT)
    });
    in_turns
        .chain([longest(&of_wave(&needs.free))])
        .max()
        .unwrap_or_default()
}

fn finding(kind: DrainFindingKind, object: String, sentence: String) -> DrainFinding {
    DrainFinding {
        kind,
        object,
        sentence,
        namespace_owners: Vec::new(),
    }
}

/// The finding with the owner of its namespace, if it keeps the node from being drained.
fn owned(finding: DrainFinding, namespace: &str, owners: &NamespaceOwners) -> DrainFinding {
    let is_blocking = finding.kind.verdict() > DrainVerdict::Can;
    DrainFinding {
        namespace_owners: owners.of([namespace].into_iter().filter(|_| is_blocking)),
        ..finding
    }
}

/// The first few names, and how many more there are.
fn list(names: &[String]) -> String {
    let (named, more) = names.split_at(names.len().min(NAMES_MAX));
    let named = named.join(", ");
    match more.len() {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn count(pods: usize) -> u32 {
    u32::try_from(pods).unwrap_or(u32::MAX)
}
