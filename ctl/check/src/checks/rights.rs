//! Rights in Kubernetes: of the person who asks, and of the ServiceAccounts of scheduler and drainer.
//!
//! They are asked for by access reviews: questions about a right, answered by whatever the cluster
//! decides by. To ask about others takes the right to create such a review, and no right to
//! impersonate anybody.

use serde_json::{Value, json};

use crate::facts::Facts;
use crate::finding::{Finding, Topic, count};
use crate::object::text;
use crate::checks::workloads::{DRAINER, Part, SCHEDULER};
use crate::facts::LEASE;

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    subresource: &'static str,
    /// Of one object only.
    name: &'static str,
    /// In the control namespace only; else everywhere.
    in_namespace: bool,
}

const fn everywhere(verb: &'static str, group: &'static str, resource: &'static str) -> Right {
    Right {
        verb,
        group,
        resource,
        subresource: "",
        name: "",
        in_namespace: false,
    }
}

const fn here(verb: &'static str, group: &'static str, resource: &'static str, name: &'static str) -> Right {
    Right {
        name,
        in_namespace: true,
        ..everywhere(verb, group, resource)
    }
}

const fn sub(right: Right, subresource: &'static str) -> Right {
    Right { subresource, ..right }
}

const LEASES: &str = "coordination.k8s.io";

/// All that `deploy/base/scheduler.yaml` grants.
const OF_SCHEDULER: [Right; 7] = [
    everywhere("list", "", "nodes"),
    everywhere("watch", "", "nodes"),
    everywhere("list", "apps", "daemonsets"),
    everywhere("watch", "apps", "daemonsets"),
    here("get", LEASES, "leases", LEASE),
    here("patch", LEASES, "leases", LEASE),
    here("create", LEASES, "leases", ""),
];

/// All that `deploy/base/drainer.yaml` grants.
const OF_DRAINER: [Right; 7] = [
    everywhere("get", "", "nodes"),
    everywhere("list", "", "nodes"),
    everywhere("watch", "", "nodes"),
    everywhere("patch", "", "nodes"),
    everywhere("list", "", "pods"),
    everywhere("watch", "", "pods"),
    sub(everywhere("create", "", "pods"), "eviction"),
];

/// The Role `reboots` of `deploy/base/people.yaml`.
const OF_PEOPLE: [Right; 4] = [
    here("get", LEASES, "leases", LEASE),
    here("get", "", "pods", ""),
    sub(here("get", "", "pods", ""), "portforward"),
    sub(here("create", "", "pods", ""), "portforward"),
];

/// The services with rights; the agents have none, and their pods no token.
const ACCOUNTS: [(Part, &[Right]); 2] = [(SCHEDULER, &OF_SCHEDULER), (DRAINER, &OF_DRAINER)];

impl Right {
    fn attributes(&self, namespace: &str) -> Value {
        json!({
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
            "namespace": if self.in_namespace { namespace } else { "" },
        })
    }
}

/// As RBAC writes it: `create pods/eviction`, `patch leases.coordination.k8s.io`.
fn words(attributes: &Value) -> String {
    let mut words = format!("{} {}", text(attributes, "/verb"), text(attributes, "/resource"));
    for (sign, field) in [(".", "/group"), ("/", "/subresource"), (" ", "/name")] {
        let value = text(attributes, field);
        if !value.is_empty() {
            words.push_str(sign);
            words.push_str(value);
        }
    }
    words
}

/// The questions about whoever runs this.
pub(crate) fn own(namespace: &str) -> Vec<Value> {
    let review = |right: &Right| {
        json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": right.attributes(namespace) },
        })
    };
    OF_PEOPLE.iter().map(review).collect()
}

/// The questions about the ServiceAccounts.
pub(crate) fn accounts(facts: &Facts) -> Vec<Value> {
    let namespace = &facts.places.control;
    let mut reviews = Vec::new();
    for (part, rights) in &ACCOUNTS {
        let user = user(part, facts);
        for right in *rights {
            let groups = [
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ];
            reviews.push(json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": { "user": user, "groups": groups, "resourceAttributes": right.attributes(namespace) },
            }));
        }
    }
    reviews
}

/// Whom the pods of a part run as.
fn account<'a>(part: &Part, facts: &'a Facts) -> &'a str {
    let named = facts
        .workload(part)
        .map(|it| text(it, "/spec/template/spec/serviceAccountName"));
    named.filter(|name| !name.is_empty()).unwrap_or(part.component)
}

fn user(part: &Part, facts: &Facts) -> String {
    format!(
        "system:serviceaccount:{}:{}",
        facts.places.control,
        account(part, facts)
    )
}

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ACCOUNTS
        .iter()
        .filter_map(|(part, _)| of_account(part, facts))
        .collect();
    findings.extend(of_person(facts));
    findings
}

fn of_account(part: &Part, facts: &Facts) -> Option<Finding> {
    let user = user(part, facts);
    let reviews: Vec<&Value> = facts
        .account_rights
        .of("SubjectAccessReview")
        .filter(|review| text(review, "/spec/user") == user)
        .collect();
    if reviews.is_empty() {
        // Said once for all, as what could not be looked at.
        return None;
    }
    let subject = format!("rights of {}", part.component);
    let missing = missing(&reviews);
    if missing.is_empty() {
        return Some(Topic::Rights.ok(subject, format!("all {}", count(reviews.len(), "right"))));
    }
    let remedy = remedy(&reviews, account(part, facts), &facts.places.control);
    Some(Topic::Rights.problem(subject, format!("{user} may not {}", missing.join(", ")), remedy))
}

/// Roles are bound as a whole: where all rights of a scope are refused the binding is missing, where
/// only some are, the role is another one than ours.
fn remedy(reviews: &[&Value], account: &str, namespace: &str) -> String {
    let in_namespace = |review: &&&Value| !text(review, "/spec/resourceAttributes/namespace").is_empty();
    let (here, everywhere): (Vec<&Value>, Vec<&Value>) = reviews.iter().partition(in_namespace);
    let bindings = [
        (
            everywhere,
            format!("create clusterrolebinding bellwether-{account} --clusterrole=bellwether-{account}"),
        ),
        (
            here,
            format!("-n {namespace} create rolebinding {account} --role={account}"),
        ),
    ];
    let mut commands = Vec::new();
    let mut lacks_rule = false;
    for (of_scope, bind) in bindings {
        let refused = of_scope.iter().filter(|review| !is_allowed(review)).count();
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

fn of_person(facts: &Facts) -> Option<Finding> {
    let reviews: Vec<&Value> = facts.own_rights.of("SelfSubjectAccessReview").collect();
    if reviews.is_empty() {
        return None;
    }
    let subject = "your own rights";
    let missing = missing(&reviews);
    if missing.is_empty() {
        return Some(Topic::Rights.ok(subject, "all that `kubectl reboots` needs"));
    }
    let namespace = &facts.places.control;
    let found = format!("you may not {} in namespace {namespace}", missing.join(", "));
    let remedy = format!("kubectl -n {namespace} create rolebinding reboots-$USER --role=reboots --user=YOUR-NAME");
    Some(if facts.direct {
        Topic::Rights.warning(subject, format!("{found}; not needed with --scheduler"), remedy)
    } else {
        Topic::Rights.problem(subject, found, remedy)
    })
}

fn is_allowed(review: &Value) -> bool {
    review.pointer("/status/allowed") == Some(&Value::Bool(true))
}

fn missing(reviews: &[&Value]) -> Vec<String> {
    let refused = reviews.iter().filter(|review| !is_allowed(review));
    refused
        .filter_map(|review| review.pointer("/spec/resourceAttributes"))
        .map(words)
        .collect()
}

#[cfg(test)]
#[path = "rights_tests.rs"]
mod tests;
