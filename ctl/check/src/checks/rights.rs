//! Rights in Kubernetes: of the user, and of the ServiceAccounts of scheduler and drainer.
//!
//! Access reviews ask for them: questions about a right, answered by whatever the cluster decides by. To
//! ask about others takes the right to create such a review, and no right to impersonate.

use bellwether_proto::mark::LEASE;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::count;
use crate::namespaces::Namespaces;
use crate::part::{DRAINER, Part, SCHEDULER};

pub(crate) const CHECK: Check = Check {
    name: "rights",
    needs_kubernetes: true,
    find: findings,
};

/// A right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// Of one object only.
    name: &'static str,
    /// Where.
    scope: Scope,
}

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Control,
    Agents,
}

const fn everywhere(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right {
        verb,
        group,
        resource,
        subresource: "",
        name: "",
        scope: Scope::Everywhere,
    }
}

const fn here(verb: &'static str, group: &'static str, resource: &'static str, name: &'static str) -> Right {
    Right {
        name,
        scope: Scope::Control,
        ..everywhere(verb, group, resource)
    }
}

const fn beside_agents(right: Right) -> Right {
    Right {
        scope: Scope::Agents,
        ..right
    }
}

const fn sub(right: Right, subresource: &'static str) -> Right {
    Right { subresource, ..right }
}

/// The Secret and both ConfigMaps of the keys of records.
const RECORD_KEYS: &str = "bellwether-record-keys";
const LEASES: &str = "coordination.k8s.io";
const POLICIES: &str = "bellwether.dev";

/// All that `deploy/base/scheduler.yaml` grants.
const OF_SCHEDULER: [Right; 20] = [
    everywhere("list", "", "nodes"),
    everywhere("watch", "", "nodes"),
    sub(everywhere("patch", "", "nodes"), "status"),
    everywhere("list", "", "pods"),
    everywhere("list", "apps", "daemonsets"),
    everywhere("watch", "apps", "daemonsets"),
    everywhere("list", POLICIES, "rebootpolicies"),
    everywhere("watch", POLICIES, "rebootpolicies"),
    sub(everywhere("patch", POLICIES, "rebootpolicies"), "status"),
    everywhere("create", "events.k8s.io", "events"),
    here("get", LEASES, "leases", LEASE),
    here("watch", LEASES, "leases", LEASE),
    here("patch", LEASES, "leases", LEASE),
    here("create", LEASES, "leases", ""),
    here("get", "", "secrets", RECORD_KEYS),
    here("patch", "", "secrets", RECORD_KEYS),
    here("get", "", "configmaps", RECORD_KEYS),
    here("patch", "", "configmaps", RECORD_KEYS),
    beside_agents(here("get", "", "configmaps", RECORD_KEYS)),
    beside_agents(here("patch", "", "configmaps", RECORD_KEYS)),
];

/// All that `deploy/base/drainer.yaml` grants.
const OF_DRAINER: [Right; 17] = [
    everywhere("get", "", "nodes"),
    everywhere("list", "", "nodes"),
    everywhere("watch", "", "nodes"),
    everywhere("patch", "", "nodes"),
    everywhere("list", "", "pods"),
    everywhere("watch", "", "pods"),
    sub(everywhere("create", "", "pods"), "eviction"),
    everywhere("list", "policy", "poddisruptionbudgets"),
    everywhere("watch", "policy", "poddisruptionbudgets"),
    everywhere("list", "storage.k8s.io", "volumeattachments"),
    everywhere("watch", "storage.k8s.io", "volumeattachments"),
    everywhere("list", "", "persistentvolumes"),
    everywhere("watch", "", "persistentvolumes"),
    everywhere("list", "apps", "statefulsets"),
    everywhere("watch", "apps", "statefulsets"),
    everywhere("list", "", "namespaces"),
    everywhere("watch", "", "namespaces"),
];

/// The Role `reboots` of `deploy/base/people.yaml`.
const OF_USERS: [Right; 4] = [
    here("get", LEASES, "leases", LEASE),
    here("get", "", "pods", ""),
    sub(here("get", "", "pods", ""), "portforward"),
    sub(here("create", "", "pods", ""), "portforward"),
];

/// The services with rights; the agents have none, and their pods no token.
const ACCOUNTS: [(Part, &[Right]); 2] = [(SCHEDULER, &OF_SCHEDULER), (DRAINER, &OF_DRAINER)];

impl Right {
    fn attributes(&self, namespaces: &Namespaces) -> ResourceAttributes {
        let namespace = match self.scope {
            Scope::Everywhere => "",
            Scope::Control => &namespaces.control,
            Scope::Agents => &namespaces.agents,
        };
        ResourceAttributes {
            verb: Some(self.verb.to_owned()),
            group: Some(self.group.to_owned()),
            resource: Some(self.resource.to_owned()),
            subresource: Some(self.subresource.to_owned()),
            name: Some(self.name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        }
    }
}

/// The answer to one question: a right, and whether the subject has it.
#[derive(Debug, Clone, Copy)]
struct Answer<'a> {
    right: &'a ResourceAttributes,
    is_allowed: bool,
}

impl<'a> Answer<'a> {
    fn new(right: Option<&'a ResourceAttributes>, status: Option<&SubjectAccessReviewStatus>) -> Option<Self> {
        let is_allowed = status.is_some_and(|status| status.allowed);
        Some(Self {
            right: right?,
            is_allowed,
        })
    }

    /// The namespace of the right; empty: everywhere.
    fn namespace(&self) -> &'a str {
        text(&self.right.namespace)
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// As RBAC writes it: `create pods/eviction`, `patch leases.coordination.k8s.io`.
fn words(right: &ResourceAttributes) -> String {
    let mut words = format!("{} {}", text(&right.verb), text(&right.resource));
    for (sign, field) in [(".", &right.group), ("/", &right.subresource), (" ", &right.name)] {
        let value = text(field);
        if !value.is_empty() {
            words.push_str(sign);
            words.push_str(value);
        }
    }
    words
}

/// The questions about the user, for [`Facts::own_rights`].
#[must_use]
pub fn own_reviews(namespaces: &Namespaces) -> Vec<SelfSubjectAccessReview> {
    let review = |right: &Right| SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(right.attributes(namespaces)),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    OF_USERS.iter().map(review).collect()
}

/// The questions about the ServiceAccounts, for [`Facts::account_rights`]; they depend on the workloads.
#[must_use]
pub fn account_reviews(facts: &Facts) -> Vec<SubjectAccessReview> {
    let namespace = &facts.namespaces.control;
    let mut reviews = Vec::new();
    for (part, rights) in &ACCOUNTS {
        let user = user(part, facts);
        for right in *rights {
            let groups = vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ];
            reviews.push(SubjectAccessReview {
                spec: SubjectAccessReviewSpec {
                    user: Some(user.clone()),
                    groups: Some(groups),
                    resource_attributes: Some(right.attributes(&facts.namespaces)),
                    ..SubjectAccessReviewSpec::default()
                },
                ..SubjectAccessReview::default()
            });
        }
    }
    reviews
}

/// The ServiceAccount of a part's pods.
fn account<'a>(part: &Part, facts: &'a Facts) -> &'a str {
    let spec = facts.workload(part).and_then(|workload| workload.pod_spec());
    let named = spec.and_then(|spec| spec.service_account_name.as_deref());
    named.filter(|name| !name.is_empty()).unwrap_or(part.component)
}

fn user(part: &Part, facts: &Facts) -> String {
    format!(
        "system:serviceaccount:{}:{}",
        facts.namespaces.control,
        account(part, facts)
    )
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ACCOUNTS
        .iter()
        .filter_map(|(part, _)| of_account(part, facts))
        .collect();
    findings.extend(of_user(facts));
    findings
}

fn of_account(part: &Part, facts: &Facts) -> Option<Finding> {
    let user = user(part, facts);
    let reviews = facts.account_rights.objects.iter();
    let answers: Vec<Answer<'_>> = reviews
        .filter(|review| text(&review.spec.user) == user)
        .filter_map(|review| Answer::new(review.spec.resource_attributes.as_ref(), review.status.as_ref()))
        .collect();
    if answers.is_empty() {
        // Reported once for all, as facts that could not be read.
        return None;
    }
    let subject = format!("rights of {}", part.component);
    let missing = missing(&answers);
    if missing.is_empty() {
        return Some(Topic::Rights.ok(subject, format!("all {}", count(answers.len(), "right"))));
    }
    let found = format!("{user} may not {}", missing.join(", "));
    let remedy = remedy(&answers, account(part, facts), &facts.namespaces);
    Some(Topic::Rights.problem(Code::ServiceRightsMissing, subject, found, remedy))
}

/// Roles are bound as a whole: where all rights of a scope are refused the binding is missing, where
/// only some are, the role is another one than ours.
fn remedy(answers: &[Answer<'_>], account: &str, namespaces: &Namespaces) -> String {
    let of = |namespace: &str| -> Vec<Answer<'_>> {
        let own = answers.iter().copied().filter(|answer| answer.namespace() == namespace);
        own.collect()
    };
    let (namespace, agents) = (&namespaces.control, &namespaces.agents);
    let bindings = [
        (
            of(""),
            format!("create clusterrolebinding bellwether-{account} --clusterrole=bellwether-{account}"),
        ),
        (
            of(namespace),
            format!("-n {namespace} create rolebinding {account} --role={account}"),
        ),
        (
            of(agents),
            format!("-n {agents} create rolebinding {account} --role={account}"),
        ),
    ];
    let mut commands = Vec::new();
    let mut lacks_rule = false;
    for (of_scope, bind) in bindings {
        let refused = of_scope.iter().filter(|answer| !answer.is_allowed).count();
        if refused > 0 && refused == of_scope.len() {
            commands.push(format!("kubectl {bind} --serviceaccount={namespace}:{account}"));
        } else if refused > 0 {
            lacks_rule = true;
        }
    }
    // Last, so that the note after it takes no command away.
    if lacks_rule {
        commands.push("kubectl apply -k OVERLAY    # the role lacks a rule".to_owned());
        commands.join(" && ")
    } else {
        format!("{}    # or apply your overlay again", commands.join(" && "))
    }
}

fn of_user(facts: &Facts) -> Option<Finding> {
    let reviews = facts.own_rights.objects.iter();
    let answers: Vec<Answer<'_>> = reviews
        .filter_map(|review| Answer::new(review.spec.resource_attributes.as_ref(), review.status.as_ref()))
        .collect();
    if answers.is_empty() {
        return None;
    }
    let subject = "your own rights";
    let missing = missing(&answers);
    if missing.is_empty() {
        return Some(Topic::Rights.ok(subject, "all that `kubectl reboots` needs"));
    }
    let namespace = &facts.namespaces.control;
    let found = format!("you may not {} in namespace {namespace}", missing.join(", "));
    let remedy = format!("kubectl -n {namespace} create rolebinding reboots-$USER --role=reboots --user=YOUR-NAME");
    let code = Code::UserRightsMissing;
    Some(if facts.scheduler_address_given {
        Topic::Rights.warning(code, subject, format!("{found}; not needed with --scheduler"), remedy)
    } else {
        Topic::Rights.problem(code, subject, found, remedy)
    })
}

fn missing(answers: &[Answer<'_>]) -> Vec<String> {
    let refused = answers.iter().filter(|answer| !answer.is_allowed);
    refused.map(|answer| words(answer.right)).collect()
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
