//! Sentinel and rebooter of each node, as the leading scheduler hears them, and the clocks of
//! their hosts.

use bellwether_proto::wire::{Agent, NodeStatus};
use jiff::SignedDuration;

use super::facts::Facts;
use super::finding::{Finding, Groups, Severity, Topic, count, names};
use super::object::{COMPONENT, label, left_alone, name, text};
use super::workloads::{Part, REBOOTER, SENTINEL};
use crate::time;

/// From here on somebody should look at the host's clock.
const CLOCK_WARNING: SignedDuration = SignedDuration::from_secs(5);
/// From here on a reboot may be refused, or come when it is not wanted any more: the host's clock
/// judges until when it may begin.
const CLOCK_PROBLEM: SignedDuration = SignedDuration::from_secs(60);

/// What is said of an agent whose last report is too old.
const STALE: &str = "is not heard any more";

/// What is wrong with one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    severity: Severity,
    agent: &'static str,
    found: String,
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut others = Groups::new();
    for node in facts.nodes.of("Node") {
        if let Some(what) = left_alone(node) {
            others.add(what, name(node));
        }
    }
    let left_alone = |(what, nodes): (&str, Vec<String>)| {
        let found = format!("left alone: {}", names(&nodes));
        Topic::Agents.ok(count(nodes.len(), what), found)
    };
    let mut findings: Vec<Finding> = others.into_iter().map(left_alone).collect();
    let Ok(reached) = &facts.fleet else {
        let found = "not checked: only the leading scheduler knows which agents are heard";
        findings.push(Topic::Agents.warning("agents", found, "see \"leading scheduler\" above"));
        return findings;
    };
    let statuses = &reached.list.nodes;
    let expected = expected(facts, statuses);
    let mut groups = Groups::new();
    for node in &expected {
        for part in [&SENTINEL, &REBOOTER] {
            if let Some(trouble) = trouble(part, node, statuses, facts) {
                groups.add(trouble, node);
            }
        }
    }
    let troubles = groups.into_iter().map(|(trouble, nodes)| tell(&trouble, &nodes, facts));
    let troubles: Vec<Finding> = troubles.chain(clocks(statuses)).collect();
    if troubles.is_empty() && !expected.is_empty() {
        let methods = methods(statuses);
        let found = format!("sentinel and rebooter heard, preflight passed ({methods}), clocks agree");
        findings.push(Topic::Agents.ok(format!("agents of {}", count(expected.len(), "node")), found));
    }
    findings.extend(troubles);
    findings
}

/// The nodes of the cluster; where they cannot be read, those that the scheduler knows.
fn expected<'a>(facts: &'a Facts, statuses: &'a [NodeStatus]) -> Vec<&'a str> {
    if facts.nodes.trouble.is_some() {
        return statuses.iter().map(|status| status.node.as_str()).collect();
    }
    facts
        .nodes
        .of("Node")
        .filter(|node| left_alone(node).is_none())
        .map(name)
        .collect()
}

fn trouble(part: &Part, node: &str, statuses: &[NodeStatus], facts: &Facts) -> Option<Trouble> {
    let agent = part.component;
    let status = statuses.iter().find(|status| status.node == node);
    let report = status.and_then(|status| report(agent, status));
    let (silent, found) = match report {
        None => (true, "was never heard".to_owned()),
        Some(report) if report.stale => (true, STALE.to_owned()),
        Some(Agent { problem, .. }) if problem.is_empty() => return None,
        Some(Agent { problem, .. }) if agent == SENTINEL.component => {
            (false, format!("cannot look at its host: {problem}"))
        }
        Some(Agent { problem, .. }) => (false, format!("could not reboot its host: {problem}")),
    };
    let severity = if silent && facts.is_away(node) {
        Severity::Warning
    } else {
        Severity::Problem
    };
    Some(Trouble { severity, agent, found })
}

/// How old the oldest of these nodes' last reports of an agent is.
fn oldest(agent: &str, nodes: &[String], facts: &Facts) -> Option<String> {
    let statuses = &facts.fleet.as_ref().ok()?.list.nodes;
    let reports = statuses.iter().filter(|status| nodes.contains(&status.node));
    let heard = reports.filter_map(|status| time::instant(report(agent, status)?.heard_at));
    heard.min().map(|at| time::between(at, facts.now))
}

fn report<'a>(agent: &str, status: &'a NodeStatus) -> Option<&'a Agent> {
    if agent == SENTINEL.component {
        status.sentinel.as_ref()
    } else {
        status.rebooter.as_ref()
    }
}

/// One finding for all nodes with the same trouble; the first of them stands for all in the remedy.
fn tell(trouble: &Trouble, nodes: &[String], facts: &Facts) -> Finding {
    let Trouble { severity, agent, found } = trouble;
    let age = oldest(agent, nodes, facts).filter(|_| found == STALE);
    let found = age.map_or_else(|| found.clone(), |age| format!("{found}, for up to {age}"));
    let namespace = &facts.places.agents;
    let first = nodes.first().map_or("", String::as_str);
    let pod = facts.agents.of("Pod").find(|pod| {
        let component = label(pod, COMPONENT);
        text(pod, "/spec/nodeName") == first && (component == *agent || name(pod).starts_with(agent))
    });
    let remedy = match pod {
        Some(pod) => cure(&found, namespace, name(pod)),
        None if facts.agents.trouble.is_some() => format!("kubectl -n {namespace} get pods -o wide"),
        None => format!("kubectl -n {namespace} describe daemonset {agent}    # no pod of it is on {first}"),
    };
    Topic::Agents.finding(*severity, format!("{agent} of {}", names(nodes)), found, Some(remedy))
}

/// What helps against what a rebooter's preflight says. Its own words are part of the finding.
fn cure(found: &str, namespace: &str, pod: &str) -> String {
    if found.contains("appArmorProfile") {
        let patch = r#"{"spec":{"template":{"spec":{"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}}}}"#;
        return format!("kubectl -n {namespace} patch daemonset rebooter -p '{patch}'");
    }
    if found.contains("/run/dbus mounted") {
        return "mount the host's /run/dbus, as deploy/base/rebooter.yaml does; on the host: systemctl status dbus; \
                without logind: BELLWETHER_REBOOT_METHOD=command"
            .to_owned();
    }
    if found.contains("blocks shutdowns") {
        return "wait until it has ended; on the host: systemd-inhibit --list".to_owned();
    }
    if found.contains("told to reboot in this boot") {
        return format!("reboot the host by hand; or let it be told again: kubectl -n {namespace} delete pod {pod}");
    }
    format!("kubectl -n {namespace} logs {pod} --tail=20")
}

fn clocks(statuses: &[NodeStatus]) -> Vec<Finding> {
    let mut groups = Groups::new();
    for status in statuses {
        let Some(ahead) = ahead(status) else { continue };
        let severity = match ahead.abs() {
            off if off > CLOCK_PROBLEM => Severity::Problem,
            off if off > CLOCK_WARNING => Severity::Warning,
            _ => continue,
        };
        let side = if ahead.is_negative() { "behind" } else { "ahead" };
        groups.add(
            (severity, side),
            &format!("{} by {}s", status.node, ahead.as_secs().abs()),
        );
    }
    let tell = |((severity, side), nodes): ((Severity, &str), Vec<String>)| {
        let found = format!(
            "{side} of NATS: {}; it judges until when a reboot may begin",
            names(&nodes)
        );
        let remedy = "on the host: timedatectl set-ntp true; chronyc tracking".to_owned();
        Topic::Clocks.finding(
            severity,
            format!("clock of {}", count(nodes.len(), "node")),
            found,
            Some(remedy),
        )
    };
    groups.into_iter().map(tell).collect()
}

/// How far the host's clock is ahead, by whichever agent saw it farther off.
fn ahead(status: &NodeStatus) -> Option<SignedDuration> {
    let agents = [&status.sentinel, &status.rebooter].into_iter().flatten();
    let told = agents
        .filter(|agent| !agent.stale)
        .filter_map(|agent| agent.clock_ahead);
    let spans = told.map(|ahead| SignedDuration::new(ahead.seconds, ahead.nanos));
    spans.max_by_key(|ahead| ahead.abs())
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
