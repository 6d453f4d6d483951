//! Whether a scheduler leads, and whether it can decide.

use bellwether_proto::mark::LEASE;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;

use crate::check::Check;
use crate::code::Code;
use crate::facts::{Facts, Gathered};
use crate::finding::{Finding, Topic};
use crate::text;

pub(crate) const CHECK: Check = Check {
    name: "leader",
    needs_kubernetes: false,
    find: findings,
};

/// The clock here and the leader's may differ: a Lease is called old only when it has been for long.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(30);

fn findings(facts: &Facts) -> Vec<Finding> {
    let namespace = &facts.namespaces.control;
    let answer = match &facts.fleet {
        Ok(answer) => answer,
        Err(why) => {
            let found = match election(&facts.lease, facts.now) {
                Some(election) => format!("{election}; {why}"),
                None => why.clone(),
            };
            let remedy = format!("kubectl -n {namespace} get pods; kubectl -n {namespace} logs deployment/scheduler");
            return vec![Topic::Leader.problem(Code::NoLeader, "leading scheduler", found, remedy)];
        }
    };
    let list = &answer.list;
    let version = match list.scheduler_version.as_str() {
        "" => "an older version that does not report it",
        version => version,
    };
    let found = format!("{}, version {version}", answer.leader);
    let mut findings = vec![Topic::Leader.ok("leading scheduler", found)];
    if !list.notice.is_empty() {
        findings.push(Topic::Leader.problem(
            Code::DecisionsStopped,
            "decisions",
            format!("nothing new is decided: {}", list.notice),
            format!("kubectl -n {namespace} logs deployment/scheduler --tail=20    # if that does not say enough"),
        ));
    }
    if let Some(control) = list.control.as_ref().filter(|control| control.paused) {
        let found = text::paused(control, facts.now);
        findings.push(Topic::Leader.warning(Code::FleetPaused, "decisions", found, "kubectl reboots resume"));
    }
    findings
}

/// What is wrong with the Lease, if something is.
fn election(lease: &Gathered<Option<Lease>>, now: Timestamp) -> Option<String> {
    if lease.failure.is_some() {
        return None;
    }
    let Some(lease) = &lease.objects else {
        return Some(format!("no scheduler has ever led: there is no Lease {LEASE}"));
    };
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default();
    if holder.is_empty() {
        return Some(format!("no scheduler holds the Lease {LEASE}"));
    }
    let renewed = spec?.renew_time.as_ref()?.0;
    let duration = i64::from(spec?.lease_duration_seconds.unwrap_or_default());
    let old = now.duration_since(renewed) > SignedDuration::from_secs(duration) + CLOCKS_DIFFER;
    old.then(|| {
        format!(
            "{holder} held the Lease {LEASE} and has not renewed it for {}",
            text::between(renewed, now)
        )
    })
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire;
    use serde_json::json;

    use super::*;
    use crate::facts::FleetAnswer;
    use crate::failure::Failure;
    use crate::finding::Severity;
    use crate::testing::objects;

    fn lease(holder: &str, renewed: Option<&str>) -> Gathered<Option<Lease>> {
        let spec = json!({ "holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15 });
        Gathered {
            objects: objects([json!({ "kind": "Lease", "spec": spec })]),
            failure: None,
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_lease_shows_why_no_scheduler_leads() {
        let fresh = lease("scheduler-a", Some("2026-11-22T11:59:50.123456Z"));
        assert_eq!(election(&fresh, now()), None);
        let old = election(&lease("scheduler-a", Some("2026-11-22T11:50:00.000000Z")), now()).unwrap();
        assert!(old.contains("scheduler-a held") && old.contains("10m"), "{old}");
        assert!(
            election(&lease("", None), now())
                .unwrap()
                .starts_with("no scheduler holds")
        );
        assert!(
            election(&Gathered::default(), now())
                .unwrap()
                .starts_with("no scheduler has ever led")
        );
        let forbidden = Gathered {
            objects: None,
            failure: Some(Failure::forbidden("no")),
        };
        assert_eq!(election(&forbidden, now()), None, "that is not known");
    }

    #[test]
    fn the_notice_and_the_pause_of_the_leader_are_passed_on() {
        let mut facts = crate::testing::facts();
        let list = wire::ListNodesResponse {
            scheduler_version: "0.1.0".to_owned(),
            notice: "the API server does not answer".to_owned(),
            control: Some(wire::FleetControl {
                paused: true,
                by: "anna".to_owned(),
                reason: "release".to_owned(),
                since: None,
                orders: Vec::new(),
                event_chain: None,
            }),
            ..Default::default()
        };
        let leader = "pod scheduler-a".to_owned();
        facts.fleet = Ok(FleetAnswer { leader, list });
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
