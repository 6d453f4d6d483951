//! Rivals: DaemonSets that reboot the same nodes, as the watch of DaemonSets reports them.
//!
//! It reads and never writes. The core recognises a rival, and decides what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_scheduler_core::{Rival, WorkloadMeta};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher;

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
    let meta = WorkloadMeta {
        namespace: meta.namespace.as_deref().unwrap_or_default(),
        name: meta.name.as_deref().unwrap_or_default(),
        labels: meta.labels.as_ref(),
        annotations: meta.annotations.as_ref(),
    };
    Rival::recognise(&meta, agents_namespace)
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
            annotations: Some([("weave.works/kured-node-lock".to_owned(), lock.to_owned())].into()),
            ..daemon_set("kube-system", "kured", &[])
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
