//! The order in which the nodes of a policy would go if all of them needed a reboot since the same time.
//!
//! The scheduler orders its queue by the same rules, and by the age of the needs, which only a scheduler knows.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use bellwether_policy::{Amount, ControlPlaneTurn, Terms};
use bellwether_proto::mark;

/// Labels of a node.
pub(crate) type Labels = BTreeMap<String, String>;

/// The nodes of a policy in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turns {
    /// The canaries; none: the policy has no such field.
    pub(crate) canaries: Option<Vec<String>>,
    /// All nodes, the canaries among them.
    pub(crate) nodes: Vec<String>,
}

impl Turns {
    /// The order of the nodes of a policy with these terms.
    pub(crate) fn new(terms: &Terms, nodes: &BTreeMap<String, Labels>) -> Self {
        let canaries = terms.canaries.as_ref();
        let is_canary = |labels: &Labels| canaries.is_some_and(|canaries| canaries.selector.selects(labels));
        // The first node by name has its domain go first, as the scheduler takes the first node in order.
        let mut first_of_domain = BTreeMap::new();
        let mut in_order: Vec<_> = nodes
            .iter()
            .map(|(name, labels)| {
                let part = (!is_canary(labels), turn(terms, labels));
                let domain = first_of_domain.entry((part, domain(terms, labels)));
                (part, *domain.or_insert(name), name)
            })
            .collect();
        in_order.sort();
        Self {
            canaries: canaries.map(|_| {
                let canaries = nodes.iter().filter(|(_, labels)| is_canary(labels));
                canaries.map(|(name, _)| name.clone()).collect()
            }),
            nodes: in_order.into_iter().map(|(.., name)| name.clone()).collect(),
        }
    }
}

/// The part of a node in the cluster: the control plane goes before or after the workers.
fn turn(terms: &Terms, labels: &Labels) -> u8 {
    let is_control_plane = mark::CONTROL_PLANE_LABELS
        .iter()
        .any(|label| labels.contains_key(*label));
    match (is_control_plane, terms.control_plane) {
        (true, ControlPlaneTurn::First) => 0,
        (false, _) => 1,
        (true, ControlPlaneTurn::Last) => 2,
    }
}

/// The values of the labels of which only one value at a time may have disrupted nodes. None where nodes go one by one:
/// between two of them no node is disrupted, and any value may be next.
fn domain<'a>(terms: &'a Terms, labels: &'a Labels) -> Vec<Option<&'a String>> {
    if terms.budget.max_unavailable.is_some_and(is_one) {
        return Vec::new();
    }
    let topology = terms
        .budget
        .topology
        .iter()
        .filter(|topology| !topology.max_unavailable.is_some_and(is_one));
    let one_at_a_time = topology.filter(|topology| topology.max_domains.is_some_and(|max| max.get() == 1));
    one_at_a_time.map(|topology| labels.get(&topology.key)).collect()
}

fn is_one(max: Amount) -> bool {
    max == Amount::Count(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use bellwether_policy::RebootPolicy;
    use serde_json::{Value, json};

    use super::*;

    /// Nodes by name, each with the labels that are listed.
    fn turns(spec: &Value, nodes: &[(&str, &[(&str, &str)])]) -> Turns {
        let terms = RebootPolicy::read("p".into(), spec).terms.unwrap();
        let labels = |labels: &[(&str, &str)]| {
            let owned = labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let nodes = nodes.iter().map(|(name, of)| ((*name).to_owned(), labels(of)));
        Turns::new(&terms, &nodes.collect())
    }

    const MASTER: (&str, &str) = ("node-role.kubernetes.io/master", "");

    #[test]
    fn canaries_go_first_then_workers_then_the_control_plane_each_by_name() {
        let nodes: [(&str, &[(&str, &str)]); 5] = [
            ("a", &[MASTER]),
            ("b", &[]),
            ("c", &[MASTER, ("canary", "yes")]),
            ("d", &[("canary", "yes")]),
            ("e", &[]),
        ];
        let canaries = json!({ "nodeSelector": { "matchLabels": { "canary": "yes" } } });
        let with = turns(&json!({ "canaries": canaries }), &nodes);
        assert_eq!(with.nodes, ["d", "c", "b", "e", "a"]);
        assert_eq!(with.canaries.unwrap(), ["c", "d"]);
        let without = turns(&json!({}), &nodes);
        assert_eq!(without.nodes, ["b", "d", "e", "a", "c"]);
        assert_eq!(without.canaries, None);
        let first = turns(&json!({ "controlPlane": "First", "canaries": canaries }), &nodes);
        assert_eq!(first.nodes, ["c", "d", "a", "b", "e"]);
    }

    #[test]
    fn one_value_of_a_label_is_finished_before_the_next_if_only_one_may_have_disrupted_nodes() {
        let nodes: [(&str, &[(&str, &str)]); 6] = [
            ("a", &[("zone", "y")]),
            ("b", &[("zone", "x")]),
            ("c", &[("zone", "y")]),
            ("d", &[]),
            ("e", &[("zone", "x")]),
            ("f", &[]),
        ];
        let spec = |domains: u32| json!({ "budget": { "topology": [{ "key": "zone", "maxDomains": domains }] } });
        assert_eq!(turns(&spec(1), &nodes).nodes, ["a", "c", "b", "e", "d", "f"]);
        let by_name = ["a", "b", "c", "d", "e", "f"];
        assert_eq!(turns(&spec(2), &nodes).nodes, by_name);
        let one_by_one = json!({ "topology": [{ "key": "zone", "maxDomains": 1, "maxUnavailable": 1 }] });
        assert_eq!(turns(&json!({ "budget": one_by_one }), &nodes).nodes, by_name);
        let one_by_one = json!({ "maxUnavailable": 1, "topology": [{ "key": "zone", "maxDomains": 1 }] });
        assert_eq!(turns(&json!({ "budget": one_by_one }), &nodes).nodes, by_name);
    }
}
