//! Who leads, and whether the leader can decide.

use jiff::{SignedDuration, Timestamp};

use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::object::{instant, number, text};
use crate::facts::LEASE;
use crate::facts::Answer;
use crate::{render, time};

/// The clock here and the leader's may differ: a Lease is called old only when it has been for long.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(30);

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let namespace = &facts.places.control;
    let reached = match &facts.fleet {
        Ok(reached) => reached,
        Err(why) => {
            let found = match election(&facts.lease, facts.now) {
                Some(election) => format!("{election}; {why}"),
                None => why.clone(),
            };
            let remedy = format!("kubectl -n {namespace} get pods; kubectl -n {namespace} logs deployment/scheduler");
            return vec![Topic::Leader.problem("leading scheduler", found, remedy)];
        }
    };
    let answer = &reached.list;
    let version = match answer.scheduler_version.as_str() {
        "" => "an older version that does not tell it",
        version => version,
    };
    let found = format!("{}, version {version}", reached.leader);
    let mut findings = vec![Topic::Leader.ok("leading scheduler", found)];
    if !answer.notice.is_empty() {
        findings.push(Topic::Leader.problem(
            "decisions",
            format!("nothing new is decided: {}", answer.notice),
            format!("kubectl -n {namespace} logs deployment/scheduler --tail=20    # if that does not say enough"),
        ));
    }
    if let Some(control) = answer.control.as_ref().filter(|control| control.paused) {
        let found = render::paused(control, facts.now);
        findings.push(Topic::Leader.warning("decisions", found, "kubectl reboots resume"));
    }
    findings
}

/// What is wrong with the Lease, if something is.
fn election(lease: &Answer, now: Timestamp) -> Option<String> {
    if lease.trouble.is_some() {
        return None;
    }
    let Some(lease) = lease.objects.first() else {
        return Some(format!("no scheduler has ever led: there is no Lease {LEASE}"));
    };
    let holder = text(lease, "/spec/holderIdentity");
    if holder.is_empty() {
        return Some(format!("nobody holds the Lease {LEASE}"));
    }
    let renewed = instant(lease, "/spec/renewTime")?;
    let duration = i64::try_from(number(lease, "/spec/leaseDurationSeconds")).unwrap_or_default();
    let old = now.duration_since(renewed) > SignedDuration::from_secs(duration) + CLOCKS_DIFFER;
    old.then(|| {
        format!(
            "{holder} held the Lease {LEASE} and has not renewed it for {}",
            time::between(renewed, now)
        )
    })
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire;
    use serde_json::json;

    use crate::facts::Reached;
    use crate::finding::Severity;
    use super::*;

    fn lease(holder: &str, renewed: &str) -> Answer {
        let spec = json!({ "holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15 });
        Answer {
            objects: vec![json!({ "kind": "Lease", "spec": spec })],
            trouble: None,
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_lease_tells_why_nobody_leads() {
        let fresh = lease("scheduler-a", "2026-11-22T11:59:50.123456Z");
        assert_eq!(election(&fresh, now()), None);
        let old = election(&lease("scheduler-a", "2026-11-22T11:50:00.000000Z"), now()).unwrap();
        assert!(old.contains("scheduler-a held") && old.contains("10m"), "{old}");
        assert!(election(&lease("", ""), now()).unwrap().starts_with("nobody holds"));
        assert!(
            election(&Answer::default(), now())
                .unwrap()
                .starts_with("no scheduler has ever led")
        );
        let forbidden = Answer {
            objects: vec![],
            trouble: Some("Forbidden".to_owned()),
        };
        assert_eq!(election(&forbidden, now()), None, "that is not known");
    }

    #[test]
    fn what_the_leader_says_is_passed_on() {
        let mut facts = Facts::for_tests();
        let list = wire::ListNodesResponse {
            scheduler_version: "0.1.0".to_owned(),
            notice: "the API server does not answer".to_owned(),
            control: Some(wire::FleetControl {
                paused: true,
                by: "anna".to_owned(),
                reason: "release".to_owned(),
                since: None,
                orders: Vec::new(),
            }),
            ..Default::default()
        };
        let leader = "pod scheduler-a".to_owned();
        facts.fleet = Ok(Reached { leader, list });
        let findings = findings(&facts);
        let severities: Vec<Severity> = findings.iter().map(|it| it.severity).collect();
        assert_eq!(severities, [Severity::Ok, Severity::Problem, Severity::Warning]);
        let all: Vec<&str> = findings.iter().map(|it| it.found.as_str()).collect();
        assert_eq!(
            all,
            [
                "pod scheduler-a, version 0.1.0",
                "nothing new is decided: the API server does not answer",
                "Paused by anna: release"
            ]
        );
    }
}
