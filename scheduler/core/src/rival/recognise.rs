//! Recognising rivals by the metadata of workloads, and reading kured's lock.

use std::collections::BTreeMap;
use std::fmt;

use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Rival, RivalKind};

/// How the annotation of kured's lock ends, on its DaemonSet: `weave.works/kured-node-lock` unless its
/// operators rename it (`--lock-annotation`).
const KURED_LOCK: &str = "kured-node-lock";

/// Labels of every object of a Bellwether installation; one of them is enough.
const OF_BELLWETHER: [&str; 2] = ["app.kubernetes.io/part-of", "app.kubernetes.io/name"];
/// The value of [`OF_BELLWETHER`].
const BELLWETHER: &str = "bellwether";
/// The label that names the service.
const COMPONENT: &str = "app.kubernetes.io/component";
const REBOOTER: &str = "rebooter";
/// All services of Bellwether, by [`COMPONENT`].
const SERVICES: [&str; 4] = ["scheduler", "drainer", "sentinel", REBOOTER];

/// How many holders of a lock a message names.
const HOLDERS_MAX: usize = 3;

/// Stands for a holder of kured's lock that has no node's name.
const UNKNOWN_HOLDER: &str = "an unknown holder";

/// The metadata of a workload, as far as rivals are recognised by it.
#[derive(Debug, Clone, Copy)]
pub struct WorkloadMeta<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// Its annotations.
    pub annotations: Option<&'a BTreeMap<String, String>>,
}

/// A node that holds kured's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// The node; `None` if the lock names something that is no node's name.
    pub node: Option<NodeName>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// How long it may hold the lock; `None` without a limit.
    pub ttl: Option<SignedDuration>,
}

/// kured's lock is not the JSON that kured writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("kured's lock cannot be read")]
pub struct UnreadableLock;

impl Rival {
    /// The rival that a DaemonSet is, if it is one. Ours are those of the namespace `agents_namespace`.
    #[must_use]
    pub fn recognise(daemon_set: &WorkloadMeta<'_>, agents_namespace: &str) -> Option<Self> {
        let kind = if daemon_set.is_kured() {
            RivalKind::Kured {
                lock_holder: daemon_set.kured_locks().next().and_then(|(_, lock)| named(lock)),
            }
        } else if daemon_set.bellwether_service() == Some(REBOOTER) && daemon_set.namespace != agents_namespace {
            RivalKind::Bellwether
        } else {
            return None;
        };
        Some(Self {
            namespace: daemon_set.namespace.to_owned(),
            name: daemon_set.name.to_owned(),
            kind,
        })
    }
}

impl<'a> WorkloadMeta<'a> {
    /// Whether a DaemonSet with this metadata is kured: its manifests, its Helm chart under any release
    /// name, and whatever carries its lock.
    #[must_use]
    pub fn is_kured(&self) -> bool {
        self.name == "kured"
            || self.name.ends_with("-kured")
            || ["app.kubernetes.io/name", "name"]
                .iter()
                .any(|key| self.label(key) == Some("kured"))
            || self.kured_locks().next().is_some()
    }

    /// The annotations that hold kured's lock: key and value. There is one, unless it was renamed.
    pub fn kured_locks(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let annotations = self.annotations.into_iter().flatten();
        annotations
            .filter(|(key, _)| key.ends_with(KURED_LOCK))
            .map(|(key, lock)| (key.as_str(), lock.as_str()))
    }

    /// The service of Bellwether that a workload with this metadata is, of whichever installation.
    #[must_use]
    pub fn bellwether_service(&self) -> Option<&'a str> {
        let component = self.label(COMPONENT)?;
        let is_part = OF_BELLWETHER.iter().any(|key| self.label(key) == Some(BELLWETHER));
        (is_part && SERVICES.contains(&component)).then_some(component)
    }

    fn label(&self, key: &str) -> Option<&'a str> {
        self.labels?.get(key).map(String::as_str)
    }
}

impl LockHolder {
    /// The holders of kured's lock. The lock is one object, or with `--concurrency` a list of them; a free
    /// lock has no holder.
    ///
    /// # Errors
    ///
    /// If the lock is not JSON.
    pub fn read(lock: &str) -> Result<Vec<Self>, UnreadableLock> {
        let lock: Value = serde_json::from_str(lock).map_err(|_| UnreadableLock)?;
        let locks = lock.get("locks").and_then(Value::as_array);
        let locks = locks.map_or_else(|| std::slice::from_ref(&lock), Vec::as_slice);
        Ok(locks.iter().map(Self::from_json).collect())
    }

    /// Whether its time is over, so that any other node may take the lock.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        match (self.since, self.ttl) {
            (Some(since), Some(ttl)) => now.duration_since(since) > ttl,
            (None, _) | (_, None) => false,
        }
    }

    fn from_json(lock: &Value) -> Self {
        let text = |key: &str| lock.get(key).and_then(Value::as_str).unwrap_or_default();
        let ttl = lock.get("TTL").and_then(Value::as_i64).filter(|nanos| *nanos > 0);
        Self {
            // A text of another program, shown to operators: a name of a node, and nothing else.
            node: text("nodeID").parse().ok(),
            since: text("created").parse().ok(),
            ttl: ttl.map(SignedDuration::from_nanos),
        }
    }
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{node}"),
            None => f.write_str(UNKNOWN_HOLDER),
        }
    }
}

/// The holders of kured's lock in a few words; `None` if it is free.
fn named(lock: &str) -> Option<String> {
    let Ok(holders) = LockHolder::read(lock) else {
        return Some(UNKNOWN_HOLDER.to_owned());
    };
    let first: Vec<String> = holders.iter().take(HOLDERS_MAX).map(LockHolder::to_string).collect();
    let first = first.join(", ");
    match holders.len().saturating_sub(HOLDERS_MAX) {
        0 => (!first.is_empty()).then_some(first),
        more => Some(format!("{first} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A DaemonSet's metadata that owns its maps.
    #[derive(Debug)]
    struct DaemonSet {
        namespace: &'static str,
        name: &'static str,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
    }

    impl DaemonSet {
        fn rival(&self) -> Option<Rival> {
            let meta = WorkloadMeta {
                namespace: self.namespace,
                name: self.name,
                labels: Some(&self.labels),
                annotations: Some(&self.annotations),
            };
            Rival::recognise(&meta, "bellwether-agents")
        }

        fn kind(&self) -> Option<RivalKind> {
            self.rival().map(|rival| rival.kind)
        }
    }

    fn daemon_set(namespace: &'static str, name: &'static str, labels: &[(&str, &str)]) -> DaemonSet {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        DaemonSet {
            namespace,
            name,
            labels: labels.collect(),
            annotations: BTreeMap::new(),
        }
    }

    fn locked(name: &'static str, key: &str, lock: &str) -> DaemonSet {
        DaemonSet {
            annotations: [(key.to_owned(), lock.to_owned())].into(),
            ..daemon_set("kube-system", name, &[])
        }
    }

    const LOCK: &str = "weave.works/kured-node-lock";

    #[test]
    fn kured_is_recognised_however_it_was_installed() {
        let kured = Some(RivalKind::Kured { lock_holder: None });
        for found in [
            daemon_set("kube-system", "kured", &[]),
            daemon_set("reboots", "prod-kured", &[]),
            daemon_set("reboots", "reboot-daemon", &[("app.kubernetes.io/name", "kured")]),
            daemon_set("reboots", "reboot-daemon", &[("name", "kured")]),
        ] {
            assert_eq!(found.kind(), kured, "{:?}", found.name);
        }
        let held = r#"{"nodeID":"node-3"}"#;
        for key in [LOCK, "example.com/kured-node-lock"] {
            let renamed = locked("reboot-daemon", key, held);
            assert!(matches!(renamed.kind(), Some(RivalKind::Kured { .. })), "{key}");
        }
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
            daemon_set("elsewhere", "rebooter", &[(COMPONENT, REBOOTER)]),
        ] {
            assert_eq!(other.kind(), None, "{:?}", other.name);
        }
    }

    #[test]
    fn a_rebooter_of_another_namespace_is_another_bellwether() {
        for key in OF_BELLWETHER {
            let labels = [(key, BELLWETHER), (COMPONENT, REBOOTER)];
            assert_eq!(daemon_set("bellwether-agents", "rebooter", &labels).kind(), None);
            assert_eq!(
                daemon_set("elsewhere", "rebooter", &labels).kind(),
                Some(RivalKind::Bellwether)
            );
            let sentinel = [(key, BELLWETHER), (COMPONENT, "sentinel")];
            assert_eq!(daemon_set("elsewhere", "sentinel", &sentinel).kind(), None);
        }
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
            let found = locked("kured", LOCK, lock);
            assert_eq!(found.kind(), Some(RivalKind::Kured { lock_holder }), "{lock}");
        }
    }

    #[test]
    fn a_lock_with_a_limit_expires_and_one_without_does_not() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let holder = |ttl: i64| {
            let lock = format!(r#"{{"nodeID":"node-1","created":"2026-11-22T11:50:00Z","TTL":{ttl}}}"#);
            LockHolder::read(&lock).unwrap().remove(0)
        };
        assert!(!holder(0).is_expired(now));
        assert!(holder(60_000_000_000).is_expired(now));
        // kured takes a lock only after its last instant.
        assert!(!holder(600_000_000_000).is_expired(now));
        assert!(holder(599_999_999_999).is_expired(now));
        assert!(!holder(900_000_000_000).is_expired(now));
    }

    proptest! {
        #[test]
        fn no_lock_of_any_form_shows_more_than_names_of_nodes(
            text in any::<String>(),
            node in any::<String>(),
            ttl in any::<i64>(),
            now in any::<i64>(),
        ) {
            let lock = serde_json::json!({ "nodeID": node, "created": text, "TTL": ttl }).to_string();
            for lock in [text, lock] {
                for holder in LockHolder::read(&lock).unwrap_or_default() {
                    let shown = holder.to_string();
                    prop_assert!(shown == UNKNOWN_HOLDER || shown.parse::<NodeName>().is_ok(), "{shown:?}");
                    let now = Timestamp::from_second(now % 200_000_000_000).unwrap_or(Timestamp::MAX);
                    prop_assert!(!holder.is_expired(now) || holder.is_expired(Timestamp::MAX));
                }
            }
        }
    }
}
