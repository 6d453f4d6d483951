//! What keeps the clients of NATS apart: how the services come, and whether the gatekeepers let clients in.

use std::collections::BTreeSet;

use bellwether_proto::readiness::NotReady;
use bellwether_proto::setting::{NATS_CREDENTIALS, NATS_PASSWORD, NATS_TOKEN, NATS_URL};
use k8s_openapi::api::core::v1::Pod;

use crate::check::Check;
use crate::code::Code;
use crate::environment::{self, Environment};
use crate::facts::{Facts, PodKey, Readiness};
use crate::finding::{Finding, Severity, Topic};
use crate::group::{count, names};
use crate::object::{gatekeeper, is_current, is_pod_ready, name, namespace};
use crate::part::PARTS;

pub(crate) const CHECK: Check = Check {
    name: "trust",
    needs_kubernetes: true,
    find: findings,
};

const SUBJECT: &str = "clients of NATS";

/// How a service comes to NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Credential {
    /// With the token of its pod.
    Token,
    /// As a user whose credentials or password all its pods share.
    User,
    /// With none.
    Nothing,
}

impl Credential {
    fn of(environment: &Environment<'_>) -> Self {
        let has = |key| environment.contains_key(key);
        if has(NATS_TOKEN) {
            Self::Token
        } else if has(NATS_CREDENTIALS) || has(NATS_PASSWORD) {
            Self::User
        } else {
            Self::Nothing
        }
    }
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = clients(facts);
    let pods = facts.pods().filter(|pod| is_current(pod) && gatekeeper(pod).is_some());
    // One that is not ready is among the pods, with the gatekeeper's reason.
    let ready: Vec<&Pod> = pods.filter(|pod| is_pod_ready(pod)).collect();
    let wrong: Vec<Finding> = ready.iter().filter_map(|pod| unable(pod, facts)).collect();
    if wrong.is_empty() && !ready.is_empty() {
        let found = format!("{}: only the services get in", count(ready.len(), "gatekeeper"));
        findings.push(Topic::Nats.ok("gatekeepers", found));
    }
    findings.extend(wrong);
    findings
}

/// How the services come to NATS.
fn clients(facts: &Facts) -> Vec<Finding> {
    let mut credentials = BTreeSet::new();
    let mut plain = BTreeSet::new();
    for part in &PARTS {
        let Some(workload) = facts.workload(part) else { continue };
        let environment = environment::of_workload(workload, facts);
        // Settings that are missing, or could not be read, are a finding of their own.
        let Some(urls) = environment.get(NATS_URL).copied().flatten() else {
            continue;
        };
        credentials.insert((Credential::of(&environment), part.in_agents));
        if urls.split(',').any(|url| !url.trim().starts_with("tls://")) {
            plain.insert(part.component.to_owned());
        }
    }
    let has = |credential, agents: &[bool]| agents.iter().any(|it| credentials.contains(&(credential, *it)));
    let mut findings = Vec::new();
    if has(Credential::Nothing, &[true, false]) {
        findings.push(Topic::Nats.warning(
            Code::NatsOpen,
            SUBJECT,
            "they come without credentials: every pod that reaches NATS can do all that any service can",
            "use deploy/components/nats or nats-cluster, or give your NATS users: nats-existing, nats-password",
        ));
    } else if has(Credential::User, &[true]) {
        let found = "the agents of all nodes come as one user: an agent that is taken over can report for every node";
        let remedy =
            "deploy/components/nats and nats-cluster keep nodes apart; for a NATS of your own see proto/README.md";
        let remedy = Some(remedy.to_owned());
        findings.push(Topic::Nats.finding(Severity::Ok, Code::NatsNodesShareUser, SUBJECT, found, remedy));
    } else if has(Credential::Token, &[true]) {
        let found = "each comes with the token of its pod, and an agent speaks for its own node alone";
        findings.push(Topic::Nats.ok(SUBJECT, found));
    }
    if !plain.is_empty() {
        let plain: Vec<String> = plain.into_iter().collect();
        findings.push(Topic::Nats.warning(
            Code::NatsNotEncrypted,
            SUBJECT,
            format!("not by TLS: {}", names(&plain)),
            format!("give your NATS a certificate, and {NATS_URL} in your overlay the form tls://NAME:4222"),
        ));
    }
    findings
}

/// The finding of a gatekeeper that cannot let clients in, or did not answer. None: it answered that it can, or was not
/// asked.
fn unable(pod: &Pod, facts: &Facts) -> Option<Finding> {
    let (namespace, name) = (namespace(&pod.metadata), name(&pod.metadata));
    let key = PodKey {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let (severity, found) = match facts.readiness.get(&key)? {
        Readiness::Answered(parts) if parts.is_empty() => return None,
        Readiness::Answered(parts) => {
            let words: Vec<String> = parts.iter().map(NotReady::shown).collect();
            (Severity::Problem, words.join("; "))
        }
        Readiness::Unanswered(why) => (Severity::Warning, format!("its /readyz could not be asked: {why}")),
    };
    let container = gatekeeper(pod)?.name.as_str();
    let remedy = format!("kubectl -n {namespace} logs {name} -c {container} --tail=20");
    let subject = format!("gatekeeper of pod {name}");
    Some(Topic::Nats.finding(severity, Code::GatekeeperNotReady, subject, found, Some(remedy)))
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
