//! Rivals: DaemonSets that reboot the same nodes, recognised by their metadata.
//!
//! It reads and never writes. The core decides what follows from a rival.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::NodeName;
use bellwether_scheduler_core::{Rival, RivalKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;
use serde_json::Value;

/// Annotation with kured's lock, on its DaemonSet.
const KURED_LOCK: &str = "weave.works/kured-node-lock";

/// The label of every object of a Bellwether installation, and the one of its rebooter.
const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "bellwether");
const COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "rebooter");

/// How many holders of a lock are named; the rest is a number.
const HOLDERS_MAX: usize = 3;

/// The rivals in the cluster, by the watch of DaemonSets.
#[derive(Debug)]
pub(crate) struct Rivals {
    /// The namespace whose rebooter is ours.
    agents_namespace: String,
    found: BTreeMap<Place, Rival>,
    /// Rivals of the list that is being received.
    listed: BTreeMap<Place, Rival>,
}

/// Namespace and name.
type Place = (String, String);

impl Rivals {
    pub(crate) fn new(agents_namespace: String) -> Self {
        Self {
            agents_namespace,
            found: BTreeMap::new(),
            listed: BTreeMap::new(),
        }
    }

    /// Takes an event of the watch. Returns all rivals if that changed them.
    pub(crate) fn apply(&mut self, event: watcher::Event<ObjectMeta>) -> Option<BTreeSet<Rival>> {
        let before = self.found.clone();
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(meta) => {
                let rival = recognise(&meta, &self.agents_namespace);
                self.listed.extend(rival.map(|rival| (place(&meta), rival)));
            }
            watcher::Event::InitDone => self.found = std::mem::take(&mut self.listed),
            watcher::Event::Apply(meta) => match recognise(&meta, &self.agents_namespace) {
                Some(rival) => drop(self.found.insert(place(&meta), rival)),
                None => drop(self.found.remove(&place(&meta))),
            },
            watcher::Event::Delete(meta) => drop(self.found.remove(&place(&meta))),
        }
        (self.found != before).then(|| self.found.values().cloned().collect())
    }
}

fn place(meta: &ObjectMeta) -> Place {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    (text(&meta.namespace), text(&meta.name))
}

/// The rival that a DaemonSet is, if it is one.
fn recognise(meta: &ObjectMeta, agents_namespace: &str) -> Option<Rival> {
    let (namespace, name) = place(meta);
    let label = |key: &str| meta.labels.as_ref()?.get(key).map(String::as_str);
    let lock = meta.annotations.as_ref().and_then(|all| all.get(KURED_LOCK));
    // Its manifests, its Helm chart under any release name, and whatever carries its lock.
    let is_kured = name == "kured"
        || name.ends_with("-kured")
        || label("app.kubernetes.io/name") == Some("kured")
        || label("name") == Some("kured")
        || lock.is_some();
    let is_rebooter = [PART_OF, COMPONENT]
        .iter()
        .all(|(key, value)| label(key) == Some(value));
    let kind = if is_kured {
        RivalKind::Kured {
            lock_holder: lock.and_then(|lock| lock_holder(lock)),
        }
    } else if is_rebooter && namespace != agents_namespace {
        RivalKind::Bellwether
    } else {
        return None;
    };
    Some(Rival { namespace, name, kind })
}

/// The holders of kured's lock, for operators. The lock is one object, or with `--concurrency` a list of them.
fn lock_holder(lock: &str) -> Option<String> {
    let Ok(lock) = serde_json::from_str::<Value>(lock) else {
        return Some("an unknown holder".to_owned());
    };
    let locks = lock.get("locks").and_then(Value::as_array);
    let locks = locks.map_or_else(|| std::slice::from_ref(&lock), Vec::as_slice);
    // A text from outside that ends up in terminals: the name of a node, and nothing else.
    let holders: Vec<String> = locks
        .iter()
        .map(|lock| lock.get("nodeID").and_then(Value::as_str).unwrap_or_default())
        .map(|holder| {
            holder
                .parse::<NodeName>()
                .map_or_else(|_| "an unknown holder".to_owned(), |node| node.to_string())
        })
        .collect();
    let named = holders.iter().take(HOLDERS_MAX).cloned().collect::<Vec<_>>().join(", ");
    match holders.len().saturating_sub(HOLDERS_MAX) {
        0 => (!named.is_empty()).then_some(named),
        more => Some(format!("{named} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon_set(namespace: &str, name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(name.to_owned()),
            labels: Some(labels.collect()),
            ..ObjectMeta::default()
        }
    }

    fn locked(lock: &str) -> ObjectMeta {
        ObjectMeta {
            annotations: Some([(KURED_LOCK.to_owned(), lock.to_owned())].into()),
            ..daemon_set("kube-system", "kured", &[])
        }
    }

    fn kind(meta: &ObjectMeta) -> Option<RivalKind> {
        recognise(meta, "bellwether-agents").map(|rival| rival.kind)
    }

    #[test]
    fn kured_is_recognised_however_it_was_installed() {
        let kured = Some(RivalKind::Kured { lock_holder: None });
        for found in [
            daemon_set("kube-system", "kured", &[]),
            daemon_set("reboots", "prod-kured", &[]),
            daemon_set("reboots", "reboot-daemon", &[("app.kubernetes.io/name", "kured")]),
            daemon_set("reboots", "reboot-daemon", &[("name", "kured")]),
        ] {
            assert_eq!(kind(&found), kured, "{:?}", found.name);
        }
        let renamed = ObjectMeta {
            name: Some("reboot-daemon".to_owned()),
            ..locked(r#"{"nodeID":"node-3"}"#)
        };
        assert!(matches!(kind(&renamed), Some(RivalKind::Kured { .. })));
    }

    #[test]
    fn other_daemon_sets_are_no_rivals() {
        for other in [
            daemon_set("kube-system", "kube-proxy", &[]),
            daemon_set(
                "monitoring",
                "kured-exporter",
                &[("app.kubernetes.io/name", "exporter")],
            ),
            daemon_set("elsewhere", "rebooter", &[COMPONENT]),
        ] {
            assert_eq!(kind(&other), None, "{:?}", other.name);
        }
    }

    #[test]
    fn a_rebooter_of_another_namespace_is_another_bellwether() {
        let labels = [PART_OF, COMPONENT];
        assert_eq!(kind(&daemon_set("bellwether-agents", "rebooter", &labels)), None);
        assert_eq!(
            kind(&daemon_set("elsewhere", "rebooter", &labels)),
            Some(RivalKind::Bellwether)
        );
        let sentinel = [PART_OF, ("app.kubernetes.io/component", "sentinel")];
        assert_eq!(kind(&daemon_set("elsewhere", "sentinel", &sentinel)), None);
    }

    #[test]
    fn the_holder_of_kureds_lock_is_named_in_both_its_forms() {
        let four = r#"{"maxOwners":5,"locks":[{"nodeID":"a"},{"nodeID":"b"},{"nodeID":"c"},{"nodeID":"d"}]}"#;
        for (lock, holder) in [
            (
                r#"{"nodeID":"node-3","metadata":{"unschedulable":false},"TTL":0}"#,
                Some("node-3"),
            ),
            (r#"{"nodeID":"manual"}"#, Some("manual")),
            (
                r#"{"maxOwners":2,"locks":[{"nodeID":"node-1"},{"nodeID":"node-2"}]}"#,
                Some("node-1, node-2"),
            ),
            (r#"{"maxOwners":2,"locks":[]}"#, None),
            (four, Some("a, b, c and 1 more")),
            ("not JSON", Some("an unknown holder")),
            (r#"{"nodeID":"\u001b[31m"}"#, Some("an unknown holder")),
        ] {
            let lock_holder = holder.map(str::to_owned);
            assert_eq!(kind(&locked(lock)), Some(RivalKind::Kured { lock_holder }), "{lock}");
        }
    }

    #[test]
    fn rivals_come_change_and_go_with_the_watch() {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let mut rivals = Rivals::new("bellwether-agents".to_owned());
        let kured = || daemon_set("kube-system", "kured", &[]);
        assert_eq!(rivals.apply(Init), None);
        assert_eq!(
            rivals.apply(InitApply(kured())),
            None,
            "a list counts when it is complete"
        );
        let found = rivals.apply(InitDone).unwrap();
        assert!(
            found.first().unwrap().to_string().contains("kube-system/kured"),
            "{found:?}"
        );
        assert_eq!(rivals.apply(Apply(kured())), None, "nothing has changed");
        let found = rivals.apply(Apply(locked(r#"{"nodeID":"node-3"}"#))).unwrap();
        assert!(
            found.first().unwrap().to_string().contains("held by node-3"),
            "{found:?}"
        );
        assert_eq!(rivals.apply(Delete(kured())), Some(BTreeSet::new()));

        rivals.apply(Apply(kured())).unwrap();
        assert_eq!(
            rivals.apply(Init),
            None,
            "it stays known while the next list is received"
        );
        assert_eq!(
            rivals.apply(InitDone),
            Some(BTreeSet::new()),
            "it went while no watch ran"
        );

        rivals.apply(Apply(daemon_set("x", "y", &[("name", "kured")]))).unwrap();
        let changed = rivals.apply(Apply(daemon_set("x", "y", &[])));
        assert_eq!(changed, Some(BTreeSet::new()), "it is no rival any more");
    }
}
