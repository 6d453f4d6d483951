//! The time limit of each request to the Kubernetes API server.

use std::future::Future;
use std::time::Duration;

use super::status::fault;
use bellwether_drainer_core::ApiFault;

/// How long one request may take. The API server itself tries up to 10 s to resolve conflicts
/// over a disruption budget before it answers.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Sends one request, within the time limit.
pub(super) async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiFault> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(|error| fault(&error)),
        Err(_) => Err(ApiFault::Unavailable(format!(
            "no answer from the API server within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}
