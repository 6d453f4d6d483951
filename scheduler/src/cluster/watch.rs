//! The watches of Node objects, of policies, and of DaemonSets, among which rivals may be.
//!
//! Turns their events into changes for the core, and decides nothing. While a watch fails
//! ([`ClusterWatch::failure`]), the core may not decide either.

use std::collections::BTreeSet;

use bellwether_proto::NodeName;
use bellwether_scheduler_core::Input;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Client;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher;

use crate::cluster::health::{WatchFailure, WatchHealth, WatchResult};
use crate::cluster::list_watch;
use crate::cluster::node;
use crate::cluster::object::Node;
use crate::cluster::policy::{self, PolicyObject, PolicyObjects};
use crate::cluster::rival::Rivals;
use crate::cluster::version::{StoreSetBack, StoreVersion};

/// A DaemonSet without spec and status: its metadata is enough to recognise a rival.
pub(super) type DaemonSetMeta = PartialObjectMeta<DaemonSet>;

/// An event of one of the watches, or its failure.
#[derive(Debug)]
pub(crate) enum WatchEvent {
    Node(Box<WatchResult<Node>>),
    DaemonSet(Box<WatchResult<DaemonSetMeta>>),
    Policy(Box<WatchResult<PolicyObject>>),
    SetBack(StoreSetBack),
}

/// All watches, and the objects that they have shown.
pub(crate) struct ClusterWatch {
    nodes: BoxStream<'static, WatchResult<Node>>,
    nodes_health: WatchHealth,
    /// Nodes that the core knows.
    known: BTreeSet<NodeName>,
    /// Nodes of the list that is being received.
    listed: BTreeSet<NodeName>,
    daemon_sets: BoxStream<'static, WatchResult<DaemonSetMeta>>,
    daemon_sets_health: WatchHealth,
    rivals: Rivals,
    policies: BoxStream<'static, WatchResult<PolicyObject>>,
    policies_health: WatchHealth,
    policy_objects: PolicyObjects,
    /// For new lists of the nodes; none in tests.
    client: Option<Client>,
    /// The annotations that policies name as needs, of which the views of nodes state the values.
    named: BTreeSet<String>,
    version: StoreVersion,
    set_back: BoxStream<'static, StoreSetBack>,
    set_back_failure: Option<WatchFailure>,
}

impl ClusterWatch {
    /// Watches for ever, backing off while the API server does not answer. A rebooter outside
    /// `agents_namespace` is a rival.
    pub(crate) fn new(client: &Client, agents_namespace: String) -> Self {
        let version = StoreVersion::default();
        let set_back = stream::once(version.clone().set_back(client.clone()));
        Self {
            client: Some(client.clone()),
            version,
            set_back: set_back.boxed(),
            ..Self::of(
                list_watch::watch(client),
                list_watch::watch(client),
                policy::watch(client),
                agents_namespace,
            )
        }
    }

    fn of(
        nodes: BoxStream<'static, WatchResult<Node>>,
        daemon_sets: BoxStream<'static, WatchResult<DaemonSetMeta>>,
        policies: BoxStream<'static, WatchResult<PolicyObject>>,
        agents_namespace: String,
    ) -> Self {
        Self {
            nodes,
            nodes_health: WatchHealth::new("nodes"),
            known: BTreeSet::new(),
            listed: BTreeSet::new(),
            daemon_sets,
            daemon_sets_health: WatchHealth::new("DaemonSets"),
            rivals: Rivals::new(agents_namespace),
            policies,
            policies_health: WatchHealth::new("RebootPolicies"),
            policy_objects: PolicyObjects::default(),
            client: None,
            named: BTreeSet::new(),
            version: StoreVersion::default(),
            set_back: stream::pending().boxed(),
            set_back_failure: None,
        }
    }

    /// The next event. Dropping this future loses none. Nodes are listed after policies, which name the annotations that
    /// their views state.
    pub(crate) async fn next(&mut self) -> WatchEvent {
        tokio::select! {
            Some(result) = self.nodes.next(), if self.policies_health.is_complete() => WatchEvent::Node(Box::new(result)),
            Some(result) = self.daemon_sets.next() => WatchEvent::DaemonSet(Box::new(result)),
            Some(result) = self.policies.next() => WatchEvent::Policy(Box::new(result)),
            Some(set_back) = self.set_back.next() => WatchEvent::SetBack(set_back),
            // Watches never end by themselves.
            else => std::future::pending().await,
        }
    }

    /// True once every node, DaemonSet and policy has been listed.
    pub(crate) fn is_complete(&self) -> bool {
        let all = [&self.nodes_health, &self.daemon_sets_health, &self.policies_health];
        all.into_iter().all(WatchHealth::is_complete)
    }

    /// The first watch that fails, if one does. To recover, make a new `ClusterWatch`.
    pub(crate) fn failure(&self) -> Option<WatchFailure> {
        self.nodes_health
            .failure()
            .or_else(|| self.daemon_sets_health.failure())
            .or_else(|| self.policies_health.failure())
            .or(self.set_back_failure)
    }

    /// Turns an event into the inputs for the core, in this order.
    pub(crate) fn apply(&mut self, event: WatchEvent) -> Vec<Input> {
        match event {
            WatchEvent::Node(result) => match self.nodes_health.note(*result) {
                Some(event) => self.apply_node(event),
                None => Vec::new(),
            },
            WatchEvent::DaemonSet(result) => match self.daemon_sets_health.note(*result) {
                Some(event) => self.apply_daemon_set(event).into_iter().collect(),
                None => Vec::new(),
            },
            WatchEvent::Policy(result) => match self.policies_health.note(*result) {
                Some(event) => self.apply_policy(event).into_iter().collect(),
                None => Vec::new(),
            },
            WatchEvent::SetBack(set_back) => {
                self.set_back_failure = Some(WatchFailure::set_back(set_back));
                Vec::new()
            }
        }
    }

    fn apply_node(&mut self, event: watcher::Event<Node>) -> Vec<Input> {
        match event {
            watcher::Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            watcher::Event::InitApply(object) => {
                let input = self.changed(&object);
                if let Some(Input::Node(view)) = &input {
                    self.listed.insert(view.name.clone());
                }
                input.into_iter().collect()
            }
            watcher::Event::InitDone => {
                let gone: Vec<NodeName> = self.known.difference(&self.listed).cloned().collect();
                gone.into_iter().filter_map(|name| self.gone(name)).collect()
            }
            watcher::Event::Apply(object) => self.changed(&object).into_iter().collect(),
            watcher::Event::Delete(object) => {
                let name = node::name(&object);
                name.and_then(|name| self.gone(name)).into_iter().collect()
            }
        }
    }

    /// A node that Bellwether leaves alone from now on is gone for the core.
    fn changed(&mut self, object: &Node) -> Option<Input> {
        self.version.note(object.metadata.resource_version.as_deref());
        let Some(view) = node::view(object, &self.named) else {
            return self.gone(node::name(object)?);
        };
        self.known.insert(view.name.clone());
        Some(Input::Node(view))
    }

    fn gone(&mut self, name: NodeName) -> Option<Input> {
        self.known.remove(&name).then_some(Input::NodeGone(name))
    }

    fn apply_daemon_set(&mut self, event: watcher::Event<DaemonSetMeta>) -> Option<Input> {
        if let watcher::Event::InitApply(object) | watcher::Event::Apply(object) = &event {
            self.version.note(object.metadata.resource_version.as_deref());
        }
        let rivals = self.rivals.apply(metadata(event))?;
        for rival in &rivals {
            tracing::warn!(%rival, "A rival reboots nodes too");
        }
        if rivals.is_empty() {
            tracing::info!("No rival is left");
        }
        Some(Input::Rivals(rivals))
    }

    fn apply_policy(&mut self, event: watcher::Event<PolicyObject>) -> Option<Input> {
        if let watcher::Event::InitApply(object) | watcher::Event::Apply(object) = &event {
            self.version.note(object.metadata.resource_version.as_deref());
        }
        let views = self.policy_objects.apply(event)?;
        let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
        tracing::info!(policies = names.join(", "), "Policies of the cluster");
        self.name_annotations(policy::need_annotations(&views));
        Some(Input::Policies(views))
    }

    /// Lists the nodes again for an annotation that no policy has named before: their views do not state its value, and until
    /// they do, the core knows that it does not know.
    fn name_annotations(&mut self, named: BTreeSet<String>) {
        let is_new = !named.is_subset(&self.named);
        self.named = named;
        let is_listed = !self.known.is_empty() || self.nodes_health.is_complete();
        if let Some(client) = self.client.as_ref().filter(|_| is_new && is_listed) {
            self.nodes = list_watch::watch(client);
        }
    }
}

fn metadata<K>(event: watcher::Event<PartialObjectMeta<K>>) -> watcher::Event<ObjectMeta> {
    match event {
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(object.metadata),
        watcher::Event::InitDone => watcher::Event::InitDone,
        watcher::Event::Apply(object) => watcher::Event::Apply(object.metadata),
        watcher::Event::Delete(object) => watcher::Event::Delete(object.metadata),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::mark;
    use futures_util::FutureExt as _;
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::*;

    fn cluster() -> ClusterWatch {
        let (nodes, daemon_sets, policies) = (stream::pending(), stream::pending(), stream::pending());
        ClusterWatch::of(nodes.boxed(), daemon_sets.boxed(), policies.boxed(), "agents".into())
    }

    fn node(name: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        node.metadata.uid = Some(format!("uid-of-{name}"));
        node
    }

    /// Names of the nodes that the core is given as new or changed, and as gone.
    fn apply(cluster: &mut ClusterWatch, event: watcher::Event<Node>) -> (Vec<String>, Vec<String>) {
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        for change in cluster.apply(WatchEvent::Node(Box::new(Ok(event)))) {
            if let Input::Node(view) = change {
                changed.push(view.name.to_string());
            } else if let Input::NodeGone(name) = change {
                gone.push(name.to_string());
            } else {
                panic!("{change:?}");
            }
        }
        (changed, gone)
    }

    #[test]
    fn a_node_that_the_next_list_lacks_is_gone() {
        let mut cluster = cluster();
        for name in ["a", "b"] {
            let (changed, gone) = apply(&mut cluster, InitApply(node(name)));
            assert_eq!((changed, gone), (vec![name.to_owned()], vec![]));
        }
        assert_eq!(apply(&mut cluster, InitDone), (vec![], vec![]));
        assert_eq!(apply(&mut cluster, Init), (vec![], vec![]));
        apply(&mut cluster, InitApply(node("b")));
        assert_eq!(apply(&mut cluster, InitDone), (vec![], vec!["a".to_owned()]));
        assert_eq!(apply(&mut cluster, Delete(node("b"))), (vec![], vec!["b".to_owned()]));
        assert_eq!(
            apply(&mut cluster, Delete(node("b"))),
            (vec![], vec![]),
            "once is enough"
        );
    }

    /// A virtual node, cordoned for an attempt or not.
    fn virtual_node(name: &str, cordoned: bool) -> Node {
        let mut node = node(name);
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        node.metadata.labels = Some([pair("type", "virtual-kubelet")].into());
        let mark = pair(mark::CORDONED_FOR, "01890a5d-ac96-774b-bcce-b302099a8057");
        node.metadata.annotations = cordoned.then(|| [mark].into());
        node
    }

    #[test]
    fn a_node_that_is_to_be_left_alone_stays_in_view_until_our_cordon_is_gone() {
        let (known, gone) = (|| (vec!["a".to_owned()], vec![]), || (vec![], vec!["a".to_owned()]));
        let mut cluster = cluster();
        assert_eq!(apply(&mut cluster, Apply(virtual_node("a", false))), (vec![], vec![]));
        assert_eq!(apply(&mut cluster, Apply(node("a"))), known());
        assert_eq!(apply(&mut cluster, Apply(virtual_node("a", true))), known());
        assert_eq!(apply(&mut cluster, Apply(virtual_node("a", false))), gone());
        assert_eq!(
            apply(&mut cluster, Apply(node("a"))),
            known(),
            "the label is taken away"
        );
        // The next list shows the same.
        apply(&mut cluster, Init);
        assert_eq!(apply(&mut cluster, InitApply(virtual_node("a", true))), known());
        assert_eq!(apply(&mut cluster, InitDone), (vec![], vec![]));
        apply(&mut cluster, Init);
        assert_eq!(apply(&mut cluster, InitApply(virtual_node("a", false))), gone());
        assert_eq!(apply(&mut cluster, InitDone), (vec![], vec![]));
        assert_eq!(apply(&mut cluster, Delete(virtual_node("a", false))), (vec![], vec![]));
    }

    fn policies(cluster: &mut ClusterWatch, event: watcher::Event<PolicyObject>) {
        cluster.apply(WatchEvent::Policy(Box::new(Ok(event))));
    }

    fn policy(key: &str) -> PolicyObject {
        let spec = serde_json::json!({ "needs": { "annotations": [{ "key": key }] } });
        let object = serde_json::json!({ "metadata": { "name": "p" }, "spec": spec });
        serde_json::from_value(object).unwrap()
    }

    /// The annotations that the view of a node with `a=x` and `b=y` states.
    fn annotations(cluster: &mut ClusterWatch) -> Vec<(String, Option<String>)> {
        let mut node = node("n");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        node.metadata.annotations = Some([pair("a", &"x".repeat(1000)), pair("b", "y")].into());
        let mut inputs = cluster.apply(WatchEvent::Node(Box::new(Ok(Apply(node)))));
        let Input::Node(view) = inputs.remove(0) else {
            panic!("no view");
        };
        view.annotations.into_iter().collect()
    }

    #[test]
    fn the_view_of_a_node_states_the_annotations_that_policies_name_and_no_others() {
        let mut cluster = cluster();
        assert_eq!(annotations(&mut cluster), []);
        policies(&mut cluster, Apply(policy("a")));
        let shown = annotations(&mut cluster);
        let value = shown[0].1.as_ref().map(String::len);
        assert_eq!(
            (shown.len(), &*shown[0].0, value),
            (1, "a", Some(257)),
            "cut, and equal to no value of a policy"
        );
        policies(&mut cluster, Apply(policy("c")));
        assert_eq!(annotations(&mut cluster), [("c".to_owned(), None)]);
        policies(&mut cluster, Apply(policy("")));
        assert_eq!(annotations(&mut cluster), [], "a policy with a mistake names none");
    }

    #[tokio::test]
    async fn nodes_are_listed_after_policies_and_again_for_an_annotation_that_is_new() {
        let (daemon_sets, lists) = (stream::pending().boxed(), stream::iter([Ok(InitDone)]));
        let nodes = stream::iter([Ok(Init)]).chain(stream::pending());
        let mut cluster = ClusterWatch::of(nodes.boxed(), daemon_sets, lists.boxed(), "agents".into());
        let event = cluster.next().await;
        assert!(matches!(event, WatchEvent::Policy(_)), "{event:?}");
        cluster.apply(event);
        let event = cluster.next().await;
        assert!(matches!(event, WatchEvent::Node(_)), "{event:?}");
        cluster.apply(event);
        cluster.client = Some(Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap());
        policies(&mut cluster, Apply(policy("a")));
        assert!(
            cluster.nodes.next().now_or_never().is_none(),
            "the list under way names nothing new"
        );
        apply(&mut cluster, InitDone);
        cluster.nodes = stream::iter([Ok(InitDone)]).boxed();
        policies(&mut cluster, Apply(policy("a")));
        let next = cluster.nodes.next().now_or_never();
        assert!(
            matches!(next, Some(Some(Ok(InitDone)))),
            "the same list continues: {next:?}"
        );
        cluster.nodes = stream::iter([Ok(InitDone)]).boxed();
        policies(&mut cluster, Apply(policy("b")));
        let next = cluster.nodes.next().now_or_never();
        assert!(matches!(next, Some(Some(Ok(Init)))), "another list has begun: {next:?}");
    }

    #[test]
    fn a_store_that_was_set_back_fails_all_watches() {
        let mut cluster = cluster();
        let set_back = StoreSetBack { from: 1200, to: 1000 };
        assert_eq!(cluster.apply(WatchEvent::SetBack(set_back)), vec![]);
        assert!(
            cluster
                .failure()
                .unwrap()
                .to_string()
                .contains("from version 1200 to 1000")
        );
    }

    #[test]
    fn the_cluster_is_complete_only_when_all_lists_are() {
        let mut cluster = cluster();
        apply(&mut cluster, InitDone);
        assert!(!cluster.is_complete());
        cluster.apply(WatchEvent::DaemonSet(Box::new(Ok(InitDone))));
        assert!(!cluster.is_complete());
        cluster.apply(WatchEvent::Policy(Box::new(Ok(InitDone))));
        assert!(cluster.is_complete() && cluster.failure().is_none());
        let failed = Err(watcher::Error::NoResourceVersion);
        assert_eq!(cluster.apply(WatchEvent::DaemonSet(Box::new(failed))), vec![]);
        assert!(cluster.failure().unwrap().to_string().contains("DaemonSets"));
    }
}
