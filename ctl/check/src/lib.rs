//! What `check` and `uninstall-check` find. [`facts`] and [`remains`] ask, everything else is
//! pure: from what is known to findings.

mod agents;
mod facts;
mod finding;
mod kubernetes;
mod leader;
mod leftovers;
mod nats;
mod neighbours;
mod object;
mod pods;
mod refused;
mod remains;
mod removal;
mod rights;
mod secrets;
mod settings;
mod show;
mod traces;
mod versions;
mod workloads;

pub(crate) use facts::Facts;
pub(crate) use remains::Remains;
pub(crate) use show::Report;

use finding::{Finding, Topic};

use crate::facts::Answer;

/// All about an installation: from the cluster inwards to each node.
pub(crate) fn examine(facts: &Facts) -> Report {
    let mut findings = kubernetes::findings(&facts.version);
    if facts.version.trouble.is_none() {
        findings.extend(unseen(facts));
        findings.extend(workloads::findings(facts));
        findings.extend(pods::findings(facts));
        findings.extend(settings::findings(facts));
        findings.extend(rights::findings(facts));
    }
    findings.extend(leader::findings(facts));
    findings.extend(versions::findings(facts));
    if facts.version.trouble.is_none() {
        findings.extend(nats::findings(facts));
        findings.extend(agents::findings(facts));
        findings.extend(neighbours::findings(facts));
        findings.extend(leftovers::findings(facts));
    }
    Report::new(findings)
}

/// All about a removal: what is in its way, or what it left.
pub(crate) fn examine_removal(remains: &Remains) -> Report {
    let mut findings = kubernetes::findings(&remains.version);
    if remains.version.trouble.is_none() {
        findings.extend(if remains.workloads.trouble.is_some() {
            // Before the removal or after it? What helps in the one case harms in the other.
            traces::unseen(remains)
        } else if remains.is_installed() {
            removal::findings(remains)
        } else {
            traces::findings(remains)
        });
    }
    Report::new(findings)
}

/// What could not be looked at, mostly for lack of a right.
fn unseen(facts: &Facts) -> Vec<Finding> {
    let looked: [(&str, &Answer); 8] = [
        ("nodes", &facts.nodes),
        ("workloads", &facts.workloads),
        ("control namespace", &facts.control),
        ("agents' namespace", &facts.agents),
        ("Lease", &facts.lease),
        ("Service of NATS", &facts.services),
        ("rights of services", &facts.account_rights),
        ("your own rights", &facts.own_rights),
    ];
    let tell = |(what, answer): (&str, &Answer)| {
        let trouble = answer.trouble.as_ref()?;
        let rights = "bind the rights of a check to yourself: the commands in deploy/base/people.yaml";
        let remedy = refused::remedy(trouble, rights);
        Some(Topic::Kubernetes.warning(what, format!("not checked: {trouble}"), remedy))
    };
    looked.into_iter().filter_map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_kubernetes_the_rest_is_not_guessed_at() {
        let mut facts = Facts::for_tests();
        facts.version.trouble = Some("connection refused".to_owned());
        facts.fleet = Err("no leading scheduler was reached".to_owned());
        let report = examine(&facts);
        let found: Vec<&str> = report.findings().iter().map(|it| it.found.as_str()).collect();
        assert!(found.iter().any(|it| it.contains("connection refused")), "{found:?}");
        assert!(found.iter().any(|it| it.contains("no leading scheduler")), "{found:?}");
        assert!(!found.iter().any(|it| it.contains("not in namespace")), "{found:?}");
    }

    #[test]
    fn what_may_not_be_seen_is_said_to_be_unchecked() {
        let mut facts = Facts::for_tests();
        facts.workloads.trouble = Some("Error from server (Forbidden): daemonsets.apps is forbidden".to_owned());
        let report = examine(&facts);
        let unseen = report.findings().iter().find(|it| it.subject == "workloads");
        let unseen = unseen.unwrap();
        assert!(unseen.found.starts_with("not checked: Error from server (Forbidden)"));
        let remedy = unseen.remedy.as_deref().unwrap();
        assert!(remedy.ends_with("the commands in deploy/base/people.yaml"), "{remedy}");
    }

    #[test]
    fn a_removal_whose_workloads_cannot_be_seen_gets_no_remedy_that_may_harm() {
        let places = facts::Places {
            control: "bellwether".to_owned(),
            agents: "bellwether-agents".to_owned(),
        };
        let mut remains = Remains::none(places);
        let binding = serde_json::json!({ "kind": "ClusterRoleBinding", "metadata": { "name": "bellwether-drainer" } });
        remains.cluster.objects = vec![binding];
        remains.workloads.trouble = Some("kubectl gave no answer within 60s".to_owned());
        let report = examine_removal(&remains);
        assert!(!report.is_good());
        let told: Vec<&str> = report.findings().iter().map(|it| it.subject.as_str()).collect();
        assert_eq!(told, ["Kubernetes", "workloads"]);
        let remedies: Vec<&str> = report.findings().iter().filter_map(|it| it.remedy.as_deref()).collect();
        assert!(remedies.iter().all(|it| !it.contains("delete")), "{remedies:?}");
    }
}
