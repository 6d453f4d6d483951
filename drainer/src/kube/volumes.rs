//! All VolumeAttachments and PersistentVolumes of the cluster, by one watch of each for the whole service.

use bellwether_chassis::Chassis;
use bellwether_drainer_core::Looked;
use bellwether_drainer_core::volume::{Attached, AttachmentView, Attachments, VolumeView, Volumes, attached};
use bellwether_proto::NodeName;
use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::Client;
use tokio::sync::watch;

use super::shared::{self, Collection, Shared};

/// What is attached to each node, as far as known.
#[derive(Debug, Clone)]
pub(crate) struct KnownVolumes {
    attachments: Shared<Attachments>,
    volumes: Shared<Volumes>,
}

/// Watches until the service stops.
pub(crate) fn watched(chassis: &Chassis, client: &Client) -> KnownVolumes {
    KnownVolumes {
        attachments: shared::watched(chassis, client.clone(), "attachments"),
        volumes: shared::watched(chassis, client.clone(), "volumes"),
    }
}

impl KnownVolumes {
    /// Waits for the next change, of any node.
    pub(crate) async fn changed(&mut self) {
        let is_watched = tokio::select! {
            changed = self.attachments.changed() => changed.is_ok(),
            changed = self.volumes.changed() => changed.is_ok(),
        };
        if !is_watched {
            // The service stops.
            std::future::pending::<()>().await;
        }
    }

    /// All volumes as they are now.
    pub(crate) fn all(&self) -> watch::Ref<'_, Looked<Volumes>> {
        self.volumes.borrow()
    }

    /// What is attached to this node now.
    pub(crate) fn of_node(&mut self, node: &NodeName) -> Looked<Vec<Attached>> {
        attached(
            node.as_str(),
            &self.attachments.borrow_and_update(),
            &self.volumes.borrow_and_update(),
        )
    }
}

impl Collection for Attachments {
    type Object = VolumeAttachment;
    type View = AttachmentView;
    const NAME: &'static str = "VolumeAttachments";

    fn view(object: &VolumeAttachment) -> Option<AttachmentView> {
        AttachmentView::of(object)
    }

    fn insert(&mut self, view: AttachmentView) -> bool {
        self.insert(view);
        true
    }

    fn remove(&mut self, view: &AttachmentView) -> bool {
        self.remove(view);
        true
    }
}

impl Collection for Volumes {
    type Object = PersistentVolume;
    type View = VolumeView;
    const NAME: &'static str = "PersistentVolumes";

    fn view(object: &PersistentVolume) -> Option<VolumeView> {
        VolumeView::of(object)
    }

    fn insert(&mut self, view: VolumeView) -> bool {
        self.insert(view);
        true
    }

    fn remove(&mut self, view: &VolumeView) -> bool {
        self.remove(view);
        true
    }
}
