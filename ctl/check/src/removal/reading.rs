//! Facts of a removal that could not be read. What could not be looked at may hold a trace.

use crate::checks::reading::code;
use crate::failure::Failure;
use crate::finding::{Finding, Topic};
use crate::removal_facts::RemovalFacts;

/// The remedy for users who lack a right.
const RIGHTS: &str = "run this as a user who may read all of the cluster";

pub(crate) fn findings(facts: &RemovalFacts) -> Vec<Finding> {
    let read: [(&str, &Option<Failure>); 6] = [
        ("nodes", &facts.nodes.failure),
        ("namespaces", &facts.all_namespaces.failure),
        ("workloads", &facts.workloads.failure),
        ("cluster objects", &facts.cluster.failure),
        ("control namespace", &facts.control.failure),
        ("agents' namespace", &facts.agents.failure),
    ];
    let finding = |(subject, failure): (&str, &Option<Failure>)| {
        let failure = failure.as_ref()?;
        let found = format!("not looked at: {}", failure.message);
        Some(Topic::Removal.problem(code(failure), subject, found, failure.remedy(RIGHTS)))
    };
    read.into_iter().filter_map(finding).collect()
}
