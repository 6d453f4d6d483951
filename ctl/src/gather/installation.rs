//! The facts of `check`.

use bellwether_check::{Facts, account_reviews, nats_namespaces, own_reviews, pods_to_ask};
use bellwether_proto::mark::LEASE;

use super::{WORKLOADS, fleet, kubernetes_version, namespaces, readyz};
use crate::args::{CheckArgs, ConnectArgs};
use crate::kubectl::{Answer, Kubectl};
use crate::time;

/// The objects of a namespace that a check looks at.
const BESIDE: [&str; 2] = ["get", "pods,events,configmaps"];

/// Admission policies of ours, and which requests they are asked about.
const POLICIES: [&str; 4] = [
    "get",
    "validatingadmissionpolicies,validatingadmissionpolicybindings",
    "-l",
    "app.kubernetes.io/part-of=bellwether",
];

/// Gathers all facts, in two rounds: the second asks for what the first one names.
pub(crate) async fn installation(connect: &ConnectArgs, args: &CheckArgs) -> Facts {
    let kubectl = Kubectl::new(connect);
    let mut facts = Facts::new(time::now(), namespaces(connect, args));
    facts.tool_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    facts.scheduler_address_given = !connect.scheduler.is_empty();
    let (control, agents) = (facts.namespaces.control.clone(), facts.namespaces.agents.clone());
    facts.kubernetes_version = kubernetes_version(&kubectl, &control).await;
    if facts.kubernetes_version.is_err() {
        // Ten more questions to a server that does not answer would only take time.
        facts.fleet = fleet(connect).await;
        return facts;
    }
    let own = own_reviews(&facts.namespaces);
    let lease = ["get", "lease", LEASE, "--ignore-not-found"];
    let (nodes, workloads, in_control, in_agents, lease, policies, own_rights, fleet) = tokio::join!(
        kubectl.ask(&control, &["get", "nodes"]),
        kubectl.ask(&control, &WORKLOADS),
        kubectl.ask(&control, &BESIDE),
        kubectl.ask(&agents, &BESIDE),
        kubectl.ask(&control, &lease),
        kubectl.ask(&control, &POLICIES),
        kubectl.review(&own),
        fleet(connect),
    );
    facts.nodes = nodes.gathered();
    facts.workloads = workloads.gathered();
    facts.control = in_control.gathered();
    facts.agents = in_agents.gathered();
    facts.lease = lease.gathered();
    facts.policies = policies.gathered();
    facts.own_rights = own_rights.gathered();
    facts.fleet = fleet;
    let accounts = account_reviews(&facts);
    let (services, account_rights, readiness) = tokio::join!(
        services(&kubectl, nats_namespaces(&facts)),
        kubectl.review(&accounts),
        readyz::ask(&kubectl, pods_to_ask(&facts)),
    );
    facts.services = services.gathered();
    facts.account_rights = account_rights.gathered();
    facts.readiness = readiness;
    facts
}

async fn services(kubectl: &Kubectl, namespaces: Vec<String>) -> Answer {
    let mut all = Answer::default();
    for namespace in namespaces {
        let one = kubectl.ask(&namespace, &["get", "services,endpointslices"]).await;
        all.objects.extend(one.objects);
        all.failure = all.failure.or(one.failure);
    }
    all
}
