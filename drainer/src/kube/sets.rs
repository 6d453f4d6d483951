//! All StatefulSets of the cluster, by one watch for the whole service.

use std::sync::Arc;

use bellwether_chassis::Chassis;
use bellwether_drainer_core::stateful_set::{StatefulSetView, StatefulSets};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Client;

use super::shared::{self, Collection, Shared};

/// The StatefulSets as they are now; or why they are not known.
pub(crate) type KnownSets = Shared<Arc<StatefulSets>>;

/// Watches until the service stops.
pub(crate) fn watched(chassis: &Chassis, client: Client) -> KnownSets {
    shared::watched(chassis, client, "stateful sets")
}

// Each drain keeps the sets by which it decided last; a change copies them as long as one does.
impl Collection for Arc<StatefulSets> {
    type Object = StatefulSet;
    type View = StatefulSetView;
    const NAME: &'static str = "StatefulSets";

    fn view(object: &StatefulSet) -> Option<StatefulSetView> {
        StatefulSetView::of(object)
    }

    fn insert(&mut self, view: StatefulSetView) -> bool {
        Self::make_mut(self).insert(view);
        true
    }

    fn remove(&mut self, view: &StatefulSetView) -> bool {
        Self::make_mut(self).remove(view);
        true
    }
}
