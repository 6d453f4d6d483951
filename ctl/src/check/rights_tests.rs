//! Access reviews as the API server answers them.

use super::super::finding::Severity;
use super::*;

/// The answers to the questions, where this right is refused.
fn answered(questions: Vec<Value>, refused: &str) -> Vec<Value> {
    let answer = |mut review: Value| {
        let allowed = review.pointer("/spec/resourceAttributes").map(words).unwrap() != refused;
        review
            .as_object_mut()
            .unwrap()
            .insert("status".to_owned(), json!({ "allowed": allowed }));
        review
    };
    questions.into_iter().map(answer).collect()
}

fn findings_without(refused: &str) -> Vec<Finding> {
    let mut facts = Facts::for_tests();
    facts.account_rights.objects = answered(accounts(&facts), refused);
    facts.own_rights.objects = answered(own("bellwether"), refused);
    findings(&facts)
}

#[test]
fn rights_read_as_in_rbac() {
    let rights = [OF_SCHEDULER.as_slice(), &OF_DRAINER, &OF_PEOPLE].concat();
    let words: Vec<String> = rights
        .iter()
        .map(|right| words(&right.attributes("bellwether")))
        .collect();
    for expected in [
        "list nodes",
        "watch daemonsets.apps",
        "patch leases.coordination.k8s.io bellwether-scheduler",
        "create pods/eviction",
        "create pods/portforward",
    ] {
        assert!(words.iter().any(|it| it == expected), "{expected}: {words:?}");
    }
}

#[test]
fn with_all_rights_there_is_a_line_for_each() {
    let findings = findings_without("");
    assert!(findings.iter().all(|it| it.severity == Severity::Ok), "{findings:?}");
    assert_eq!(findings.len(), 3);
}

#[test]
fn a_missing_right_is_named_with_the_binding_that_grants_it() {
    let drainer = findings_without("create pods/eviction").remove(1);
    assert_eq!(drainer.severity, Severity::Problem);
    assert_eq!(
        drainer.found,
        "system:serviceaccount:bellwether:drainer may not create pods/eviction"
    );
    assert!(
        drainer.remedy.unwrap().starts_with(
            "kubectl create clusterrolebinding bellwether-drainer --clusterrole=bellwether-drainer --serviceaccount=bellwether:drainer"
        )
    );
    let scheduler = findings_without("create leases.coordination.k8s.io").remove(0);
    let remedy = scheduler.remedy.unwrap();
    assert!(
        remedy.starts_with("kubectl -n bellwether create rolebinding scheduler --role=scheduler"),
        "{remedy}"
    );
}

#[test]
fn a_person_needs_the_way_in_unless_an_address_is_given() {
    let mut facts = Facts::for_tests();
    facts.own_rights.objects = answered(own("bellwether"), "create pods/portforward");
    assert_eq!(findings(&facts).remove(0).severity, Severity::Problem);
    facts.direct = true;
    assert_eq!(findings(&facts).remove(0).severity, Severity::Warning);
}
