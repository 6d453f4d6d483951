//! The API server's answer to an eviction, as JSON.

use std::time::Duration;

use bellwether_drainer_core::Answer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// The longest wait that an answer can ask for; what the drainer makes of it is the plan's business.
const WAIT_MAX: Duration = Duration::from_secs(1 << 31);

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(status) = serde_json::from_slice::<Status>(bytes) else {
        return false;
    };
    let succeeded = status.status.as_deref() == Some("Success");
    let answer = Answer::of(&status);
    assert_eq!(answer == Answer::Accepted, succeeded, "only a success is one");
    if answer == Answer::Gone {
        assert!(matches!(status.code, Some(404 | 409)), "a pod is gone by another code");
    }
    if let Answer::Throttled(wait) = answer {
        assert!(wait >= Duration::from_secs(1) && wait <= WAIT_MAX);
    }
    true
}
