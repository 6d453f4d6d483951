//! The nodes and policies of a cluster, and what would govern the nodes with the policies of a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::bail;
use bellwether_policy::{Governing, Policies, RebootPolicy};
use serde_json::Value;

use crate::kubectl::Answer;
use crate::policy::document;
use crate::policy::turns::{Labels, Turns};

/// The nodes and policies of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    nodes: BTreeMap<String, Labels>,
    policies: Vec<RebootPolicy>,
}

/// Which nodes each policy would govern; names in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Governed {
    /// By policy, those of a file and those of the cluster alike.
    pub(crate) by_policy: BTreeMap<Arc<str>, Vec<String>>,
    /// By policy without mistakes that governs a node, the order of its nodes.
    pub(crate) turns: BTreeMap<Arc<str>, Turns>,
    /// Two policies of one priority are for the node.
    pub(crate) in_conflict: Vec<(String, Arc<str>, Arc<str>)>,
    /// No policy is for the node.
    pub(crate) without: Vec<String>,
}

impl Cluster {
    /// Reads kubectl's answers. A cluster without the definition of the resource has no policies.
    ///
    /// # Errors
    /// The nodes or the policies could not be listed.
    pub(crate) fn read(nodes: Answer, policies: Answer) -> anyhow::Result<Self> {
        if let Some(failure) = nodes.failure {
            bail!("the nodes cannot be listed: {}", failure.message);
        }
        let is_undefined = |words: &str| words.contains("the server doesn't have a resource type");
        match policies.failure {
            Some(failure) if !is_undefined(&failure.message) => {
                bail!("the policies of the cluster cannot be listed: {}", failure.message)
            }
            Some(_) | None => (),
        }
        let present: Result<Vec<_>, _> = policies.objects.iter().map(document::policy).collect();
        Ok(Self {
            nodes: nodes.objects.iter().filter_map(node).collect(),
            policies: present?.into_iter().flatten().collect(),
        })
    }

    /// Reads objects that kubectl saved: nodes, and the policies among them.
    ///
    /// # Errors
    /// There is no node, or a policy without a name or of another version.
    pub(crate) fn saved(objects: &[Value]) -> anyhow::Result<Self> {
        let is_node = |object: &&Value| object.get("kind").and_then(Value::as_str) == Some("Node");
        let nodes: BTreeMap<String, Labels> = objects.iter().filter(is_node).filter_map(node).collect();
        if nodes.is_empty() {
            bail!("there is no object of the kind Node in it: save the nodes by `kubectl get nodes -o yaml`");
        }
        let present: Result<Vec<_>, _> = objects.iter().map(document::policy).collect();
        Ok(Self {
            nodes,
            policies: present?.into_iter().flatten().collect(),
        })
    }

    /// What would govern each node if these policies were applied.
    pub(crate) fn with(&self, applied: &[RebootPolicy]) -> Governed {
        let stays = |present: &&RebootPolicy| applied.iter().all(|policy| policy.name != present.name);
        let all = self.policies.iter().filter(stays).chain(applied).cloned();
        let policies = Policies::new(all);
        let mut governed = Governed::default();
        for policy in policies.iter() {
            governed.by_policy.insert(Arc::clone(&policy.name), Vec::new());
        }
        for (node, labels) in &self.nodes {
            match policies.governing(labels) {
                Governing::Policy(policy) => {
                    governed
                        .by_policy
                        .entry(Arc::clone(&policy.name))
                        .or_default()
                        .push(node.clone());
                }
                Governing::Conflict(first, second) => {
                    let names = (Arc::clone(&first.name), Arc::clone(&second.name));
                    governed.in_conflict.push((node.clone(), names.0, names.1));
                }
                Governing::None | Governing::BuiltIn => governed.without.push(node.clone()),
            }
        }
        for policy in policies.iter() {
            let names = governed.by_policy.get(&policy.name).filter(|names| !names.is_empty());
            if let (Some(names), Ok(terms)) = (names, &policy.terms) {
                let of_policy = names.iter().filter_map(|name| self.nodes.get_key_value(name));
                let nodes = of_policy.map(|(name, labels)| (name.clone(), labels.clone())).collect();
                governed
                    .turns
                    .insert(Arc::clone(&policy.name), Turns::new(terms, &nodes));
            }
        }
        governed
    }
}

fn node(object: &Value) -> Option<(String, Labels)> {
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    let owned = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Some((name, pairs.filter_map(owned).collect()))
}

#[cfg(test)]
mod tests {
    use bellwether_check::Failure;
    use serde_json::json;

    use super::*;

    fn nodes() -> Answer {
        let node = |name: &str, pool: &str| json!({ "kind": "Node", "metadata": { "name": name, "labels": { "pool": pool } } });
        Answer {
            objects: vec![node("n1", "a"), node("n2", "b"), node("n3", "c")],
            failure: None,
        }
    }

    fn policy(name: &str, pool: &str, priority: i32) -> Value {
        json!({
            "apiVersion": "bellwether.dev/v1alpha1", "kind": "RebootPolicy", "metadata": { "name": name },
            "spec": { "priority": priority, "nodeSelector": { "matchLabels": { "pool": pool } } },
        })
    }

    fn read(object: &Value) -> RebootPolicy {
        document::policy(object).unwrap().unwrap()
    }

    #[test]
    fn policies_of_a_file_take_the_place_of_those_of_the_same_name() {
        let present = Answer {
            objects: vec![policy("one", "a", 0), policy("two", "b", 0)],
            failure: None,
        };
        let cluster = Cluster::read(nodes(), present).unwrap();
        let names = |nodes: &[&str]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let governed = cluster.with(&[]);
        assert_eq!(governed.by_policy["one"], names(&["n1"]));
        assert_eq!(governed.turns["one"].nodes, names(&["n1"]));
        assert_eq!(governed.without, names(&["n3"]));
        let governed = cluster.with(&[read(&policy("one", "c", 0)), read(&policy("three", "b", 0))]);
        assert_eq!(governed.by_policy["one"], names(&["n3"]));
        assert_eq!(governed.in_conflict, [("n2".to_owned(), "three".into(), "two".into())]);
        assert_eq!(governed.without, names(&["n1"]));
        assert_eq!(governed.by_policy["two"], names(&[]));
        assert!(
            !governed.turns.contains_key("two"),
            "of a policy without nodes there is no order"
        );
    }

    #[test]
    fn a_cluster_without_the_definition_has_no_policies_and_any_other_failure_is_one() {
        let failed = |words: &str| Answer {
            objects: vec![],
            failure: Some(Failure::unread(words)),
        };
        let undefined = "error: the server doesn't have a resource type \"rebootpolicies\"";
        let cluster = Cluster::read(nodes(), failed(undefined)).unwrap();
        assert_eq!(cluster.with(&[]).without.len(), 3);
        let error = |nodes, policies| Cluster::read(nodes, policies).unwrap_err().to_string();
        assert!(error(nodes(), failed("EOF")).starts_with("the policies of the cluster"));
        assert!(error(failed("EOF"), nodes()).starts_with("the nodes cannot be listed: EOF"));
    }
}
