//! The four services, and where each is deployed.

use crate::namespaces::Namespaces;
use crate::object::{COMPONENT, label, name, namespace};
use crate::workload::{Workload, WorkloadKind};

/// One of the four services.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its name in [`COMPONENT`], and that of its workload in `deploy/base`.
    pub(crate) component: &'static str,
    pub(crate) kind: WorkloadKind,
    /// Deployed in the agents' namespace; else in the control namespace.
    pub(crate) in_agents: bool,
}

pub(crate) const SCHEDULER: Part = Part::new("scheduler", WorkloadKind::Deployment, false);
pub(crate) const DRAINER: Part = Part::new("drainer", WorkloadKind::Deployment, false);
pub(crate) const SENTINEL: Part = Part::new("sentinel", WorkloadKind::DaemonSet, true);
pub(crate) const REBOOTER: Part = Part::new("rebooter", WorkloadKind::DaemonSet, true);
pub(crate) const PARTS: [Part; 4] = [SCHEDULER, DRAINER, SENTINEL, REBOOTER];

impl Part {
    const fn new(component: &'static str, kind: WorkloadKind, in_agents: bool) -> Self {
        Self {
            component,
            kind,
            in_agents,
        }
    }

    pub(crate) fn namespace<'a>(&self, namespaces: &'a Namespaces) -> &'a str {
        if self.in_agents {
            &namespaces.agents
        } else {
            &namespaces.control
        }
    }

    /// Its workload: by its label, so that a prefix or another implementation does no harm; else by
    /// its name.
    pub(crate) fn find<'a>(&self, workloads: &'a [Workload], namespaces: &Namespaces) -> Option<&'a Workload> {
        let here = |it: &&Workload| it.kind() == self.kind && namespace(it.meta()) == self.namespace(namespaces);
        let mut labelled = workloads.iter().filter(here);
        let mut named = workloads.iter().filter(here);
        labelled
            .find(|it| label(it.meta(), COMPONENT) == self.component)
            .or_else(|| named.find(|it| name(it.meta()) == self.component))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{namespaces, typed};

    #[test]
    fn a_part_is_found_by_its_label_or_its_name_in_its_namespace_only() {
        let drainer = |namespace: &str| {
            let labels = json!({ COMPONENT: "drainer" });
            let metadata = json!({ "name": "eu-drainer", "namespace": namespace, "labels": labels });
            Workload::Deployment(typed(json!({ "metadata": metadata })))
        };
        let metadata = json!({ "name": "rebooter", "namespace": "bellwether-agents" });
        let rebooter = Workload::DaemonSet(typed(json!({ "metadata": metadata })));
        let all = [drainer("elsewhere"), drainer("bellwether"), rebooter];
        assert_eq!(DRAINER.find(&all, &namespaces()), all.get(1));
        assert_eq!(REBOOTER.find(&all, &namespaces()), all.get(2));
        assert_eq!(SCHEDULER.find(&all, &namespaces()), None);
    }
}
