//! Sentinel and rebooter of each node, as the leading scheduler reports them.

mod probes;
mod problem;
mod silence;

use std::collections::BTreeSet;

use bellwether_proto::wire::{Agent, NodeStatus};
use bellwether_proto::{Problem, ProblemCode};
use k8s_openapi::api::core::v1::Pod;

use self::silence::{Known, why_silent};
use super::clocks;
use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};
use crate::group::{Groups, count, names, shape};
use crate::object::{COMPONENT, label, left_alone, name, node_name};
use crate::part::{Part, REBOOTER, SENTINEL};
use crate::text;

pub(crate) const CHECK: Check = Check {
    name: "agents",
    needs_kubernetes: true,
    find: findings,
};

/// What is wrong with one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    severity: Severity,
    code: Code,
    agent: &'static str,
    found: String,
    /// The code of the problem that it reports, if it reports one.
    problem: Option<ProblemCode>,
    /// Its last report is too old; it counts how old.
    stale: bool,
    /// Why it is not worse.
    mitigation: &'static str,
    /// The remedy, if it does not depend on the agent's pod.
    remedy: Option<String>,
}

impl Trouble {
    /// Whether one finding may stand for both: messages of buses and logind differ in numbers from host
    /// to host.
    fn is_like(&self, other: &Self) -> bool {
        let own = |it: &Self| (it.severity, it.code, it.agent, it.problem, it.stale, it.mitigation);
        own(self) == own(other) && shape(&self.found) == shape(&other.found)
    }
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = others(facts);
    if facts.fleet.is_err() {
        let found = "not checked: only the leading scheduler knows which agents are heard";
        let remedy = "see \"leading scheduler\" above";
        findings.push(Topic::Agents.warning(Code::AgentsNotChecked, "agents", found, remedy));
        return findings;
    }
    let statuses = facts.statuses();
    let known = Known::new(facts);
    let expected = expected(facts);
    let mut groups = Groups::new();
    for node in &expected {
        for part in [&SENTINEL, &REBOOTER] {
            if let Some(trouble) = trouble(part, node, &known, facts) {
                groups.add_like(trouble, node, Trouble::is_like);
            }
        }
        for trouble in known.status(node).map(probes::troubles).unwrap_or_default() {
            groups.add_like(trouble, node, Trouble::is_like);
        }
    }
    let troubles = groups
        .into_iter()
        .map(|(trouble, nodes)| finding(&trouble, &nodes, facts));
    let troubles: Vec<Finding> = troubles.collect();
    let is_good = troubles.is_empty() && clocks::findings(facts).is_empty();
    if is_good && !expected.is_empty() {
        let methods = methods(statuses);
        let found = format!("sentinel and rebooter heard, preflight passed ({methods}), clocks agree");
        findings.push(Topic::Agents.ok(format!("agents of {}", count(expected.len(), "node")), found));
    }
    findings.extend(troubles);
    findings
}

/// The nodes that Bellwether leaves alone.
fn others(facts: &Facts) -> Vec<Finding> {
    let mut others = Groups::new();
    for node in &facts.nodes.objects {
        if let Some(kind) = left_alone(node) {
            others.add(kind, name(&node.metadata));
        }
    }
    let finding = |(kind, nodes): (&str, Vec<String>)| {
        let (subject, found) = (count(nodes.len(), kind), format!("left alone: {}", names(&nodes)));
        Topic::Agents.finding(Severity::Ok, Code::NodesLeftAlone, subject, found, None)
    };
    others.into_iter().map(finding).collect()
}

/// The nodes of the cluster; where they cannot be read, those that the scheduler knows.
fn expected(facts: &Facts) -> Vec<&str> {
    if facts.nodes.failure.is_some() {
        return facts.statuses().iter().map(|status| status.node.as_str()).collect();
    }
    facts
        .nodes
        .objects
        .iter()
        .filter(|node| left_alone(node).is_none())
        .map(|node| name(&node.metadata))
        .collect()
}

fn trouble(part: &Part, node: &str, known: &Known<'_>, facts: &Facts) -> Option<Trouble> {
    let agent = part.component;
    let report = known.status(node).and_then(|status| report(agent, status));
    let trouble = |severity, code, found: String| Trouble {
        severity,
        code,
        agent,
        found,
        problem: None,
        stale: false,
        mitigation: "",
        remedy: None,
    };
    Some(match report {
        Some(report @ Agent { stale: false, .. }) => {
            let problem = Problem::from_wire(report.classified_problem.clone(), report.problem.clone())?;
            let (unknown, verb) = if agent == SENTINEL.component {
                (Code::HostNotProbed, "cannot look at")
            } else {
                (Code::HostNotRebootable, "could not reboot")
            };
            let found = format!("{verb} its host: {}", problem.text());
            let code = problem::finding(problem.code, unknown);
            Trouble {
                problem: Some(problem.code),
                ..trouble(problem::severity(problem.code), code, found)
            }
        }
        Some(Agent { stale: true, .. }) | None => {
            let (code, found) = match report {
                Some(_) => (Code::AgentSilent, "is not heard any more"),
                None => (Code::AgentNeverReported, "was never heard"),
            };
            let why = why_silent(part, node, known, facts);
            Trouble {
                stale: report.is_some(),
                mitigation: why.mitigation,
                remedy: why.remedy,
                ..trouble(why.severity, code, found.to_owned())
            }
        }
    })
}

/// How old the oldest of these nodes' last reports of an agent is.
fn oldest(agent: &str, nodes: &[String], facts: &Facts) -> Option<String> {
    let nodes: BTreeSet<&str> = nodes.iter().map(String::as_str).collect();
    let reports = facts
        .statuses()
        .iter()
        .filter(|status| nodes.contains(status.node.as_str()));
    let heard = reports.filter_map(|status| text::instant(report(agent, status)?.heard_at));
    heard.min().map(|at| text::between(at, facts.now))
}

fn report<'a>(agent: &str, status: &'a NodeStatus) -> Option<&'a Agent> {
    if agent == SENTINEL.component {
        status.sentinel.as_ref()
    } else {
        status.rebooter.as_ref()
    }
}

/// One finding for all nodes with the same trouble; the first of them stands for all in the remedy.
fn finding(trouble: &Trouble, nodes: &[String], facts: &Facts) -> Finding {
    let agent = trouble.agent;
    let age = oldest(agent, nodes, facts).filter(|_| trouble.stale);
    let age = age.map_or_else(String::new, |age| format!(", for up to {age}"));
    let found = format!("{}{age}{}", trouble.found, trouble.mitigation);
    let namespace = &facts.namespaces.agents;
    let first = nodes.first().map_or("", String::as_str);
    let is_its_pod = |pod: &&Pod| {
        let meta = &pod.metadata;
        node_name(pod) == first && (label(meta, COMPONENT) == agent || name(meta).starts_with(agent))
    };
    let pod = facts.agents.objects.pods.iter().find(is_its_pod);
    let remedy = match (&trouble.remedy, pod) {
        (Some(remedy), _) => remedy.clone(),
        (None, Some(pod)) => {
            let code = trouble.problem.unwrap_or(ProblemCode::Unclassified);
            problem::remedy(code, namespace, name(&pod.metadata))
        }
        (None, None) if facts.agents.failure.is_some() => format!("kubectl -n {namespace} get pods -o wide"),
        (None, None) => format!("kubectl -n {namespace} describe daemonset {agent}    # no pod of it is on {first}"),
    };
    let subject = format!("{agent} of {}", names(nodes));
    Topic::Agents.finding(trouble.severity, trouble.code, subject, found, Some(remedy))
}

/// By which methods hosts would be rebooted.
fn methods(statuses: &[NodeStatus]) -> String {
    let mut methods = Groups::new();
    for status in statuses {
        if let Some(agent) = &status.rebooter {
            methods.add(agent.method.as_str(), &status.node);
        }
    }
    let all: Vec<&str> = methods.into_iter().map(|(method, _)| method).collect();
    all.join(", ")
}

#[cfg(test)]
#[path = "agents_tests.rs"]
mod tests;
