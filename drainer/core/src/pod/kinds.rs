//! The kinds of controllers that keep a pod on each node, and so would put an evicted pod back at once.

use std::str::FromStr;

use super::controller::Controller;

/// The kinds that are known besides `DaemonSet` of Kubernetes itself, as `GROUP/KIND`: OpenKruise's Advanced DaemonSet,
/// and the owner of the pods of Datadog's ExtendedDaemonSet.
const KNOWN: [(&str, &str); 3] = [
    ("apps", "DaemonSet"),
    ("apps.kruise.io", "DaemonSet"),
    ("datadoghq.com", "ExtendedDaemonSetReplicaSet"),
];

/// Groups of Kubernetes itself. Only `DaemonSet` among their kinds keeps a pod on each node.
const OWN_GROUPS: [&str; 2] = ["apps", "batch"];

/// A kind of controllers, of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerKind {
    group: String,
    kind: String,
}

/// Why a text names no kind whose pods could stay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerKindError {
    /// The text does not have the form.
    #[error(
        "`{0}` is not GROUP/KIND; write the API group without a version, and the kind, such as apps.kruise.io/DaemonSet"
    )]
    Form(String),
    /// The pods of this kind are what a drain is for.
    #[error("the pods of `{0}` do not run on each node by design: they have to leave before a reboot")]
    NotPerNode(String),
}

impl FromStr for OwnerKind {
    type Err = OwnerKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || OwnerKindError::Form(text.to_owned());
        let (group, kind) = text.split_once('/').ok_or_else(form)?;
        let is_group = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '-';
        let is_named = !group.is_empty() && group.chars().all(is_group);
        let is_kind =
            kind.starts_with(|c: char| c.is_ascii_uppercase()) && kind.chars().all(|c| c.is_ascii_alphanumeric());
        if !is_named || !is_kind {
            return Err(form());
        }
        if OWN_GROUPS.contains(&group) && !KNOWN.contains(&(group, kind)) {
            return Err(OwnerKindError::NotPerNode(text.to_owned()));
        }
        Ok(Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
        })
    }
}

/// All kinds whose pods stay on the node during its reboot.
#[derive(Debug, Clone, Default)]
pub struct DaemonSetKinds(Vec<OwnerKind>);

impl DaemonSetKinds {
    /// The kinds that are known, and these.
    #[must_use]
    pub fn with(more: Vec<OwnerKind>) -> Self {
        Self(more)
    }

    /// True if the controller is of one of these kinds.
    #[must_use]
    pub fn contains(&self, controller: &Controller) -> bool {
        // The core group has no name and no such kind.
        let group = controller.group();
        let kind = controller.kind.as_str();
        KNOWN.contains(&(group, kind)) || self.0.iter().any(|more| (&*more.group, &*more.kind) == (group, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_group_without_a_version_and_a_kind() {
        assert!("edge.example.com/NodeSet".parse::<OwnerKind>().is_ok());
        assert!("apps/DaemonSet".parse::<OwnerKind>().is_ok(), "known already");
        for wrong in [
            "",
            "DaemonSet",
            "/DaemonSet",
            "apps.kruise.io/",
            "apps.kruise.io/v1alpha1/DaemonSet",
            "apps.kruise.io/daemonsets",
            "apps.kruise.io/DaemonSet ",
            "Apps.kruise.io/DaemonSet",
        ] {
            let error = wrong.parse::<OwnerKind>().unwrap_err();
            assert_eq!(error, OwnerKindError::Form(wrong.to_owned()));
        }
    }

    #[test]
    fn a_kind_of_kubernetes_whose_pods_have_to_leave_is_refused() {
        for wrong in ["apps/ReplicaSet", "apps/StatefulSet", "batch/Job"] {
            let error = wrong.parse::<OwnerKind>().unwrap_err();
            assert_eq!(error, OwnerKindError::NotPerNode(wrong.to_owned()));
        }
    }

    #[test]
    fn known_and_configured_kinds_count_in_any_version() {
        let kinds = DaemonSetKinds::with(vec!["edge.example.com/NodeSet".parse().unwrap()]);
        let contains = |api_version: &str, kind: &str| {
            let controller = Controller {
                kind: kind.to_owned(),
                api_version: api_version.to_owned(),
                name: "d".to_owned(),
            };
            (
                DaemonSetKinds::default().contains(&controller),
                kinds.contains(&controller),
            )
        };
        for (api_version, kind) in [
            ("apps/v1", "DaemonSet"),
            ("apps.kruise.io/v1alpha1", "DaemonSet"),
            ("apps.kruise.io/v1beta1", "DaemonSet"),
            ("datadoghq.com/v1alpha1", "ExtendedDaemonSetReplicaSet"),
        ] {
            assert_eq!(contains(api_version, kind), (true, true), "{api_version} {kind}");
        }
        assert_eq!(contains("edge.example.com/v2", "NodeSet"), (false, true));
        for (api_version, kind) in [
            ("apps/v1", "ReplicaSet"),
            ("v1", "DaemonSet"),
            ("edge.example.com/v2", "Set"),
        ] {
            assert_eq!(contains(api_version, kind), (false, false), "{api_version} {kind}");
        }
    }
}
