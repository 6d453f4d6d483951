//! NATS, as far as the cluster shows it: its version, the address that the services are given, and
//! the Service and StatefulSet behind it if they are in this cluster.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::setting::{NATS_URL, STREAM_REPLICAS};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointConditions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::check::Check;
use crate::code::Code;
use crate::environment;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};
use crate::object::{is_pod_ready, label, name, namespace};
use crate::part::{PARTS, SCHEDULER};
use crate::secrets;
use crate::version::Version;
use crate::workload::{Rollout, Workload, WorkloadKind};

pub(crate) const CHECK: Check = Check {
    name: "nats",
    needs_kubernetes: true,
    find: findings,
};

/// Without this version the options of our streams do not do what they say.
const FLOOR: (u64, u64) = (2, 11);
/// The oldest version that its makers still fix.
const RECOMMENDED: (u64, u64) = (2, 12);
/// The port of an address that names none.
const DEFAULT_PORT: &str = "4222";

/// A Service of this cluster that a NATS address names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Target {
    namespace: String,
    service: String,
    port: i32,
}

/// The addresses that our workloads are given, each with the namespace of the workload.
fn addresses(facts: &Facts) -> BTreeSet<(&str, &str)> {
    let given = PARTS.iter().filter_map(|part| {
        let workload = facts.workload(part)?;
        let urls = environment::of_workload(workload, facts).get(NATS_URL).copied()??;
        Some(urls.split(',').map(move |url| (namespace(workload.meta()), url)))
    });
    given.flatten().collect()
}

/// The namespaces whose Services and EndpointSlices a check needs, for [`Facts::services`]: those that
/// the settings of the workloads name for NATS.
#[must_use]
pub fn namespaces(facts: &Facts) -> Vec<String> {
    let targets = addresses(facts).into_iter().filter_map(|(from, url)| target(from, url));
    let namespaces: BTreeSet<String> = targets.map(|target| target.namespace).collect();
    namespaces.into_iter().collect()
}

/// The Service that an address means in a pod of a namespace: `nats`, `nats.ns.svc`,
/// `nats-0.nats.ns.svc.cluster.local`. Nothing for names and addresses outside of the cluster.
fn target(from: &str, url: &str) -> Option<Target> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.rsplit('@').next()?.split('/').next()?;
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, DEFAULT_PORT));
    let port = i32::from(port.parse::<u16>().ok()?);
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

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = version(facts).into_iter().collect();
    let addresses = addresses(facts);
    let targets: BTreeSet<Target> = addresses.iter().filter_map(|(from, url)| target(from, url)).collect();
    if facts.services.failure.is_none() {
        findings.extend(targets.iter().map(|target| service(facts, target)));
        findings.extend(targets.iter().find_map(|target| servers(facts, target)));
    }
    if targets.is_empty() && facts.fleet.is_err() {
        for (_, url) in addresses {
            findings.push(Topic::Nats.warning(
                Code::NatsNotChecked,
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
    let reported = &facts.fleet.as_ref().ok()?.list.nats_version;
    let version = Version::read(reported)?;
    let known = (version.major, version.minor);
    let (floor, recommended) = (
        format!("{}.{}", FLOOR.0, FLOOR.1),
        format!("{}.{}", RECOMMENDED.0, RECOMMENDED.1),
    );
    let remedy = format!("upgrade NATS to {recommended} or newer, one server after the other");
    Some(if known < FLOOR {
        let found = format!("version {reported} is too old: at least {floor} is needed");
        Topic::Nats.problem(Code::NatsTooOld, "NATS", found, remedy)
    } else if known < RECOMMENDED {
        let found = format!("version {reported} works; {recommended} or newer is recommended");
        Topic::Nats.warning(Code::NatsOutdated, "NATS", found, remedy)
    } else {
        Topic::Nats.ok("NATS", format!("version {reported}"))
    })
}

/// Whether the Service of an address is there, listens on that port and has a ready server behind it.
fn service(facts: &Facts, target: &Target) -> Finding {
    let Target {
        namespace,
        service,
        port,
    } = target;
    let subject = format!("Service {namespace}/{service}");
    // A scheduler that leads is connected, whatever it looks like from here.
    let severity = if facts.fleet.is_ok() {
        Severity::Warning
    } else {
        Severity::Problem
    };
    let wrong =
        |code, found: String, remedy: String| Topic::Nats.finding(severity, code, subject.clone(), found, Some(remedy));
    let Some(found) = find(facts, target) else {
        return wrong(
            Code::NatsServiceMissing,
            format!("not there, though {NATS_URL} names it: NATS cannot be reached"),
            format!("set {NATS_URL} in your overlay, or add a NATS server to it: deploy/components/nats"),
        );
    };
    // Behind a Service without an address of its own, the port is that of the server itself.
    if !listens(found, *port) && !is_headless(found) {
        return wrong(
            Code::NatsPortMissing,
            format!("does not listen on port {port}, which {NATS_URL} names"),
            format!(
                "set {NATS_URL} in your overlay to one of the ports of: kubectl -n {namespace} get service {service}"
            ),
        );
    }
    if is_empty(facts, found) {
        return wrong(
            Code::NatsNotReady,
            "nothing is behind it: no NATS server is ready".to_owned(),
            format!(
                "kubectl -n {namespace} get endpointslices,pods -l {}",
                selector_argument(found)
            ),
        );
    }
    Topic::Nats.ok(subject, "there, with a ready server")
}

fn find<'a>(facts: &'a Facts, target: &Target) -> Option<&'a Service> {
    let mut services = facts.services.objects.services.iter();
    services.find(|it| name(&it.metadata) == target.service && namespace(&it.metadata) == target.namespace)
}

fn listens(service: &Service, port: i32) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    ports.unwrap_or_default().iter().any(|it| it.port == port)
}

/// Whether a Service has no address of its own: its name means the pods behind it.
fn is_headless(service: &Service) -> bool {
    let spec = service.spec.as_ref();
    spec.and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

fn is_empty(facts: &Facts, service: &Service) -> bool {
    let meta = &service.metadata;
    let is_its_own = |slice: &ObjectMeta| {
        label(slice, "kubernetes.io/service-name") == name(meta) && slice.namespace == meta.namespace
    };
    let slices = facts.services.objects.endpoint_slices.iter();
    let endpoints = slices
        .filter(|slice| is_its_own(&slice.metadata))
        .flat_map(|slice| &slice.endpoints);
    let mut serving = endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_none_or(serves));
    // Slices follow the pods after a moment, so a ready pod counts as well.
    let mut pods = facts.control.objects.pods.iter();
    let ready = pods.any(|pod| {
        let meta = &pod.metadata;
        selects(service, namespace(meta), meta.labels.as_ref()) && is_pod_ready(pod)
    });
    serving.next().is_none() && !ready
}

/// Our Service publishes addresses that are not ready too (`publishNotReadyAddresses`), and calls all of
/// them ready; `serving` is the pod's own condition, which a slice made by hand may lack.
fn serves(conditions: &EndpointConditions) -> bool {
    conditions.serving.or(conditions.ready) != Some(false)
}

/// Whether a Service selects pods of this namespace with these labels.
fn selects(service: &Service, of: &str, labels: Option<&BTreeMap<String, String>>) -> bool {
    let mut wanted = selector(service).peekable();
    wanted.peek().is_some()
        && namespace(&service.metadata) == of
        && wanted.all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn selector(service: &Service) -> impl Iterator<Item = (&String, &String)> {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.into_iter().flatten()
}

fn selector_argument(service: &Service) -> String {
    let pairs: Vec<String> = selector(service).map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// Whether the pods of this workload are those that a Service selects.
fn selects_pods_of(service: &Service, workload: &Workload) -> bool {
    let template = workload.template().and_then(|template| template.metadata.as_ref());
    let labels = template.unwrap_or_else(|| workload.meta()).labels.as_ref();
    selects(service, namespace(workload.meta()), labels)
}

/// How many servers there are, and whether the streams make use of them.
fn servers(facts: &Facts, target: &Target) -> Option<Finding> {
    let service = find(facts, target)?;
    let mut sets = facts.workloads.objects.iter();
    let set = sets.find(|it| it.kind() == WorkloadKind::StatefulSet && selects_pods_of(service, it))?;
    let Rollout { desired, ready, .. } = set.rollout();
    let scheduler = facts.workload(&SCHEDULER)?;
    let setting = environment::of_workload(scheduler, facts)
        .get(STREAM_REPLICAS)
        .copied()
        .flatten();
    let copies = setting.and_then(|text| text.parse::<u16>().ok()).map_or(1, i32::from);
    let (namespace, name) = (namespace(set.meta()), name(set.meta()));
    let subject = set.path();
    let counted = format!("{ready} of {desired} ready");
    let overlay = format!("set {STREAM_REPLICAS} in your overlay: 1 for one server, 3 for three");
    Some(if copies > desired {
        let found = format!("{counted}, but {STREAM_REPLICAS}={copies}: streams cannot be made");
        Topic::Nats.problem(Code::NatsServersMissing, subject, found, overlay)
    } else if ready < desired {
        let remedy = format!("kubectl -n {namespace} describe statefulset {name}");
        Topic::Nats.warning(Code::NatsServersNotReady, subject, counted, remedy)
    } else if desired == 1 {
        Topic::Nats.ok(
            subject,
            format!("{counted}: a single server, away while its own node reboots"),
        )
    } else if copies == 1 {
        let found = format!("{counted}, but each stream is on one server only ({STREAM_REPLICAS}=1)");
        Topic::Nats.warning(Code::StreamsNotReplicated, subject, found, overlay)
    } else {
        Topic::Nats.ok(subject, format!("{counted}, {copies} of them hold each stream"))
    })
}

#[cfg(test)]
#[path = "nats_tests.rs"]
mod tests;
