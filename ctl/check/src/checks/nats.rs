//! NATS, as far as it can be seen from here: its version, the address that the services are told,
//! and the Service and StatefulSet behind it if they are in this cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};
use crate::object::{entries, holds, is_headless, items, label, name, namespace, number};
use crate::secrets;
use crate::checks::settings::{NATS_URL, STREAM_REPLICAS, environment};
use crate::checks::versions::Version;
use crate::checks::workloads::{PARTS, SCHEDULER};

/// Without this version the options of our streams do not do what they say.
const FLOOR: (u64, u64) = (2, 11);
/// The oldest version that its makers still mend.
const RECOMMENDED: (u64, u64) = (2, 12);

/// A Service of this cluster that a NATS address names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    namespace: String,
    service: String,
    port: u64,
}

/// The addresses that our workloads are told, each with the namespace of who is told.
fn addresses(facts: &Facts) -> BTreeSet<(&str, &str)> {
    let told = PARTS.iter().filter_map(|part| {
        let workload = facts.workload(part)?;
        let urls = environment(workload, facts.beside(workload)).get(NATS_URL).copied()??;
        Some(urls.split(',').map(move |url| (namespace(workload), url)))
    });
    told.flatten().collect()
}

/// The namespaces in which those Services are.
pub(crate) fn namespaces(facts: &Facts) -> Vec<String> {
    let targets = addresses(facts).into_iter().filter_map(|(from, url)| target(from, url));
    let namespaces: BTreeSet<String> = targets.map(|target| target.namespace).collect();
    namespaces.into_iter().collect()
}

/// The Service that an address means, seen from a namespace: `nats`, `nats.ns.svc`,
/// `nats-0.nats.ns.svc.cluster.local`. Nothing for names and addresses outside of the cluster.
fn target(from: &str, url: &str) -> Option<Target> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.rsplit('@').next()?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "4222"));
    let port = port.parse().ok()?;
    let labels: Vec<&str> = host.split('.').collect();
    let (service, namespace) = match labels.as_slice() {
        [alone] if *alone != "localhost" && !alone.starts_with('[') => (*alone, from),
        [.., service, namespace, "svc"] | [.., service, namespace, "svc", "cluster", "local"] => (*service, *namespace),
        _ => return None,
    };
    Some(Target {
        namespace: namespace.to_owned(),
        service: service.to_owned(),
        port,
    })
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = version(facts).into_iter().collect();
    let addresses = addresses(facts);
    let targets: BTreeSet<Target> = addresses.iter().filter_map(|(from, url)| target(from, url)).collect();
    if facts.services.trouble.is_none() {
        findings.extend(targets.iter().map(|target| service(facts, target)));
        findings.extend(targets.iter().find_map(|target| servers(facts, target)));
    }
    if targets.is_empty() && facts.fleet.is_err() {
        for (_, url) in addresses {
            findings.push(Topic::Nats.warning(
                "NATS",
                format!(
                    "{} is outside of this cluster, so it was not looked at",
                    secrets::addresses(url)
                ),
                "see that its servers run; the logs of scheduler and drainer say whether they reach it",
            ));
        }
    }
    findings
}

fn version(facts: &Facts) -> Option<Finding> {
    let told = &facts.fleet.as_ref().ok()?.list.nats_version;
    let version = Version::read(told)?;
    let known = (version.major, version.minor);
    let (floor, recommended) = (
        format!("{}.{}", FLOOR.0, FLOOR.1),
        format!("{}.{}", RECOMMENDED.0, RECOMMENDED.1),
    );
    let remedy = format!("upgrade NATS to {recommended} or newer, one server after the other");
    Some(if known < FLOOR {
        Topic::Nats.problem(
            "NATS",
            format!("version {told} is too old: at least {floor} is needed"),
            remedy,
        )
    } else if known < RECOMMENDED {
        Topic::Nats.warning(
            "NATS",
            format!("version {told} works; {recommended} or newer is recommended"),
            remedy,
        )
    } else {
        Topic::Nats.ok("NATS", format!("version {told}"))
    })
}

/// Whether the Service of an address is there, listens on that port and has somebody behind it.
fn service(facts: &Facts, target: &Target) -> Finding {
    let Target {
        namespace,
        service,
        port,
    } = target;
    let subject = format!("Service {namespace}/{service}");
    // Whoever leads is connected, whatever it looks like from here.
    let severity = if facts.fleet.is_ok() {
        Severity::Warning
    } else {
        Severity::Problem
    };
    let wrong = |found: String, remedy: String| Topic::Nats.finding(severity, subject.clone(), found, Some(remedy));
    let Some(found) = find(facts, "Service", target) else {
        return wrong(
            format!("not there, though {NATS_URL} names it: NATS cannot be reached"),
            format!("set {NATS_URL} in your overlay, or add a NATS server to it: deploy/components/nats"),
        );
    };
    // Behind a Service without an address of its own, the port is that of the server itself.
    let listens = items(found, "/spec/ports")
        .iter()
        .any(|it| number(it, "/port") == *port);
    if !listens && !is_headless(found) {
        return wrong(
            format!("does not listen on port {port}, which {NATS_URL} names"),
            format!(
                "set {NATS_URL} in your overlay to one of the ports of: kubectl -n {namespace} get service {service}"
            ),
        );
    }
    if is_empty(facts, found) {
        return wrong(
            "nobody is behind it: no NATS server is ready".to_owned(),
            format!("kubectl -n {namespace} get endpointslices,pods -l {}", selector(found)),
        );
    }
    Topic::Nats.ok(subject, "there, with a ready server")
}

fn find<'a>(facts: &'a Facts, kind: &'a str, target: &Target) -> Option<&'a Value> {
    let same = |it: &&Value| name(it) == target.service && namespace(it) == target.namespace;
    facts.services.of(kind).find(same)
}

fn is_empty(facts: &Facts, service: &Value) -> bool {
    let mine = |slice: &&Value| {
        label(slice, "kubernetes.io/service-name") == name(service) && namespace(slice) == namespace(service)
    };
    let endpoints = facts
        .services
        .of("EndpointSlice")
        .filter(mine)
        .flat_map(|slice| items(slice, "/endpoints"));
    // Our Service publishes addresses that are not ready too (`publishNotReadyAddresses`), and calls all
    // of them ready; `serving` is the pod's own word, which a slice made by hand may lack.
    let serves = |it: &&Value| {
        let told = ["/conditions/serving", "/conditions/ready"];
        told.iter().find_map(|condition| it.pointer(condition)) != Some(&Value::Bool(false))
    };
    let mut serving = endpoints.filter(serves);
    // Slices follow the pods after a moment, so a ready pod counts as well.
    let mut pods = facts
        .control
        .of("Pod")
        .filter(|pod| selects(service, pod) && holds(pod, "Ready"));
    serving.next().is_none() && pods.next().is_none()
}

/// Whether the pods of this object (or this pod) are those that a Service selects.
fn selects(service: &Value, object: &Value) -> bool {
    let labels = match object.pointer("/spec/template/metadata/labels") {
        Some(labels) => Some(labels),
        None => object.pointer("/metadata/labels"),
    };
    let carries = |(key, value)| labels.and_then(|it| it.get(key)).and_then(Value::as_str) == Some(value);
    let mut wanted = entries(service, "/spec/selector").peekable();
    wanted.peek().is_some() && namespace(service) == namespace(object) && wanted.all(carries)
}

fn selector(service: &Value) -> String {
    let pairs: Vec<String> = entries(service, "/spec/selector")
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

/// How many servers there are, and whether the streams make use of them.
fn servers(facts: &Facts, target: &Target) -> Option<Finding> {
    let service = find(facts, "Service", target)?;
    let set = facts.workloads.of("StatefulSet").find(|it| selects(service, it))?;
    let (desired, ready) = (number(set, "/spec/replicas"), number(set, "/status/readyReplicas"));
    let scheduler = facts.workload(&SCHEDULER)?;
    let told = environment(scheduler, facts.beside(scheduler))
        .get(STREAM_REPLICAS)
        .copied()
        .flatten();
    let copies: u64 = told.and_then(|text| text.parse().ok()).unwrap_or(1);
    let subject = format!("StatefulSet {}/{}", namespace(set), name(set));
    let counted = format!("{ready} of {desired} ready");
    let overlay = format!("set {STREAM_REPLICAS} in your overlay: 1 for one server, 3 for three");
    Some(if copies > desired {
        let found = format!("{counted}, but {STREAM_REPLICAS}={copies}: streams cannot be made");
        Topic::Nats.problem(subject, found, overlay)
    } else if ready < desired {
        let remedy = format!("kubectl -n {} describe statefulset {}", namespace(set), name(set));
        Topic::Nats.warning(subject, counted, remedy)
    } else if desired == 1 {
        Topic::Nats.ok(
            subject,
            format!("{counted}: a single server, away while its own node reboots"),
        )
    } else if copies == 1 {
        let found = format!("{counted}, but each stream is on one server only ({STREAM_REPLICAS}=1)");
        Topic::Nats.warning(subject, found, overlay)
    } else {
        Topic::Nats.ok(subject, format!("{counted}, {copies} of them hold each stream"))
    })
}

#[cfg(test)]
#[path = "nats_tests.rs"]
mod tests;
