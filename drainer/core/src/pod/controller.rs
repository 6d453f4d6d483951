//! The owner that controls a pod.

use std::fmt;

use k8s_openapi::api::core::v1::Pod;

/// The owner that controls a pod; an owner that does not control manages nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its kind.
    pub kind: String,
    /// Its group and version.
    pub api_version: String,
    /// Its name, in the namespace of the pod.
    pub name: String,
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Controller {
    /// The group of its API; empty: the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

/// The owner that controls the pod, if one does.
pub(super) fn controller(pod: &Pod) -> Option<Controller> {
    let owners = pod.metadata.owner_references.as_ref()?;
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(Controller {
        kind: owner.kind.clone(),
        api_version: owner.api_version.clone(),
        name: owner.name.clone(),
    })
}
