//! Access reviews as the API server answers them.

use super::*;
use crate::finding::Severity;
use crate::testing::{facts, namespaces};

fn status(right: Option<&ResourceAttributes>, refused: impl Fn(&str) -> bool) -> SubjectAccessReviewStatus {
    SubjectAccessReviewStatus {
        allowed: !refused(&words(right.unwrap())),
        ..SubjectAccessReviewStatus::default()
    }
}

/// The answers to the questions, where these rights are refused.
fn answered(mut facts: Facts, refused: impl Fn(&str) -> bool) -> Facts {
    let mut accounts = account_reviews(&facts);
    for review in &mut accounts {
        review.status = Some(status(review.spec.resource_attributes.as_ref(), &refused));
    }
    let mut own = own_reviews(&facts.namespaces);
    for review in &mut own {
        review.status = Some(status(review.spec.resource_attributes.as_ref(), &refused));
    }
    (facts.account_rights.objects, facts.own_rights.objects) = (accounts, own);
    facts
}

fn findings_without(refused: impl Fn(&str) -> bool) -> Vec<Finding> {
    findings(&answered(facts(), refused))
}

/// Of the two namespaces, and not of the cluster.
fn is_of_namespace(right: &str) -> bool {
    right.contains("leases") || right.contains(RECORD_KEYS)
}

#[test]
fn rights_read_as_in_rbac() {
    let rights = [OF_SCHEDULER.as_slice(), &OF_DRAINER, &OF_USERS].concat();
    let words: Vec<String> = rights
        .iter()
        .map(|right| words(&right.attributes(&namespaces())))
        .collect();
    for expected in [
        "list nodes",
        "watch daemonsets.apps",
        "patch rebootpolicies.bellwether.dev/status",
        "patch leases.coordination.k8s.io bellwether-scheduler",
        "create pods/eviction",
        "create pods/portforward",
    ] {
        assert!(words.iter().any(|it| it == expected), "{expected}: {words:?}");
    }
}

#[test]
fn with_all_rights_there_is_a_line_for_each() {
    let findings = findings_without(|_| false);
    assert!(findings.iter().all(|it| it.severity == Severity::Ok), "{findings:?}");
    assert_eq!(findings.len(), 3);
}

#[test]
fn where_all_rights_of_a_scope_are_refused_the_binding_is_missing() {
    let drainer = findings_without(|right| !is_of_namespace(right)).remove(1);
    assert_eq!(drainer.severity, Severity::Problem);
    assert!(
        drainer
            .found
            .starts_with("system:serviceaccount:bellwether:drainer may not get nodes, list nodes, "),
        "{drainer:?}"
    );
    assert_eq!(
        drainer.remedy.unwrap(),
        "kubectl create clusterrolebinding bellwether-drainer --clusterrole=bellwether-drainer \
         --serviceaccount=bellwether:drainer    # or apply your overlay again"
    );
    let scheduler = findings_without(is_of_namespace).remove(0);
    assert_eq!(
        scheduler.remedy.unwrap(),
        "kubectl -n bellwether create rolebinding scheduler --role=scheduler \
         --serviceaccount=bellwether:scheduler && kubectl -n bellwether-agents create rolebinding scheduler \
         --role=scheduler --serviceaccount=bellwether:scheduler    # or apply your overlay again"
    );
}

#[test]
fn where_some_rights_of_a_scope_are_refused_the_role_lacks_a_rule() {
    let drainer = findings_without(|right| right == "create pods/eviction").remove(1);
    assert_eq!(
        drainer.found,
        "system:serviceaccount:bellwether:drainer may not create pods/eviction"
    );
    assert_eq!(
        drainer.remedy.unwrap(),
        "kubectl apply -k OVERLAY    # the role lacks a rule"
    );
}

#[test]
fn each_scope_gets_its_own_remedy_and_the_note_comes_last() {
    let neither = findings_without(|_| true).remove(0).remedy.unwrap();
    let commands: Vec<&str> = neither.split(" && ").collect();
    assert!(
        matches!(commands.as_slice(), [first, second, third]
            if first.starts_with("kubectl create clusterrolebinding bellwether-scheduler ")
            && second.starts_with("kubectl -n bellwether create rolebinding scheduler ")
            && third.starts_with("kubectl -n bellwether-agents create rolebinding scheduler ")),
        "{neither}"
    );
    let both = findings_without(|right| is_of_namespace(right) || right == "watch nodes").remove(0);
    let remedy = both.remedy.unwrap();
    assert!(
        remedy.starts_with("kubectl -n bellwether create rolebinding scheduler ")
            && remedy.ends_with("scheduler && kubectl apply -k OVERLAY    # the role lacks a rule"),
        "{remedy}"
    );
}

#[test]
fn a_user_needs_the_way_in_unless_an_address_is_given() {
    let mut facts = facts();
    facts = answered(facts, |right| right == "create pods/portforward");
    facts.account_rights.objects.clear();
    assert_eq!(findings(&facts).remove(0).severity, Severity::Problem);
    facts.scheduler_address_given = true;
    assert_eq!(findings(&facts).remove(0).severity, Severity::Warning);
}

#[test]
fn a_review_is_sent_as_the_api_server_expects_it() {
    let review = serde_json::to_value(own_reviews(&namespaces()).remove(0)).unwrap();
    assert_eq!(review["apiVersion"], "authorization.k8s.io/v1");
    assert_eq!(review["kind"], "SelfSubjectAccessReview");
    let right = &review["spec"]["resourceAttributes"];
    assert_eq!(
        (&right["verb"], &right["namespace"]),
        (&"get".into(), &"bellwether".into())
    );
}
