//! Checks of an installation of Bellwether, as a library: facts in, findings out.
//!
//! The embedding program gathers [`Facts`] (`kubectl reboots` does so through kubectl, with the rights of its
//! user), calls [`examine`], and shows the [`Report`]. Everything here is pure: no clock, no network, no
//! Kubernetes client. A finding's [`Code`] is from a closed list and has a section in `docs/findings.md` or
//! `docs/findings-agents.md`; programs decide by it, never by texts.
//!
//! ```
//! use bellwether_check::{Code, Facts, Failure, Namespaces, examine};
//!
//! let namespaces = Namespaces {
//!     control: "bellwether".to_owned(),
//!     agents: "bellwether-agents".to_owned(),
//! };
//! let mut facts = Facts::new("2026-11-22T12:00:00Z".parse().unwrap(), namespaces);
//! facts.kubernetes_version = Err(Failure::unread("connection refused"));
//! let report = examine(&facts);
//! assert!(!report.is_good());
//! assert_eq!(report.findings()[0].code, Code::KubernetesUnreachable);
//! ```
//!
//! A check is a file in `checks/` and a line in [`CHECKS`].

mod check;
mod checks;
mod code;
mod environment;
mod facts;
mod failure;
mod finding;
mod foreign;
mod group;
mod kured;
mod namespaces;
mod object;
mod part;
mod read;
mod registry;
mod removal;
mod removal_facts;
mod report;
mod secrets;
#[cfg(test)]
mod testing;
pub mod text;
mod version;
mod workload;

pub use check::Check;
pub use checks::nats::namespaces as nats_namespaces;
pub use checks::pods::ask::{PodToAsk, pods_to_ask};
pub use checks::rights::{account_reviews, own_reviews};
pub use code::Code;
pub use facts::{AdmissionObject, Facts, FleetAnswer, Gathered, NamespaceObjects, PodKey, Readiness, ServiceObjects};
pub use failure::{Failure, FailureKind};
pub use finding::{Finding, Severity, Topic};
pub use kured::{Kured, KuredLock};
pub use namespaces::Namespaces;
pub use read::Collect;
pub use registry::CHECKS;
pub use removal_facts::{AnyObject, ClusterObject, Definition, DefinitionSpec, RemovalFacts};
pub use report::Report;
pub use workload::Workload;

/// All findings about an installation: those of [`CHECKS`].
#[must_use]
pub fn examine(facts: &Facts) -> Report {
    Report::new(CHECKS.iter().flat_map(|check| check.run(facts)).collect())
}

/// All findings about a removal: what is in its way, or what it left.
#[must_use]
pub fn examine_removal(facts: &RemovalFacts) -> Report {
    let mut findings = checks::kubernetes::findings(&facts.kubernetes_version);
    if facts.kubernetes_version.is_ok() {
        findings.extend(if facts.workloads.failure.is_some() {
            // Before the removal or after it? What helps in the one case harms in the other.
            removal::reading::findings(facts)
        } else if facts.is_installed() {
            removal::before::findings(facts)
        } else {
            removal::traces::findings(facts)
        });
    }
    Report::new(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_kubernetes_the_rest_is_not_guessed_at() {
        let mut facts = testing::facts();
        facts.kubernetes_version = Err(Failure::unread("connection refused"));
        facts.fleet = Err("no leading scheduler was reached".to_owned());
        let report = examine(&facts);
        let found: Vec<&str> = report.findings().iter().map(|it| it.found.as_str()).collect();
        assert!(found.iter().any(|it| it.contains("connection refused")), "{found:?}");
        assert!(found.iter().any(|it| it.contains("no leading scheduler")), "{found:?}");
        assert!(!found.iter().any(|it| it.contains("not in namespace")), "{found:?}");
    }

    #[test]
    fn facts_that_may_not_be_read_are_reported_as_unchecked() {
        let mut facts = testing::facts();
        let refusal = "Error from server (Forbidden): daemonsets.apps is forbidden";
        facts.workloads.failure = Some(Failure::forbidden(refusal));
        let report = examine(&facts);
        let unread = report.findings().iter().find(|it| it.subject == "workloads");
        let unread = unread.unwrap();
        assert!(unread.found.starts_with("not checked: Error from server (Forbidden)"));
        assert_eq!(unread.code, Code::ReadForbidden);
        let remedy = unread.remedy.as_deref().unwrap();
        assert!(remedy.ends_with("the commands in deploy/base/people.yaml"), "{remedy}");
    }

    #[test]
    fn a_removal_whose_workloads_cannot_be_read_gets_no_remedy_that_may_harm() {
        let mut facts = testing::removal_facts();
        facts.kubernetes_version = Ok("v1.36.3".to_owned());
        let binding = serde_json::json!({ "kind": "ClusterRoleBinding", "metadata": { "name": "bellwether-drainer" } });
        facts.cluster.objects = testing::objects([binding]);
        facts.workloads.failure = Some(Failure::unread("kubectl gave no answer within 60s"));
        let report = examine_removal(&facts);
        assert!(!report.is_good());
        let subjects: Vec<&str> = report.findings().iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(subjects, ["Kubernetes", "workloads"]);
        let remedies: Vec<&str> = report.findings().iter().filter_map(|it| it.remedy.as_deref()).collect();
        assert!(remedies.iter().all(|it| !it.contains("delete")), "{remedies:?}");
    }
}
