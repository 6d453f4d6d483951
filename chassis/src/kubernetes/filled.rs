//! Secrets and ConfigMaps that the manifests bring empty and services fill.
//!
//! The Role of a service names these objects, so none is made here: one that is absent is a fault of the installation.
//! Keys of others stay as they are.

use std::collections::BTreeMap;

use bellwether_proto::readiness::ReadinessCode;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

/// Why a request about an object failed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is no such object. The manifests bring all of them.
    #[error("{object} is missing: apply the manifests")]
    Missing {
        /// Kind, namespace and name.
        object: String,
    },
    /// The service has no right to do that.
    #[error("missing in Kubernetes: {right}: apply the Roles of the manifests and their bindings")]
    Forbidden {
        /// Verb, kind, namespace and name.
        right: String,
        /// The API server's words: a policy or a webhook may have refused too.
        source: Box<kube::Error>,
    },
    /// Another writer was first.
    #[error("{object} has changed meanwhile")]
    Conflict {
        /// Kind, namespace and name.
        object: String,
    },
    /// No answer, or another refusal.
    #[error("the request to the API server about {object} has failed")]
    Unavailable {
        /// Kind, namespace and name.
        object: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

impl ObjectError {
    /// The error of a request with this verb for this object.
    #[must_use]
    pub fn of(error: kube::Error, verb: &str, object: &str) -> Self {
        let object = object.to_owned();
        let code = if let kube::Error::Api(status) = &error {
            status.code
        } else {
            0
        };
        match code {
            403 => Self::Forbidden {
                right: format!("{verb} {object}"),
                source: Box::new(error),
            },
            404 => Self::Missing { object },
            409 => Self::Conflict { object },
            _ => Self::Unavailable {
                object,
                source: Box::new(error),
            },
        }
    }

    /// The code in `/readyz`; `missing` is that of an object that is not there.
    #[must_use]
    pub const fn code(&self, missing: ReadinessCode) -> ReadinessCode {
        match self {
            Self::Missing { .. } => missing,
            Self::Forbidden { .. } => ReadinessCode::RightsMissing,
            Self::Conflict { .. } | Self::Unavailable { .. } => ReadinessCode::KubernetesUnreachable,
        }
    }
}

/// A Secret that several replicas fill, each under the condition that it is as that replica has read it: of two that
/// write at once the API server refuses one, which then reads what the other has written.
#[derive(Clone)]
pub struct FilledSecret {
    api: Api<Secret>,
    name: String,
    shown: String,
}

/// What a Secret holds, as of a version.
#[derive(Debug)]
pub struct Content {
    /// Each key with its decoded value.
    pub data: BTreeMap<String, Vec<u8>>,
    version: Option<String>,
}

impl FilledSecret {
    /// The Secret of this name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            shown: format!("secrets {namespace}/{name}"),
        }
    }

    /// Kind, namespace and name, for messages.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What it holds now.
    ///
    /// # Errors
    /// There is no such Secret, no right to read it, or no answer.
    pub async fn read(&self) -> Result<Content, ObjectError> {
        let secret = self.api.get(&self.name).await;
        let secret = secret.map_err(|error| ObjectError::of(error, "get", &self.shown))?;
        let data = secret.data.unwrap_or_default();
        Ok(Content {
            data: data.into_iter().map(|(key, value)| (key, value.0)).collect(),
            version: secret.metadata.resource_version,
        })
    }

    /// Writes these keys, if the Secret still is as it was `read`. A key without a value is removed.
    ///
    /// # Errors
    /// [`ObjectError::Conflict`] if it has changed since; otherwise as for [`Self::read`].
    pub async fn write(&self, read: &Content, data: &BTreeMap<&str, Option<Vec<u8>>>) -> Result<(), ObjectError> {
        let data: BTreeMap<_, _> = data
            .iter()
            .map(|(key, value)| (key, value.clone().map(ByteString)))
            .collect();
        let patch = json!({ "metadata": { "resourceVersion": read.version }, "data": data });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let written = self.api.patch(&self.name, &params, &patch).await;
        written
            .map(drop)
            .map_err(|error| ObjectError::of(error, "patch", &self.shown))
    }
}

/// A text that a service publishes under one key of a ConfigMap.
#[derive(Clone)]
pub struct FilledMap {
    api: Api<ConfigMap>,
    name: &'static str,
    key: &'static str,
    shown: String,
}

impl FilledMap {
    /// The text under this key of this ConfigMap.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &'static str, key: &'static str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            key,
            shown: format!("configmaps {namespace}/{name}"),
        }
    }

    /// The text that is there. None: none yet.
    ///
    /// # Errors
    /// There is no such ConfigMap, no right to read it, or no answer.
    pub async fn read(&self) -> Result<Option<String>, ObjectError> {
        let map = self.api.get(self.name).await;
        let map = map.map_err(|error| ObjectError::of(error, "get", &self.shown))?;
        let text = map.data.unwrap_or_default().remove(self.key);
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Writes the text unless it is there already. True: the ConfigMap held another one.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub async fn ensure(&self, text: &str) -> Result<bool, ObjectError> {
        if self.read().await?.is_some_and(|found| found == text) {
            return Ok(false);
        }
        let data = BTreeMap::from([(self.key, text)]);
        let (params, patch) = (PatchParams::default(), Patch::Merge(json!({ "data": data })));
        let written = self.api.patch(self.name, &params, &patch).await;
        written.map_err(|error| ObjectError::of(error, "patch", &self.shown))?;
        tracing::info!(object = self.shown, "ConfigMap filled");
        Ok(true)
    }
}
