//! The meaning of the API server's answer to an eviction.
//!
//! Several answers share one HTTP code; this file alone tells them apart. When the eviction is
//! tried again is decided by [`crate::plan`].

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;

/// Text of the eviction handler when several budgets match; its answer has no reason field.
const SEVERAL_BUDGETS: &str = "more than one PodDisruptionBudget";
/// Type of the cause that names a disruption budget.
const BUDGET_CAUSE: &str = "DisruptionBudget";
/// Text of the eviction handler while the budget's controller has not observed the budget's newest form.
const BUDGET_UNPROCESSED: &str = "still being processed";
/// Start of the text of every admission webhook's denial. The webhook chooses all other fields of the answer,
/// the code and the causes included.
const WEBHOOK_DENIAL: &str = "admission webhook \"";
/// What follows the name of an admission policy in the text of its denial.
const POLICY_DENIAL: &str = " denied request: ";
/// What precedes the name of an admission policy in that text: with the kind of the policy before, or without.
const POLICY: [&str; 2] = ["olicy '", "olicy \""];
/// Text of the eviction handler when another pod has the name by now.
const OTHER_UID: &str = "the UID in the precondition";

/// One answer to one eviction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The pod is being deleted.
    Accepted,
    /// The pod is gone: no pod has the name, or one with another UID (D24).
    Gone,
    /// The pod changed at the same moment; the server decided nothing.
    Conflict,
    /// A disruption budget allows none at present. The message names it with its numbers.
    BudgetBlocked(String),
    /// The budget's controller has not observed the budget yet: not a block.
    BudgetUnprocessed,
    /// Several budgets match the pod: the Eviction API refuses such pods for ever.
    SeveralBudgets,
    /// An admission webhook or an admission policy guards the pod. The message names it.
    AdmissionDenied(String),
    /// The API server is busy and asks for this wait. Not a block, but all evictions must slow down.
    Throttled(Duration),
    /// The pod's namespace is being deleted, and the pod with it.
    NamespaceEnding,
    /// The drainer lacks the right. Fatal: no node may be rebooted over pods that were never asked to go.
    Forbidden(String),
    /// Any other failure: whether the pod goes is unknown, the drain tries again.
    Failed(String),
}

impl Answer {
    /// The pod's one disruption budget refused the eviction, or is still being processed.
    pub(crate) fn is_of_budget(&self) -> bool {
        matches!(self, Self::BudgetBlocked(_) | Self::BudgetUnprocessed)
    }

    /// Reads the answer from a status. Only a body whose `status` is `Success` counts as one, whatever
    /// HTTP code surrounds it.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        if status.status.as_deref() == Some("Success") {
            return Self::Accepted;
        }
        let message = message(status);
        // First: a webhook chooses the code of its answer, so that its 404 says nothing about the pod.
        if is_denial(&message) {
            return Self::AdmissionDenied(message);
        }
        match status.code.unwrap_or_default() {
            // About the pod. A 404 about its budget, deleted at this moment, does not mean that the pod is gone.
            404 if matches!(kind(status).as_str(), "" | "pods" | "pod") => Self::Gone,
            409 if message.contains(OTHER_UID) => Self::Gone,
            409 => Self::Conflict,
            429 => too_many(status),
            403 => forbidden(status),
            500 if message.contains(SEVERAL_BUDGETS) => Self::SeveralBudgets,
            code => Self::Failed(format!("the API server answers {code}: {message}")),
        }
    }
}

/// True for the text of a denial by an admission webhook or an admission policy. A policy's denial begins as
/// the text about a missing right does, and has the reason `Forbidden` if the policy does not state another one.
fn is_denial(message: &str) -> bool {
    let names_policy = |before: &str| POLICY.iter().any(|policy| before.contains(policy));
    let by_policy = message.split_once(POLICY_DENIAL);
    message.starts_with(WEBHOOK_DENIAL) || by_policy.is_some_and(|(before, _)| names_policy(before))
}

fn too_many(status: &Status) -> Answer {
    if let Some(budget) = cause(status, BUDGET_CAUSE) {
        if budget.contains(BUDGET_UNPROCESSED) {
            return Answer::BudgetUnprocessed;
        }
        let text = if budget.is_empty() {
            message(status)
        } else {
            budget.to_owned()
        };
        return Answer::BudgetBlocked(text);
    }
    // The server's own limiter states the wait in a header only, which the client drops: one second.
    let details = status.details.as_ref();
    let seconds = details
        .and_then(|details| details.retry_after_seconds)
        .unwrap_or_default();
    Answer::Throttled(Duration::from_secs(u64::from(seconds.unsigned_abs().max(1))))
}

fn message(status: &Status) -> String {
    status.message.clone().unwrap_or_default()
}

/// Kind of the object that the answer is about, in lower case.
fn kind(status: &Status) -> String {
    let details = status.details.as_ref();
    let kind = details.and_then(|details| details.kind.as_deref());
    kind.unwrap_or_default().to_ascii_lowercase()
}

fn forbidden(status: &Status) -> Answer {
    if cause(status, "NamespaceTerminating").is_some() {
        return Answer::NamespaceEnding;
    }
    // Allowed disruptions below zero, or too many unconfirmed ones: the budget's fault, not a missing right.
    let message = message(status);
    if kind(status).starts_with("poddisruptionbudget") {
        return Answer::BudgetBlocked(message);
    }
    Answer::Forbidden(message)
}

fn cause<'s>(status: &'s Status, wanted: &str) -> Option<&'s str> {
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes.iter().find(|cause| cause.reason.as_deref() == Some(wanted))?;
    Some(cause.message.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn an_accepted_eviction_is_accepted() {
        let body = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
        assert_eq!(answer(body), Answer::Accepted);
    }

    #[test]
    fn several_budgets_are_distinguished_from_a_broken_server() {
        // As it comes: without a reason.
        let message =
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
        let body = json!({ "status": "Failure", "message": message, "code": 500 });
        assert_eq!(answer(body), Answer::SeveralBudgets);
    }

    #[test]
    fn d24_a_missing_pod_and_another_uid_are_gone_and_other_conflicts_are_not() {
        assert_eq!(
            answer(failure(404, "NotFound", "pods \"web-0\" not found")),
            Answer::Gone
        );
        let other = "Operation cannot be fulfilled on Pod \"web-0\": the UID in the precondition (a) does not match the UID in record (b). The object might have been deleted and then recreated";
        assert_eq!(answer(failure(409, "Conflict", other)), Answer::Gone);
        let changed = "Operation cannot be fulfilled on Pod \"web-0\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (2). The object might have been modified";
        assert_eq!(answer(failure(409, "Conflict", changed)), Answer::Conflict);
    }

    #[test]
    fn d24_a_budget_that_is_deleted_meanwhile_does_not_make_its_pod_gone() {
        let about = |kind: &str| {
            let mut body = failure(404, "NotFound", "not found");
            body["details"] = json!({ "name": "web", "kind": kind });
            answer(body)
        };
        assert!(matches!(about("poddisruptionbudgets"), Answer::Failed(_)));
        for kind in ["pods", "Pod"] {
            assert_eq!(about(kind), Answer::Gone, "{kind}");
        }
    }

    #[test]
    fn a_blocking_budget_is_reported_with_its_numbers() {
        let numbers = "The disruption budget web needs 2 healthy pods and has 2 currently";
        assert_eq!(answer(budget(numbers, None)), Answer::BudgetBlocked(numbers.to_owned()));
    }

    #[test]
    fn a_budget_that_is_not_processed_yet_is_no_block() {
        let text = "The disruption budget web is still being processed by the server.";
        assert_eq!(answer(budget(text, Some(10))), Answer::BudgetUnprocessed);
    }

    #[test]
    fn throttling_is_no_block() {
        let mut body = failure(429, "TooManyRequests", "the server has received too many requests");
        body["details"] = json!({ "retryAfterSeconds": 7 });
        assert_eq!(answer(body), Answer::Throttled(Duration::from_secs(7)));
        // As the client reconstructs the limiter's plain text.
        let plain = failure(
            429,
            "Failed to parse error data",
            "Too many requests, please try again later.",
        );
        assert_eq!(answer(plain), Answer::Throttled(Duration::from_secs(1)));
    }

    #[test]
    fn a_namespace_that_ends_takes_its_pods_along() {
        let mut body = failure(
            403,
            "Forbidden",
            "unable to create new content in namespace shop because it is being terminated",
        );
        body["details"] = json!({ "causes": [{ "reason": "NamespaceTerminating", "field": "metadata.namespace" }] });
        assert_eq!(answer(body), Answer::NamespaceEnding);
    }

    #[test]
    fn a_missing_right_is_fatal() {
        let message = "pods \"web-0\" is forbidden: User \"drainer\" cannot create resource \"pods/eviction\" in API group \"\" in the namespace \"shop\"";
        let mut body = failure(403, "Forbidden", message);
        body["details"] = json!({ "name": "web-0", "kind": "pods" });
        assert_eq!(answer(body), Answer::Forbidden(message.to_owned()));
    }

    #[test]
    fn a_broken_budget_is_not_a_missing_right() {
        let message = "poddisruptionbudget.policy \"web\" is forbidden: pdb disruptions allowed is negative";
        let mut body = failure(403, "Forbidden", message);
        body["details"] = json!({ "name": "web", "group": "policy", "kind": "poddisruptionbudget" });
        assert_eq!(answer(body), Answer::BudgetBlocked(message.to_owned()));
    }

    #[test]
    fn a_webhook_is_named_whatever_its_code() {
        let message = "admission webhook \"guard.example.com\" denied the request: not now";
        for code in [400, 403, 404, 409, 429, 500, 503] {
            let denied = Answer::AdmissionDenied(message.to_owned());
            assert_eq!(answer(failure(code, "Forbidden", message)), denied, "{code}");
            // The API server passes on what the webhook states about the pod, a budget or the namespace.
            for details in [
                json!({ "kind": "pods" }),
                json!({ "kind": "poddisruptionbudgets" }),
                json!({ "causes": [{ "reason": "DisruptionBudget" }] }),
                json!({ "causes": [{ "reason": "NamespaceTerminating" }] }),
            ] {
                let mut body = failure(code, "NotFound", message);
                body["details"] = details;
                assert_eq!(answer(body), denied, "{code}");
            }
        }
    }

    #[test]
    fn a_denial_by_an_admission_policy_is_no_missing_right() {
        for (code, reason, by) in [
            (
                403,
                "Forbidden",
                "ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: not now",
            ),
            (
                422,
                "Invalid",
                "ValidatingAdmissionPolicy 'guard' with binding 'all' denied request: not now",
            ),
            (
                422,
                "Invalid",
                "ValidatingAdmissionPolicy 'guard' denied request: not now",
            ),
            (
                403,
                "Forbidden",
                "policy 'guard' with binding 'all' denied request: no parameter",
            ),
            (403, "Forbidden", "policy \"guard\" denied request: no parameter"),
        ] {
            let message = format!("pods \"web-0\" is forbidden: {by}");
            let mut body = failure(code, reason, &message);
            body["details"] = json!({ "name": "web-0", "kind": "pods" });
            assert_eq!(answer(body), Answer::AdmissionDenied(message));
        }
        // The API server is not ready to ask the policies.
        let message = "pods \"web-0\" is forbidden: not yet ready to handle request";
        let passing = answer(failure(403, "Forbidden", message));
        assert_eq!(passing, Answer::Forbidden(message.to_owned()));
    }

    #[test]
    fn an_answer_that_is_not_understood_is_never_a_success() {
        for code in [0, 400, 401, 405, 422, 500, 502, 503, 504] {
            assert!(matches!(answer(failure(code, "", "no")), Answer::Failed(_)), "{code}");
        }
    }

    fn answer(body: Value) -> Answer {
        Answer::of(&serde_json::from_value(body).unwrap())
    }

    fn failure(code: u16, reason: &str, message: &str) -> Value {
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "message": message, "code": code })
    }

    fn budget(cause: &str, retry_after: Option<u32>) -> Value {
        let message = "Cannot evict pod as it would violate the pod's disruption budget.";
        let mut body = failure(429, "TooManyRequests", message);
        body["details"] = json!({ "causes": [{ "reason": "DisruptionBudget", "message": cause }] });
        if let Some(seconds) = retry_after {
            body["details"]["retryAfterSeconds"] = json!(seconds);
        }
        body
    }

    proptest! {
        #[test]
        fn no_status_but_a_success_is_one_and_no_wait_is_shorter_than_a_second(
            status in prop::option::of(prop::sample::select(vec!["Success", "success", "Failure", ""])),
            code in prop::option::of(prop_oneof![any::<i32>(), prop::sample::select(vec![201, 403, 404, 409, 429, 500])]),
            message in prop_oneof![any::<String>(), Just(OTHER_UID.to_owned()), Just(SEVERAL_BUDGETS.to_owned())],
            kind in prop::option::of(prop::sample::select(vec!["pods", "poddisruptionbudgets", ""])),
            seconds in prop::option::of(any::<i32>()),
            cause in prop::option::of((prop::sample::select(vec![BUDGET_CAUSE, "NamespaceTerminating"]), any::<String>())),
        ) {
            let causes = cause.map(|(reason, message)| vec![json!({ "reason": reason, "message": message })]);
            let answer = answer(json!({
                "status": status, "code": code, "message": message,
                "details": { "kind": kind, "retryAfterSeconds": seconds, "causes": causes },
            }));
            prop_assert_eq!(answer == Answer::Accepted, status == Some("Success"));
            if answer == Answer::Gone {
                prop_assert!(matches!(code, Some(404 | 409)));
            }
            if let Answer::Throttled(wait) = answer {
                prop_assert!(wait >= Duration::from_secs(1));
            }
        }
    }
}
