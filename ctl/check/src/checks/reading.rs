//! Facts that could not be read, mostly for lack of a right.

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::failure::{Failure, FailureKind};
use crate::finding::{Finding, Topic};

pub(crate) const CHECK: Check = Check {
    name: "reading",
    needs_kubernetes: true,
    find: findings,
};

/// The remedy for users who lack a right.
const RIGHTS: &str = "bind the rights of a check to yourself: the commands in deploy/base/people.yaml";

fn findings(facts: &Facts) -> Vec<Finding> {
    let read: [(&str, &Option<Failure>); 9] = [
        ("nodes", &facts.nodes.failure),
        ("workloads", &facts.workloads.failure),
        ("control namespace", &facts.control.failure),
        ("agents' namespace", &facts.agents.failure),
        ("Lease", &facts.lease.failure),
        ("Service of NATS", &facts.services.failure),
        ("admission policies", &facts.policies.failure),
        ("rights of services", &facts.account_rights.failure),
        ("your own rights", &facts.own_rights.failure),
    ];
    let finding = |(subject, failure): (&str, &Option<Failure>)| {
        let failure = failure.as_ref()?;
        let found = format!("not checked: {}", failure.message);
        Some(Topic::Kubernetes.warning(code(failure), subject, found, failure.remedy(RIGHTS)))
    };
    read.into_iter().filter_map(finding).collect()
}

/// The code of a failure to read.
pub(crate) fn code(failure: &Failure) -> Code {
    match failure.kind {
        FailureKind::Forbidden => Code::ReadForbidden,
        FailureKind::Unread => Code::ReadFailed,
    }
}
