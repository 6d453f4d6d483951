//! Which pods are worth asking why they are not ready.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

use crate::facts::{Facts, PodKey};
use crate::object::{
    COMPONENT, admin_port, containers, gatekeeper, init_containers, is_current, is_pod_ready, label, name, namespace,
};

/// So many pods are asked why they are not ready; those of one workload mostly answer the same.
const ASKED_MAX: usize = 6;
/// As many as NATS has servers, in every overlay.
const GATEKEEPERS_MAX: usize = 3;

/// A pod whose `/readyz` is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodToAsk {
    /// The pod.
    pub pod: PodKey,
    /// The port on which it serves `/readyz`.
    pub port: u16,
}

/// The pods that are worth asking for [`Facts::readiness`]: those that are not ready, of each workload one before a second
/// of any; and those with a gatekeeper, which shows in no other way whether it can let clients in. At most a handful: each
/// way into a pod takes a moment to open.
#[must_use]
pub fn pods_to_ask(facts: &Facts) -> Vec<PodToAsk> {
    let mut pods: Vec<&Pod> = facts.pods().filter(|pod| is_unready(pod)).collect();
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    pods.sort_by_cached_key(|pod| {
        let place = asked.entry(label(&pod.metadata, COMPONENT)).or_default();
        *place += 1;
        *place
    });
    let address = |pod: &&Pod| {
        let port = port(pod)?;
        let meta = &pod.metadata;
        let pod = PodKey {
            namespace: namespace(meta).to_owned(),
            name: name(meta).to_owned(),
        };
        Some(PodToAsk { pod, port })
    };
    let silent = facts
        .pods()
        .filter(|pod| is_current(pod) && !is_unready(pod) && gatekeeper(pod).is_some());
    let gatekeepers = silent.filter(|pod| is_pod_ready(pod)).take(GATEKEEPERS_MAX);
    let gatekeepers: Vec<&Pod> = gatekeepers.collect();
    let unready = pods.iter().filter_map(address).take(ASKED_MAX);
    unready.chain(gatekeepers.iter().filter_map(address)).collect()
}

/// A pod whose containers run, and which reports that it is not ready.
fn is_unready(pod: &Pod) -> bool {
    let runs = |state: Option<_>| state.is_some();
    let all = containers(pod).iter().chain(init_containers(pod));
    let mut states = all.filter_map(|container| container.state.as_ref());
    is_current(pod) && !is_pod_ready(pod) && states.any(|state| runs(state.running.as_ref()))
}

/// Where `/readyz` is served.
fn port(pod: &Pod) -> Option<u16> {
    let containers = &pod.spec.as_ref()?.containers;
    containers.iter().chain(gatekeeper(pod)).find_map(admin_port)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{beside, facts};

    fn pod(component: &str, n: usize, state: &Value) -> Value {
        json!({
            "kind": "Pod",
            "metadata": { "name": format!("{component}-{n}"), "namespace": "bellwether", "labels": { COMPONENT: component } },
            "spec": { "containers": [{ "name": component, "ports": [{ "name": "admin", "containerPort": 8080 }] }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": component, "state": state }] },
        })
    }

    #[test]
    fn of_each_workload_one_pod_is_asked_before_a_second_of_any() {
        let running = json!({ "running": {} });
        let mut facts = facts();
        let pods = (0..9).map(|n| pod("sentinel", n, &running));
        facts.control.objects = beside(pods.chain([pod("rebooter", 0, &running)]));
        let asked = pods_to_ask(&facts);
        let names: Vec<&str> = asked.iter().map(|it| it.pod.name.as_str()).collect();
        assert_eq!(names.len(), ASKED_MAX);
        assert_eq!(names.get(..2), Some(["sentinel-0", "rebooter-0"].as_slice()));
        assert_eq!(asked.first().map(|it| it.port), Some(8080));
    }

    #[test]
    fn a_pod_that_is_ready_or_does_not_run_is_not_asked() {
        let mut ready = pod("sentinel", 0, &json!({ "running": {} }));
        ready["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
        let waiting = pod("sentinel", 1, &json!({ "waiting": {} }));
        let mut facts = facts();
        facts.control.objects = beside([ready, waiting]);
        assert_eq!(pods_to_ask(&facts), []);
    }
}
