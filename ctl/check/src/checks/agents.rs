//! Sentinel and rebooter of each node, as the leading scheduler hears them, and the clocks of
//! their hosts.

mod silence;

use std::collections::BTreeSet;

use bellwether_proto::wire::{Agent, NodeStatus};
use bellwether_proto::{Problem, ProblemCode};
use jiff::SignedDuration;

use self::silence::{Known, why_silent};
use crate::facts::Facts;
use crate::finding::{Finding, Groups, Severity, Topic, count, names, shape};
use crate::object::{COMPONENT, label, left_alone, name, text};
use crate::checks::workloads::{Part, REBOOTER, SENTINEL};
use crate::time;

/// From here on somebody should look at the host's clock.
const CLOCK_WARNING: SignedDuration = SignedDuration::from_secs(5);
/// From here on a reboot may be refused, or come when it is not wanted any more: the host's clock
/// judges until when it may begin.
const CLOCK_PROBLEM: SignedDuration = SignedDuration::from_secs(60);

/// What is wrong with one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trouble {
    severity: Severity,
    agent: &'static str,
    found: String,
    /// The code of the problem that it reports, if it reports one.
    code: Option<ProblemCode>,
    /// Its last report is too old; it counts how old.
    stale: bool,
    /// Why it is not worse.
    eased: &'static str,
    /// What helps, if that is not to be seen on its pod.
    remedy: Option<String>,
}

impl Trouble {
    /// Whether one finding may stand for both: what buses and logind say differs in numbers from
    /// host to host.
    fn is_like(&self, other: &Self) -> bool {
        let own = |it: &Self| (it.severity, it.agent, it.code, it.stale, it.eased);
        own(self) == own(other) && shape(&self.found) == shape(&other.found)
    }
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
    if facts.fleet.is_err() {
        let found = "not checked: only the leading scheduler knows which agents are heard";
        findings.push(Topic::Agents.warning("agents", found, "see \"leading scheduler\" above"));
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
fn expected(facts: &Facts) -> Vec<&str> {
    if facts.nodes.trouble.is_some() {
        return facts.statuses().iter().map(|status| status.node.as_str()).collect();
    }
    facts
        .nodes
        .of("Node")
        .filter(|node| left_alone(node).is_none())
        .map(name)
        .collect()
}

fn trouble(part: &Part, node: &str, known: &Known<'_>, facts: &Facts) -> Option<Trouble> {
    let agent = part.component;
    let report = known.status(node).and_then(|status| report(agent, status));
    let trouble = |severity, found: String| Trouble {
        severity,
        agent,
        found,
        code: None,
        stale: false,
        eased: "",
        remedy: None,
    };
    Some(match report {
        Some(report @ Agent { stale: false, .. }) => {
            let Problem { code, message } =
                Problem::from_wire(report.classified_problem.clone(), report.problem.clone())?;
            // An upgrade ends by itself, and the reboot waits for it as it should.
            let severity = if code == ProblemCode::ShutdownInhibited {
                Severity::Warning
            } else {
                Severity::Problem
            };
            let found = if agent == SENTINEL.component {
                format!("cannot look at its host: {message}")
            } else {
                format!("could not reboot its host: {message}")
            };
            Trouble {
                code: Some(code),
                ..trouble(severity, found)
            }
        }
        Some(Agent { stale: true, .. }) | None => {
            let said = report.map_or("was never heard", |_| "is not heard any more");
            let why = why_silent(part, node, known, facts);
            Trouble {
                stale: report.is_some(),
                eased: why.eased,
                remedy: why.remedy,
                ..trouble(why.severity, said.to_owned())
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
    let agent = trouble.agent;
    let age = oldest(agent, nodes, facts).filter(|_| trouble.stale);
    let age = age.map_or_else(String::new, |age| format!(", for up to {age}"));
    let found = format!("{}{age}{}", trouble.found, trouble.eased);
    let namespace = &facts.places.agents;
    let first = nodes.first().map_or("", String::as_str);
    let pod = facts.agents.of("Pod").find(|pod| {
        let component = label(pod, COMPONENT);
        text(pod, "/spec/nodeName") == first && (component == agent || name(pod).starts_with(agent))
    });
    let remedy = match (&trouble.remedy, pod) {
        (Some(remedy), _) => remedy.clone(),
        (None, Some(pod)) => cure(trouble.code, namespace, name(pod)),
        (None, None) if facts.agents.trouble.is_some() => format!("kubectl -n {namespace} get pods -o wide"),
        (None, None) => format!("kubectl -n {namespace} describe daemonset {agent}    # no pod of it is on {first}"),
    };
    Topic::Agents.finding(
        trouble.severity,
        format!("{agent} of {}", names(nodes)),
        found,
        Some(remedy),
    )
}

/// The remedy for the problem that an agent reports. The problem's message is part of the finding.
fn cure(code: Option<ProblemCode>, namespace: &str, pod: &str) -> String {
    match code {
        Some(ProblemCode::BusAccessDenied) => {
            let patch =
                r#"{"spec":{"template":{"spec":{"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}}}}"#;
            format!("kubectl -n {namespace} patch daemonset rebooter -p '{patch}'")
        }
        Some(ProblemCode::BusUnreachable) => {
            "mount the host's /run/dbus, as deploy/base/rebooter.yaml does; on the host: systemctl status dbus; \
             without logind: BELLWETHER_REBOOT_METHOD=command"
                .to_owned()
        }
        Some(ProblemCode::ShutdownInhibited) => {
            "wait until it has ended; on the host: systemd-inhibit --list".to_owned()
        }
        Some(ProblemCode::HostDirectoryUnreadable) => {
            "mount the host's /var/run, as deploy/base/sentinel.yaml does".to_owned()
        }
        Some(ProblemCode::RebootAlreadyCalled) => {
            format!("reboot the host by hand; or let it be told again: kubectl -n {namespace} delete pod {pod}")
        }
        Some(
            ProblemCode::SentinelFileUnreadable
            | ProblemCode::SentinelFileNotAFile
            | ProblemCode::ProbeAborted
            | ProblemCode::LogindCallFailed
            | ProblemCode::RebootNotPermitted
            | ProblemCode::RebootMethodTimedOut
            | ProblemCode::RebootCommandNotRunnable
            | ProblemCode::RebootCommandFailed
            | ProblemCode::Unclassified
            | ProblemCode::Unknown(_),
        )
        | None => format!("kubectl -n {namespace} logs {pod} --tail=20"),
    }
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
