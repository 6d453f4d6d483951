//! Why a part of the gatekeeper's work fails.

use std::io;
use std::path::PathBuf;

use bellwether_proto::readiness::ReadinessCode;

/// A request to the API server that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such object. The manifests bring all of them.
    #[error("{object} is missing: apply the manifests")]
    Missing {
        /// Kind, namespace and name.
        object: String,
    },
    /// The gatekeeper has no right to do that.
    #[error("missing in Kubernetes: {right}: bind the gatekeeper's role to the ServiceAccount of the NATS pods")]
    Forbidden {
        /// Verb, kind, namespace and name.
        right: String,
    },
    /// Another writer was first.
    #[error("{object} has changed meanwhile")]
    Conflict {
        /// Kind, namespace and name.
        object: String,
    },
    /// No answer, or one that says nothing about the object.
    #[error("the API server cannot be asked about {object}")]
    Unavailable {
        /// Kind, namespace and name.
        object: String,
        /// Why.
        source: Box<kube::Error>,
    },
}

impl ApiError {
    /// The error of a request with this verb for this object.
    pub(crate) fn of(error: kube::Error, verb: &str, object: &str) -> Self {
        let object = object.to_owned();
        let code = if let kube::Error::Api(status) = &error {
            status.code
        } else {
            0
        };
        match code {
            403 => Self::Forbidden {
                right: format!("{verb} {object}"),
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
    pub(crate) fn code(&self, missing: ReadinessCode) -> ReadinessCode {
        match self {
            Self::Missing { .. } => missing,
            Self::Forbidden { .. } => ReadinessCode::RightsMissing,
            Self::Conflict { .. } | Self::Unavailable { .. } => ReadinessCode::KubernetesUnreachable,
        }
    }
}

/// The server's certificate could not be made or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A name or a time that no certificate can have.
    #[error("no certificate can be made: do --server-names and --certificate-lifetime say what they should?")]
    Unmakeable(#[from] rcgen::Error),
    /// A time beyond those of certificates.
    #[error("a certificate cannot end at that time: choose a shorter --certificate-lifetime")]
    Time,
    /// A file.
    #[error("{path} cannot be written: is --server-dir a folder that the gatekeeper may write?", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
