//! The owners of all Namespaces of the cluster, by one watch for the whole service.

use std::sync::Arc;

use bellwether_chassis::Chassis;
use bellwether_drainer_core::namespace::{NamespaceOwners, NamespaceView};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;

use super::shared::{self, Collection, Shared};

/// The owners as they are now; or why they are not known.
pub(crate) type KnownOwners = Shared<Arc<NamespaceOwners>>;

/// Watches until the service stops.
pub(crate) fn watched(chassis: &Chassis, client: Client) -> KnownOwners {
    shared::watched(chassis, client, "namespaces")
}

// Each drain keeps the owners that it named last; a change copies them as long as one does, and few changes of a namespace are one of
// its owner.
impl Collection for Arc<NamespaceOwners> {
    type Object = Namespace;
    type View = NamespaceView;
    const NAME: &'static str = "Namespaces";
    const STAY: bool = true;

    fn view(object: &Namespace) -> Option<NamespaceView> {
        NamespaceView::of(object)
    }

    fn insert(&mut self, view: NamespaceView) -> bool {
        let is_news = self.owner(&view.name) != view.owner.as_deref();
        if is_news {
            Self::make_mut(self).insert(view);
        }
        is_news
    }

    fn remove(&mut self, view: &NamespaceView) -> bool {
        let is_news = self.owner(&view.name).is_some();
        if is_news {
            Self::make_mut(self).remove(&view.name);
        }
        is_news
    }
}
