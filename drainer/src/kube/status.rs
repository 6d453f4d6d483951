//! The API server's statuses as plain data, without the client's types.

use bellwether_drainer_core::ApiFault;
use k8s_openapi::apimachinery::pkg::apis::meta;
use kube::core::Status;
use kube::core::response::StatusCause;

/// The status with which the API server itself failed a request; none if the request failed on the way.
pub(super) fn status_of(error: &kube::Error) -> Option<&Status> {
    if let kube::Error::Api(status) = error {
        Some(status)
    } else {
        None
    }
}

/// The fault that the core decides on.
pub(super) fn fault(error: &kube::Error) -> ApiFault {
    match status_of(error) {
        Some(status) => fault_of(status),
        None => ApiFault::Unavailable(bellwether_chassis::chain(error)),
    }
}

/// The same, of a status.
pub(super) fn fault_of(status: &Status) -> ApiFault {
    match status.code {
        404 => ApiFault::NotFound,
        409 => ApiFault::Conflict(status.message.clone()),
        403 => ApiFault::Forbidden(status.message.clone()),
        code => ApiFault::Unavailable(format!("the API server answers {code}: {}", status.message)),
    }
}

/// The same status in the types of k8s-openapi.
pub(super) fn plain(status: &Status) -> meta::v1::Status {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_drainer_core::Answer;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn no_field_on_which_an_answer_rests_is_lost_on_the_way_into_plain_data() {
        let blocked = json!({
            "status": "Failure", "code": 429, "reason": "TooManyRequests", "message": "would violate",
            "details": { "causes": [{ "reason": "DisruptionBudget", "message": "web needs 2 and has 2" }] },
        });
        let numbers = "web needs 2 and has 2".to_owned();
        assert_eq!(answer(blocked), Answer::BudgetBlocked(numbers));
        let busy =
            json!({ "status": "Failure", "code": 429, "message": "busy", "details": { "retryAfterSeconds": 7 } });
        assert_eq!(answer(busy), Answer::Throttled(Duration::from_secs(7)));
        let budget = json!({
            "status": "Failure", "code": 404, "message": "not found", "details": { "kind": "poddisruptionbudgets" },
        });
        assert!(matches!(answer(budget), Answer::Failed(_)));
        assert_eq!(answer(json!({ "status": "Success", "code": 201 })), Answer::Accepted);
        assert!(matches!(answer(json!({ "code": 201 })), Answer::Failed(_)));
    }

    fn answer(body: serde_json::Value) -> Answer {
        Answer::of(&plain(&serde_json::from_value(body).unwrap()))
    }
}
