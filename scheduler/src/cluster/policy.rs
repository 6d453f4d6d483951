//! RebootPolicy objects, as the watch of policies reports them.
//!
//! Reads and never judges: a spec of any form is handed to the core, which says of each policy what is wrong with it.
//! A cluster without the definition of the resource has no policies; the watch begins once there is one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bellwether_policy::{GROUP, KIND, PLURAL, RebootPolicy, VERSION};
use bellwether_scheduler_core::PolicyView;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use kube::api::ListParams;
use kube::core::{ClusterResourceScope, ObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use serde::Deserialize;

use crate::cluster::health::WatchResult;
use crate::cluster::list_watch;

/// How often a cluster without the definition is asked for one: operators who install it do not wait for seconds.
const DEFINITION_INTERVAL: Duration = Duration::from_secs(15);

/// A RebootPolicy object.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct PolicyObject {
    pub(crate) metadata: ObjectMeta,
    #[serde(default)]
    pub(crate) spec: serde_json::Value,
    /// As this or another replica wrote it last.
    #[serde(default)]
    pub(crate) status: serde_json::Value,
}

impl Resource for PolicyObject {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The policies in the cluster, by their watch.
#[derive(Debug, Default)]
pub(super) struct PolicyObjects {
    found: BTreeMap<String, PolicyView>,
    /// Policies of the list that is being received.
    listed: BTreeMap<String, PolicyView>,
}

impl PolicyObjects {
    /// Takes an event of the watch. Returns all policies if that changed them.
    pub(super) fn apply(&mut self, event: watcher::Event<PolicyObject>) -> Option<Vec<PolicyView>> {
        let before = self.found.clone();
        match event {
            watcher::Event::Init => self.listed.clear(),
            watcher::Event::InitApply(object) => drop(self.listed.insert(name(&object), view(object))),
            watcher::Event::InitDone => self.found = std::mem::take(&mut self.listed),
            watcher::Event::Apply(object) => drop(self.found.insert(name(&object), view(object))),
            watcher::Event::Delete(object) => drop(self.found.remove(&name(&object))),
        }
        (self.found != before).then(|| self.found.values().cloned().collect())
    }
}

/// The keys of the annotations that policies without mistakes name as needs.
pub(super) fn need_annotations(views: &[PolicyView]) -> BTreeSet<String> {
    let policies = views
        .iter()
        .filter_map(|view| RebootPolicy::read(view.name.as_str().into(), &view.spec).terms.ok());
    let annotations = policies.flat_map(|terms| terms.need_annotations);
    annotations.map(|annotation| annotation.key).collect()
}

fn name(object: &PolicyObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

fn view(object: PolicyObject) -> PolicyView {
    PolicyView {
        name: name(&object),
        generation: object.metadata.generation.unwrap_or_default(),
        spec: object.spec,
    }
}

/// The watch; and before that an empty list, if the cluster has no definition of the resource yet.
pub(super) fn watch(client: &Client) -> BoxStream<'static, WatchResult<PolicyObject>> {
    stream::once(begin(client.clone())).flatten().boxed()
}

async fn begin(client: Client) -> BoxStream<'static, WatchResult<PolicyObject>> {
    if is_defined(&client).await {
        return list_watch::watch(&client);
    }
    tracing::warn!(
        "The cluster has no definition of RebootPolicy: the scheduler's own flags decide, and no window does. \
         kubectl apply the manifests of this version to add the definition"
    );
    let none = stream::iter([Ok(watcher::Event::Init), Ok(watcher::Event::InitDone)]);
    none.chain(stream::once(once_defined(client)).flatten()).boxed()
}

async fn once_defined(client: Client) -> BoxStream<'static, WatchResult<PolicyObject>> {
    loop {
        tokio::time::sleep(DEFINITION_INTERVAL).await;
        if is_defined(&client).await {
            tracing::info!("The cluster has a definition of RebootPolicy now");
            return list_watch::watch(&client);
        }
    }
}

/// False only if the API server answers that there is no such resource: any other error is the watch's.
async fn is_defined(client: &Client) -> bool {
    let one = Api::<PolicyObject>::all(client.clone())
        .list(&ListParams::default().limit(1))
        .await;
    !matches!(one, Err(kube::Error::Api(status)) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};

    use super::*;

    fn object(name: &str, spec: &serde_json::Value) -> PolicyObject {
        let object = json!({ "metadata": { "name": name, "generation": 3 }, "spec": spec });
        serde_json::from_value(object).unwrap()
    }

    fn names(views: Option<Vec<PolicyView>>) -> Option<Vec<String>> {
        views.map(|views| views.into_iter().map(|view| view.name).collect())
    }

    #[test]
    fn all_policies_are_handed_on_whenever_one_changes() {
        let mut policies = PolicyObjects::default();
        assert_eq!(policies.apply(Init), None);
        assert_eq!(policies.apply(InitApply(object("b", &json!({})))), None);
        assert_eq!(policies.apply(InitApply(object("a", &json!({})))), None);
        assert_eq!(
            names(policies.apply(InitDone)),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(policies.apply(Apply(object("b", &json!({})))), None, "nothing changed");
        let changed = policies.apply(Apply(object("b", &json!({ "priority": 1 })))).unwrap();
        assert_eq!(
            (changed[1].generation, &changed[1].spec),
            (3, &json!({ "priority": 1 }))
        );
        assert_eq!(
            names(policies.apply(Delete(object("b", &json!({}))))),
            Some(vec!["a".to_owned()])
        );
        // The next list lacks the other one.
        policies.apply(Init);
        assert_eq!(names(policies.apply(InitDone)), Some(vec![]));
    }

    #[test]
    fn a_spec_of_any_form_is_handed_on() {
        let mut policies = PolicyObjects::default();
        for spec in [json!(null), json!("always"), json!({ "ofANewerVersion": [1] })] {
            let views = policies.apply(Apply(object("p", &spec))).unwrap();
            assert_eq!(views[0].spec, spec);
        }
        let bare: PolicyObject = serde_json::from_value(json!({ "metadata": { "name": "p" } })).unwrap();
        assert_eq!(policies.apply(Apply(bare)).unwrap()[0].spec, json!(null));
    }
}
