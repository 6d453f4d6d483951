//! The pods known of one node, by UID, from a watch.
//!
//! A watch may be late; the proof at the end therefore asks the API server itself.

use std::collections::BTreeMap;

use super::kinds::DaemonSetKinds;
use super::node_pod::NodePod;
use super::view::PodView;
use crate::watched::Watched;

/// The pods known of one node.
#[derive(Debug)]
pub struct Inventory {
    node: String,
    kinds: DaemonSetKinds,
    known: BTreeMap<String, NodePod>,
    /// A list that has begun and not ended.
    listing: Option<BTreeMap<String, NodePod>>,
    is_complete: bool,
}

impl Inventory {
    /// No pod is known yet.
    #[must_use]
    pub fn new(node: String, kinds: DaemonSetKinds) -> Self {
        Self {
            node,
            kinds,
            known: BTreeMap::new(),
            listing: None,
            is_complete: false,
        }
    }

    /// True once a whole list has come in.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Pods may be missing until the next whole list (D9).
    pub fn mark_incomplete(&mut self) {
        self.is_complete = false;
    }

    /// Classifies a pod; none if it is not bound to the node.
    #[must_use]
    pub fn classify(&self, pod: &PodView) -> Option<NodePod> {
        NodePod::on_node(pod, &self.node, &self.kinds)
    }

    /// All pods known.
    #[must_use]
    pub fn pods(&self) -> Vec<NodePod> {
        self.known.values().cloned().collect()
    }

    /// Adds pods that a list outside of the watch contains; the watch will report their end.
    pub fn add(&mut self, pods: impl IntoIterator<Item = NodePod>) {
        for pod in pods {
            self.known.entry(pod.uid.clone()).or_insert(pod);
        }
    }

    /// Removes pods that are proved to be gone, by UID; the watch is only late.
    pub fn remove(&mut self, uids: impl IntoIterator<Item = String>) {
        for uid in uids {
            self.known.remove(&uid);
        }
    }

    /// Takes in one event of the watch.
    pub fn handle(&mut self, event: &Watched<PodView>) {
        match event {
            Watched::ListStarted => self.listing = Some(BTreeMap::new()),
            Watched::Listed(pod) => {
                if let Some(pod) = self.classify(pod) {
                    let listing = self.listing.get_or_insert_default();
                    listing.insert(pod.uid.clone(), pod);
                }
            }
            Watched::ListEnded => {
                self.known = self.listing.take().unwrap_or_default();
                self.is_complete = true;
            }
            Watched::Changed(pod) => match self.classify(pod) {
                Some(pod) => {
                    self.known.insert(pod.uid.clone(), pod);
                }
                None => {
                    self.known.remove(&pod.uid);
                }
            },
            Watched::Deleted(pod) => {
                self.known.remove(&pod.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_replaces_the_known_pods_only_when_it_is_whole() {
        let mut pods = Inventory::new("n1".to_owned(), DaemonSetKinds::default());
        pods.handle(&Watched::ListStarted);
        pods.handle(&Watched::Listed(pod("a", "n1")));
        assert!(pods.pods().is_empty() && !pods.is_complete());
        pods.handle(&Watched::ListEnded);
        assert_eq!(uids(&pods), ["a"]);
        pods.handle(&Watched::ListStarted);
        assert_eq!(uids(&pods), ["a"], "D9: a new list does not make the node empty");
        pods.handle(&Watched::ListEnded);
        assert!(pods.pods().is_empty() && pods.is_complete());
    }

    #[test]
    fn d24_a_pod_that_is_deleted_or_elsewhere_is_gone() {
        let mut pods = Inventory::new("n1".to_owned(), DaemonSetKinds::default());
        pods.handle(&Watched::Changed(pod("a", "n1")));
        pods.handle(&Watched::Changed(pod("b", "n1")));
        pods.handle(&Watched::Deleted(pod("a", "n1")));
        pods.handle(&Watched::Changed(pod("b", "n2")));
        assert!(pods.pods().is_empty());
    }

    fn pod(uid: &str, node: &str) -> PodView {
        let pod = json!({
            "metadata": { "uid": uid, "name": uid, "namespace": "shop" },
            "spec": { "nodeName": node, "containers": [] },
        });
        PodView::of(&serde_json::from_value(pod).unwrap()).unwrap()
    }

    fn uids(pods: &Inventory) -> Vec<String> {
        pods.pods().into_iter().map(|pod| pod.uid).collect()
    }
}
