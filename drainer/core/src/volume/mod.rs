//! The views of VolumeAttachments and PersistentVolumes: which volumes are attached to a node, and whose they are.
//!
//! A volume may leave a node only after its pod has ended and the kubelet has unmounted it; Kubernetes then deletes the
//! VolumeAttachment. So the volume is attached for as long as the object exists, whatever its status says.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{NodeSelector, PersistentVolume};
use k8s_openapi::api::storage::v1::VolumeAttachment;

use crate::watched::Looked;

/// The label that names a host, in the node affinity of a volume.
const HOST: &str = "kubernetes.io/hostname";

/// Namespace and name of a PersistentVolumeClaim.
pub type ClaimKey = (String, String);

/// A VolumeAttachment: one volume, attached to one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentView {
    /// `metadata.name`.
    pub name: String,
    /// `spec.nodeName`.
    pub node: String,
    /// `spec.attacher`: the driver that attaches and detaches.
    pub driver: String,
    /// `spec.source.persistentVolumeName`; none for a volume that a pod states itself.
    pub volume: Option<String>,
}

impl AttachmentView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(attachment: &VolumeAttachment) -> Option<Self> {
        let spec = &attachment.spec;
        Some(Self {
            name: attachment.metadata.name.clone()?,
            node: spec.node_name.clone(),
            driver: spec.attacher.clone(),
            volume: spec.source.persistent_volume_name.clone(),
        })
    }
}

/// All VolumeAttachments of the cluster, by node and name.
#[derive(Debug, Default)]
pub struct Attachments {
    by_node: BTreeMap<String, BTreeMap<String, AttachmentView>>,
}

impl Attachments {
    /// Adds an attachment, in place of the one with its name.
    pub fn insert(&mut self, attachment: AttachmentView) {
        let of_node = self.by_node.entry(attachment.node.clone()).or_default();
        of_node.insert(attachment.name.clone(), attachment);
    }

    /// Removes an attachment. Its node never changes, so its last state names that.
    pub fn remove(&mut self, attachment: &AttachmentView) {
        if let Some(of_node) = self.by_node.get_mut(&attachment.node) {
            of_node.remove(&attachment.name);
            if of_node.is_empty() {
                self.by_node.remove(&attachment.node);
            }
        }
    }

    fn of_node(&self, node: &str) -> impl Iterator<Item = &AttachmentView> {
        self.by_node.get(node).into_iter().flat_map(BTreeMap::values)
    }
}

/// A PersistentVolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// `metadata.name`.
    pub name: String,
    /// `spec.claimRef`: the claim that owns the volume.
    pub claim: Option<ClaimKey>,
    /// `spec.nodeAffinity` lets one host alone use the volume, as it is with local volumes.
    pub is_tied: bool,
}

impl VolumeView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(volume: &PersistentVolume) -> Option<Self> {
        let spec = volume.spec.as_ref();
        let claim = spec.and_then(|spec| spec.claim_ref.as_ref());
        let affinity = spec.and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
        Some(Self {
            name: volume.metadata.name.clone()?,
            claim: claim.and_then(|claim| Some((claim.namespace.clone()?, claim.name.clone()?))),
            is_tied: affinity.is_some_and(is_of_one_host),
        })
    }
}

/// Each term names the host, and all of them the same one.
fn is_of_one_host(affinity: &NodeSelector) -> bool {
    let hosts = affinity.node_selector_terms.iter().map(|term| {
        let mut requirements = term.match_expressions.iter().flatten();
        let host = requirements.find(|requirement| requirement.key == HOST && requirement.operator == "In")?;
        match host.values.as_deref()? {
            [host] => Some(host),
            _ => None,
        }
    });
    let hosts: Option<BTreeSet<&String>> = hosts.collect();
    hosts.is_some_and(|hosts| hosts.len() == 1)
}

/// All PersistentVolumes of the cluster, by name.
#[derive(Debug, Default)]
pub struct Volumes {
    by_name: BTreeMap<String, VolumeView>,
    /// The claims of volumes that one host alone may use.
    tied: BTreeMap<ClaimKey, String>,
}

impl Volumes {
    /// Adds a volume, in place of the one with its name.
    pub fn insert(&mut self, volume: VolumeView) {
        self.remove(&volume);
        if let Some(claim) = volume.claim.clone().filter(|_| volume.is_tied) {
            self.tied.insert(claim, volume.name.clone());
        }
        self.by_name.insert(volume.name.clone(), volume);
    }

    /// Removes a volume.
    pub fn remove(&mut self, volume: &VolumeView) {
        // The claim may have come since.
        let before = self.by_name.remove(&volume.name).and_then(|before| before.claim);
        if let Some(claim) = before
            && self.tied.get(&claim) == Some(&volume.name)
        {
            self.tied.remove(&claim);
        }
    }

    /// The volume of this claim can be used on one host alone.
    pub(crate) fn is_tied(&self, claim: &ClaimKey) -> bool {
        self.tied.contains_key(claim)
    }

    fn claim_of(&self, name: &str) -> Option<&ClaimKey> {
        self.by_name.get(name)?.claim.as_ref()
    }
}

/// A volume that is attached to the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The name of the PersistentVolume, or of the attachment if a pod states the volume itself.
    pub volume: String,
    /// The driver that detaches the volume.
    pub driver: String,
    /// The claim by which pods use the volume, as far as known.
    pub claim: Option<ClaimKey>,
}

/// The volumes that are attached to this node, in the order of their names. Without a look at the PersistentVolumes their
/// claims are not known.
///
/// # Errors
/// What is attached is not known.
pub fn attached(node: &str, attachments: &Looked<Attachments>, volumes: &Looked<Volumes>) -> Looked<Vec<Attached>> {
    let attachments = attachments.as_ref().map_err(Clone::clone)?;
    let attached = attachments.of_node(node).map(|attachment| Attached {
        volume: attachment.volume.clone().unwrap_or_else(|| attachment.name.clone()),
        driver: attachment.driver.clone(),
        claim: attachment
            .volume
            .as_deref()
            .and_then(|name| volumes.as_ref().ok()?.claim_of(name))
            .cloned(),
    });
    let mut attached: Vec<Attached> = attached.collect();
    attached.sort_by(|one, other| one.volume.cmp(&other.volume));
    Ok(attached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watched::Unseen;
    use serde_json::json;

    #[test]
    fn the_volumes_of_a_node_are_named_with_their_drivers_and_claims() {
        let mut attachments = Attachments::default();
        attachments.insert(attachment("b", "n1", json!({ "persistentVolumeName": "pv-b" })));
        attachments.insert(attachment("a", "n1", json!({ "persistentVolumeName": "pv-a" })));
        attachments.insert(attachment("inline", "n1", json!({ "inlineVolumeSpec": {} })));
        attachments.insert(attachment("c", "n2", json!({ "persistentVolumeName": "pv-c" })));
        let mut volumes = Volumes::default();
        volumes.insert(volume("pv-a", Some("data-db-0")));
        volumes.insert(volume("pv-b", None));
        let (attachments, volumes) = (Ok(attachments), Ok(volumes));
        let of = |volume: &str, claim: Option<&str>| Attached {
            volume: volume.to_owned(),
            driver: "disk.example.com".to_owned(),
            claim: claim.map(|name| ("shop".to_owned(), name.to_owned())),
        };
        let expected = [of("inline", None), of("pv-a", Some("data-db-0")), of("pv-b", None)];
        assert_eq!(attached("n1", &attachments, &volumes).unwrap(), expected);
        // Without the volumes the claims are not known, but what is attached is.
        let unseen = || Unseen::passing("down");
        let known = attached("n1", &attachments, &Err(unseen())).unwrap();
        assert_eq!(known, [of("inline", None), of("pv-a", None), of("pv-b", None)]);
        assert_eq!(attached("n1", &Err(unseen()), &volumes), Err(unseen()));
        let mut attachments = attachments.unwrap();
        attachments.remove(&attachment("a", "n1", json!({ "persistentVolumeName": "pv-a" })));
        attachments.remove(&attachment("c", "n2", json!({ "persistentVolumeName": "pv-c" })));
        let attachments = Ok(attachments);
        assert_eq!(
            attached("n1", &attachments, &volumes).unwrap(),
            [of("inline", None), of("pv-b", None)]
        );
        assert_eq!(attached("n2", &attachments, &volumes).unwrap(), []);
    }

    #[test]
    fn d39_a_volume_is_tied_if_its_affinity_names_one_host_in_each_term() {
        let of = |terms: serde_json::Value| {
            let affinity = json!({ "required": { "nodeSelectorTerms": terms } });
            let volume = json!({ "metadata": { "name": "pv" }, "spec": { "nodeAffinity": affinity } });
            VolumeView::of(&serde_json::from_value(volume).unwrap())
                .unwrap()
                .is_tied
        };
        let term = |key: &str, operator: &str, values: &[&str]| {
            json!({ "matchExpressions": [
                { "key": "arch", "operator": "Exists" },
                { "key": key, "operator": operator, "values": values },
            ] })
        };
        let host = |values: &[&str]| term(HOST, "In", values);
        assert!(of(json!([host(&["n1"])])));
        assert!(of(json!([host(&["n1"]), host(&["n1"])])));
        assert!(!of(json!([host(&["n1"]), host(&["n2"])])));
        assert!(!of(json!([host(&["n1", "n2"])])));
        assert!(!of(json!([host(&["n1"]), term("zone", "In", &["a"])])));
        assert!(!of(json!([term(HOST, "NotIn", &["n1"])])));
        assert!(!of(json!([])));
        assert!(!volume("pv", None).is_tied);
    }

    #[test]
    fn d39_the_claim_of_a_tied_volume_is_known_until_the_volume_changes_hands_or_goes() {
        let tied = |name: &str, claim: &str| VolumeView {
            is_tied: true,
            ..volume(name, Some(claim))
        };
        let claim = |name: &str| ("shop".to_owned(), name.to_owned());
        let mut volumes = Volumes::default();
        volumes.insert(tied("pv", "a"));
        volumes.insert(volume("other", Some("c")));
        assert!(volumes.is_tied(&claim("a")) && !volumes.is_tied(&claim("c")));
        volumes.insert(tied("pv", "b"));
        assert!(volumes.is_tied(&claim("b")) && !volumes.is_tied(&claim("a")));
        volumes.remove(&tied("pv", "b"));
        assert!(!volumes.is_tied(&claim("b")));
    }

    fn attachment(name: &str, node: &str, source: serde_json::Value) -> AttachmentView {
        let attachment = json!({
            "metadata": { "name": name },
            "spec": { "attacher": "disk.example.com", "nodeName": node, "source": source },
        });
        AttachmentView::of(&serde_json::from_value(attachment).unwrap()).unwrap()
    }

    fn volume(name: &str, claim: Option<&str>) -> VolumeView {
        let claim = claim.map(|name| json!({ "namespace": "shop", "name": name }));
        let volume = json!({ "metadata": { "name": name }, "spec": { "claimRef": claim } });
        VolumeView::of(&serde_json::from_value(volume).unwrap()).unwrap()
    }
}
