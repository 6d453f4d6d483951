//! The network policies of the deploy folder, read as a cluster's network would: which end may
//! reach which. The API server checks their form only, and the rig has no network that enforces them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use rig::services::{AGENTS, NAMESPACE};
use rig::world::World;

type Labels = BTreeMap<String, String>;

/// One end of a connection: a pod by its namespace and labels, or none for an end outside the cluster.
type End = Option<(&'static str, Labels)>;

/// One way: its ends, its port, and with which components it is open; `*` for with all of them.
type Way = (&'static str, &'static str, i32, &'static [&'static str]);

const NATS: &[&str] = &["nats", "nats-cluster"];
const WAYS: [Way; 31] = [
    ("sentinel", "nats", 4222, NATS),
    ("rebooter", "nats", 4222, NATS),
    ("scheduler", "nats", 4222, NATS),
    ("drainer", "nats", 4222, NATS),
    // Only a client with a token of ours gets in; still, it need not even be able to ask.
    ("a stranger", "nats", 4222, &[]),
    ("a neighbour", "nats", 4222, &[]),
    ("nats", "nats", 6222, &["nats-cluster"]),
    ("sentinel", "nats", 6222, &[]),
    // The gatekeepers have tokens reviewed.
    ("nats", "outside", 6443, NATS),
    ("nats", "outside", 4222, &[]),
    ("sentinel", "outside", 4222, &["nats-existing", "nats-password"]),
    ("drainer", "outside", 4222, &["nats-existing", "nats-password"]),
    ("drainer", "outside", 4317, &["tracing"]),
    ("scheduler", "outside", 4317, &["tracing"]),
    ("prometheus", "rebooter", 8080, &["metrics"]),
    ("prometheus", "scheduler", 8080, &["metrics"]),
    ("prometheus", "nats", 8080, &["metrics"]),
    ("a stranger", "drainer", 8080, &[]),
    ("a stranger", "scheduler", 9090, &[]),
    ("scheduler", "outside", 6443, &["*"]),
    ("drainer", "outside", 443, &["*"]),
    // An agent that was taken over cannot even ask the API server.
    ("sentinel", "outside", 6443, &[]),
    ("rebooter", "outside", 443, &[]),
    ("sentinel", "outside", 53, &["*"]),
    ("notifier", "outside", 443, &["notifier"]),
    ("notifier", "outside", 587, &["notifier"]),
    ("notifier", "nats", 4222, NATS),
    ("notifier", "outside", 4222, &["nats-existing", "nats-password"]),
    // It has no right in Kubernetes, and no other service a way to chat services.
    ("notifier", "outside", 6443, &[]),
    ("sentinel", "outside", 443, &[]),
    // The scheduler writes the spans of the agents.
    ("rebooter", "outside", 4317, &[]),
];

/// Compares all ways with those that the policies in the cluster leave open.
pub(crate) async fn only_what_is_needed(world: &World, component: &Path) -> Result<()> {
    let component = component.file_name().unwrap_or_default().to_string_lossy();
    let policies: Api<NetworkPolicy> = Api::all(world.client());
    let policies = policies.list(&ListParams::default()).await?.items;
    for (from, to, port, open_with) in WAYS {
        let open = open_with.iter().any(|with| *with == "*" || *with == component);
        assert_eq!(
            lets_through(&policies, &end(from)?, &end(to)?, port),
            open,
            "with {component}, from {from} to {to}:{port}"
        );
    }
    Ok(())
}

fn end(name: &str) -> Result<End> {
    let labels = |app: &str, component: &str| {
        let pair = |key: &str, value: &str| (format!("app.kubernetes.io/{key}"), value.to_owned());
        Labels::from([pair("name", app), pair("component", component)])
    };
    Ok(match name {
        "sentinel" | "rebooter" => Some((AGENTS, labels("bellwether", name))),
        "scheduler" | "drainer" | "notifier" => Some((NAMESPACE, labels("bellwether", name))),
        "nats" => Some((NAMESPACE, labels("nats", "bus"))),
        // It looks like one of us, and is not where we are.
        "a stranger" => Some(("default", labels("bellwether", "scheduler"))),
        "a neighbour" => Some((NAMESPACE, labels("something", "else"))),
        "prometheus" => Some(("monitoring", labels("prometheus", "prometheus"))),
        "outside" => None,
        other => bail!("who is {other}?"),
    })
}

/// Both ends have to agree; an end that no policy selects agrees to everything.
fn lets_through(policies: &[NetworkPolicy], from: &End, to: &End, port: i32) -> bool {
    let agrees = |end: &End, other: &End, direction: &str| {
        let Some((namespace, labels)) = end else {
            return true;
        };
        let mut selected = policies.iter().filter_map(|policy| {
            let spec = policy.spec.as_ref()?;
            let of_this_kind = spec.policy_types.iter().flatten().any(|kind| kind == direction);
            let here = policy.namespace().as_deref() == Some(namespace);
            (of_this_kind && here && spec.pod_selector.as_ref().is_none_or(|it| fits(it, labels))).then_some(spec)
        });
        let Some(first) = selected.next() else {
            return true;
        };
        std::iter::once(first).chain(selected).any(|spec| {
            let out = spec.egress.iter().flatten().map(|rule| (&rule.to, &rule.ports));
            let into = spec.ingress.iter().flatten().map(|rule| (&rule.from, &rule.ports));
            let rules: Vec<_> = if direction == "Egress" {
                out.collect()
            } else {
                into.collect()
            };
            rules.into_iter().any(|(peers, ports)| {
                let peer = |peer: &NetworkPolicyPeer| is_peer(peer, namespace, other);
                let same = |it: &NetworkPolicyPort| it.port == Some(IntOrString::Int(port));
                peers.as_ref().is_none_or(|peers| peers.iter().any(peer))
                    && ports.as_ref().is_none_or(|ports| ports.iter().any(same))
            })
        })
    };
    agrees(from, to, "Egress") && agrees(to, from, "Ingress")
}

fn is_peer(peer: &NetworkPolicyPeer, home: &str, other: &End) -> bool {
    let Some((namespace, labels)) = other else {
        return false;
    };
    // Every namespace carries its name as a label, and none of ours needs another one.
    let own = Labels::from([("kubernetes.io/metadata.name".to_owned(), (*namespace).to_owned())]);
    let there = match &peer.namespace_selector {
        Some(selector) => fits(selector, &own),
        None => *namespace == home,
    };
    there && peer.pod_selector.as_ref().is_none_or(|selector| fits(selector, labels))
}

fn fits(selector: &LabelSelector, labels: &Labels) -> bool {
    let mut pairs = selector.match_labels.iter().flatten();
    let mut expressions = selector.match_expressions.iter().flatten();
    pairs.all(|(key, value)| labels.get(key) == Some(value))
        && expressions.all(|it| {
            assert_eq!(it.operator, "In", "this reader knows no other");
            let values = it.values.as_deref().unwrap_or_default();
            labels.get(&it.key).is_some_and(|value| values.contains(value))
        })
}
