//! The views of StatefulSets: whether all members of a set are there, so that one may go (D35).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::apps::v1::StatefulSet;

use crate::pod::NodePod;

/// The API group of the StatefulSets that the drainer watches.
const GROUP: &str = "apps";

/// Group, namespace and name of a StatefulSet. Other groups have sets of this kind too, such as OpenKruise's: those are
/// other objects, also under the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetKey {
    group: String,
    namespace: String,
    name: String,
}

impl SetKey {
    /// The StatefulSet that controls the pod, if one does.
    pub(crate) fn of(pod: &NodePod) -> Option<Self> {
        let name = pod.owner.strip_prefix("StatefulSet/")?;
        Some(Self {
            group: pod.facts.controller_group.clone(),
            namespace: pod.namespace.clone(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for SetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StatefulSet")?;
        if self.group != GROUP {
            write!(f, ".{}", self.group)?;
        }
        write!(f, " {}/{}", self.namespace, self.name)
    }
}

/// A StatefulSet, at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulSetView {
    key: SetKey,
    /// `metadata.resourceVersion`: another one with each change of the numbers.
    pub(crate) version: String,
    wanted: i32,
    there: i32,
}

impl StatefulSetView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(set: &StatefulSet) -> Option<Self> {
        let metadata = &set.metadata;
        let spec = set.spec.as_ref();
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref()?.type_.as_deref());
        let status = set.status.as_ref();
        let there = status.map_or(0, |status| {
            let ready = status.ready_replicas.unwrap_or(0);
            // A member that ends is Ready for its grace, but is not counted among those of a revision any more. With OnDelete
            // there may be members of a third revision, which is not counted either.
            if strategy == Some("OnDelete") {
                return ready;
            }
            let updated = status.updated_replicas.unwrap_or(0);
            let current = if status.current_revision == status.update_revision {
                0
            } else {
                status.current_replicas.unwrap_or(0)
            };
            ready.min(updated.saturating_add(current))
        });
        Some(Self {
            key: SetKey {
                group: GROUP.to_owned(),
                namespace: metadata.namespace.clone()?,
                name: metadata.name.clone()?,
            },
            version: metadata.resource_version.clone().unwrap_or_default(),
            wanted: spec.and_then(|spec| spec.replicas).unwrap_or(1),
            there,
        })
    }

    /// Its identity.
    #[must_use]
    pub fn key(&self) -> &SetKey {
        &self.key
    }

    /// All members are Ready, and none of them ends.
    pub(crate) fn is_whole(&self) -> bool {
        self.there >= self.wanted
    }

    /// The numbers, for operators.
    pub(crate) fn numbers(&self) -> String {
        format!("{} of {} members are Ready and stay", self.there, self.wanted)
    }
}

/// All StatefulSets of the cluster.
#[derive(Debug, Clone, Default)]
pub struct StatefulSets {
    by_key: BTreeMap<SetKey, StatefulSetView>,
}

impl StatefulSets {
    /// Adds a set, in place of the one with its identity.
    pub fn insert(&mut self, set: StatefulSetView) {
        self.by_key.insert(set.key.clone(), set);
    }

    /// Removes a set.
    pub fn remove(&mut self, set: &StatefulSetView) {
        self.by_key.remove(&set.key);
    }

    pub(crate) fn get(&self, key: &SetKey) -> Option<&StatefulSetView> {
        self.by_key.get(key)
    }
}

/// The turn of a StatefulSet that the eviction of a member takes: the set, in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetTurn {
    /// The set.
    pub key: SetKey,
    /// The version whose numbers let the member go.
    pub version: String,
}

/// The turns that the drains of one process have taken: one for each version of a StatefulSet, so that two nodes do not each
/// evict a member by the same numbers.
#[derive(Debug, Default)]
pub struct SetTurns {
    taken: BTreeMap<SetKey, (String, String)>,
}

/// How many sets are remembered: more than have members under eviction at once.
const TAKEN_MAX: usize = 10_000;

impl SetTurns {
    /// Takes the turn for the drain of this node.
    ///
    /// # Errors
    /// The drain of another node has taken the turn. States which, for operators.
    pub fn take(&mut self, turn: &SetTurn, node: &str) -> Result<(), String> {
        if let Some((version, holder)) = self.taken.get(&turn.key)
            && *version == turn.version
            && holder != node
        {
            return Err(format!("a member of {} is evicted from node {holder} now", turn.key));
        }
        if self.taken.len() >= TAKEN_MAX {
            self.taken.clear();
        }
        self.taken
            .insert(turn.key.clone(), (turn.version.clone(), node.to_owned()));
        Ok(())
    }

    /// Returns a turn without effect: the member was not evicted.
    pub fn give_back(&mut self, turn: &SetTurn, node: &str) {
        let is_held = self.taken.get(&turn.key) == Some(&(turn.version.clone(), node.to_owned()));
        if is_held {
            self.taken.remove(&turn.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn d35_a_set_is_whole_while_all_its_members_are_ready_and_none_ends() {
        let whole = |status: Value| set(3, "RollingUpdate", status).is_whole();
        assert!(whole(status(3, 3, 3, "a", "a")));
        assert!(!whole(status(2, 3, 3, "a", "a")), "one is not Ready");
        assert!(!whole(status(3, 2, 2, "a", "a")), "one ends, and is Ready meanwhile");
        // A rollout has members of two revisions.
        assert!(whole(status(3, 2, 1, "a", "b")));
        assert!(!whole(status(3, 1, 1, "a", "b")));
        assert!(!whole(json!({})));
        // With OnDelete a third revision may be there, which no number counts.
        assert!(set(3, "OnDelete", status(3, 1, 1, "a", "b")).is_whole());
        assert!(!set(3, "OnDelete", status(2, 1, 1, "a", "b")).is_whole());
        assert!(set(0, "RollingUpdate", json!({})).is_whole(), "none is wanted");
    }

    #[test]
    fn d35_one_version_of_a_set_gives_one_node_a_turn() {
        let turn = |version: &str| SetTurn {
            key: set(3, "OnDelete", json!({})).key,
            version: version.to_owned(),
        };
        let mut turns = SetTurns::default();
        assert_eq!(turns.take(&turn("1"), "n1"), Ok(()));
        assert_eq!(turns.take(&turn("1"), "n1"), Ok(()), "its own");
        let other = turns.take(&turn("1"), "n2");
        assert_eq!(
            other,
            Err("a member of StatefulSet shop/db is evicted from node n1 now".to_owned())
        );
        turns.give_back(&turn("1"), "n2");
        assert!(turns.take(&turn("1"), "n2").is_err(), "no turn of its own to give back");
        assert_eq!(turns.take(&turn("2"), "n2"), Ok(()));
        turns.give_back(&turn("1"), "n1");
        assert!(turns.take(&turn("2"), "n1").is_err(), "an old turn");
        turns.give_back(&turn("2"), "n2");
        assert_eq!(turns.take(&turn("2"), "n1"), Ok(()));
    }

    fn status(ready: i32, updated: i32, current: i32, current_revision: &str, update_revision: &str) -> Value {
        json!({
            "replicas": 3, "readyReplicas": ready, "updatedReplicas": updated, "currentReplicas": current,
            "currentRevision": current_revision, "updateRevision": update_revision,
        })
    }

    fn set(replicas: i32, strategy: &str, status: Value) -> StatefulSetView {
        let mut set = json!({
            "metadata": { "name": "db", "namespace": "shop", "resourceVersion": "1" },
            "spec": {
                "replicas": replicas, "serviceName": "db", "selector": {}, "template": {},
                "updateStrategy": { "type": strategy },
            },
        });
        if status.get("replicas").is_some() {
            set["status"] = status;
        }
        StatefulSetView::of(&serde_json::from_value(set).unwrap()).unwrap()
    }
}
