//! Talking to the Kubernetes API server: a time limit for each request, and what
//! its errors mean to us.
//!
//! It knows no node and no pod, and never tries again by itself: who asked knows how long it may wait.

use std::future::Future;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta;
use kube::core::Status;
use kube::core::response::StatusCause;

/// How long one request may take. The API server itself tries up to 10 s to resolve conflicts
/// over a disruption budget before it answers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such object.
    #[error("not found")]
    NotFound,
    /// Somebody else has written since, or an object of that name with another UID is there.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// The right is missing, or admission refuses.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Anything else: nothing is known, asking again may help.
    #[error("{0}")]
    Unavailable(String),
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        match status_of(&error) {
            Some(status) => Self::from(status),
            None => Self::Unavailable(bellwether_chassis::chain(&error)),
        }
    }
}

impl From<&Status> for ApiError {
    fn from(status: &Status) -> Self {
        match status.code {
            404 => Self::NotFound,
            409 => Self::Conflict(status.message.clone()),
            403 => Self::Forbidden(status.message.clone()),
            code => Self::Unavailable(format!("the API server answers {code}: {}", status.message)),
        }
    }
}

/// What the API server said, if it was the one who failed the request.
pub(crate) fn status_of(error: &kube::Error) -> Option<&Status> {
    if let kube::Error::Api(status) = error {
        Some(status)
    } else {
        None
    }
}

/// The same status as plain data, without the client's types.
pub(crate) fn plain(status: &Status) -> meta::v1::Status {
    let details = status.details.as_ref().map(|details| meta::v1::StatusDetails {
        causes: Some(details.causes.iter().map(plain_cause).collect()),
        kind: Some(details.kind.clone()),
        name: Some(details.name.clone()),
        retry_after_seconds: i32::try_from(details.retry_after_seconds).ok(),
        ..meta::v1::StatusDetails::default()
    });
    meta::v1::Status {
        code: Some(i32::from(status.code)),
        details,
        message: Some(status.message.clone()),
        reason: Some(status.reason.clone()),
        status: status.is_success().then(|| "Success".to_owned()),
        ..meta::v1::Status::default()
    }
}

fn plain_cause(cause: &StatusCause) -> meta::v1::StatusCause {
    meta::v1::StatusCause {
        field: Some(cause.field.clone()),
        message: Some(cause.message.clone()),
        reason: Some(cause.reason.clone()),
    }
}

/// Does one request within the time limit.
pub(crate) async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ApiError::Unavailable(format!(
            "no answer from the API server within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}
