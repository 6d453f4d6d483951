//! The status of each RebootPolicy, written by the leader beside its loop: nothing waits for a status.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::clock;
use bellwether_policy::calendar::CalendarState;
use bellwether_policy::{
    BudgetUsage, Condition, ConditionReason, GROUP, KIND, LeftOver, NodeNumbers, RebootPolicyStatus, VERSION,
    WindowState,
};
use bellwether_scheduler_core::PolicyStanding;
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde::Deserialize as _;
use serde_json::json;
use tokio::sync::watch;

use crate::cluster::client::FIELD_MANAGER;
use crate::cluster::policy::PolicyObject;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How soon a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Writes what is sent, for ever. What cannot be written is logged, and tried again.
pub(crate) async fn write(client: Client, mut standings: watch::Receiver<Vec<PolicyStanding>>) {
    let policies = Api::<PolicyObject>::all(client);
    let mut written = BTreeMap::<String, RebootPolicyStatus>::new();
    let mut is_written = true;
    // The sender lives as long as the leader, and this future too.
    while next(&mut standings, is_written).await {
        is_written = true;
        let present = standings.borrow_and_update().clone();
        written.retain(|name, _| present.iter().any(|standing| standing.name == *name));
        for standing in &present {
            let before = written.remove(&standing.name);
            match tokio::time::timeout(TIMEOUT, update(&policies, standing, before)).await {
                Ok(Ok(status)) => drop(written.insert(standing.name.clone(), status)),
                Ok(Err(error)) => {
                    warn(standing, &format!("{error:#}"));
                    is_written = false;
                }
                Err(_) => {
                    warn(standing, "the API server has not answered in time");
                    is_written = false;
                }
            }
        }
    }
}

/// Waits for the next change, or for the next try if something could not be written. False: there is no leader.
async fn next(standings: &mut watch::Receiver<Vec<PolicyStanding>>, is_written: bool) -> bool {
    let changed = standings.changed();
    if is_written {
        return changed.await.is_ok();
    }
    match tokio::time::timeout(RETRY, changed).await {
        Ok(changed) => changed.is_ok(),
        Err(_) => true,
    }
}

fn warn(standing: &PolicyStanding, error: &str) {
    tracing::warn!(policy = standing.name, error, "Status of a policy not written");
}

/// Writes the status unless that is there already; returns what is there then.
async fn update(
    policies: &Api<PolicyObject>,
    standing: &PolicyStanding,
    before: Option<RebootPolicyStatus>,
) -> anyhow::Result<RebootPolicyStatus> {
    let before = match before {
        Some(before) => before,
        None => {
            // The right to list is that of the watch, and covers the one.
            let one = ListParams::default().fields(&format!("metadata.name={}", standing.name));
            let objects = policies.list(&one).await.context("read the policy")?.items;
            let status = objects
                .first()
                .map(|object| RebootPolicyStatus::deserialize(&object.status));
            status.and_then(Result::ok).unwrap_or_default()
        }
    };
    let status = status(standing, &before, clock::now());
    if !is_written_already(&status, &before) {
        let patch = Patch::Apply(json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": KIND,
            "metadata": { "name": standing.name },
            "status": status,
        }));
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patched = policies.patch_status(&standing.name, &params, &patch);
        patched.await.context("patch the status")?;
        return Ok(status);
    }
    Ok(before)
}

/// True if at most the names of left-over nodes differ: the order in which nodes go may change with each of them, and is no
/// reason for a write.
fn is_written_already(status: &RebootPolicyStatus, before: &RebootPolicyStatus) -> bool {
    let count = |status: &RebootPolicyStatus| status.left_over.as_ref().map(|left_over| left_over.count);
    let with_names_of_before = RebootPolicyStatus {
        left_over: before.left_over.clone(),
        ..status.clone()
    };
    count(status) == count(before) && with_names_of_before == *before
}

/// The status of a policy that had another one before.
fn status(standing: &PolicyStanding, before: &RebootPolicyStatus, now: Timestamp) -> RebootPolicyStatus {
    let condition = |type_: &str, holds: bool, reason, message: String| {
        let status = if holds { "True" } else { "False" };
        let same = before
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason,
            message,
            last_transition_time: same.map_or_else(|| format!("{now:.0}"), |same| same.last_transition_time.clone()),
            observed_generation: Some(standing.generation),
        }
    };
    let accepted = match standing.faults.as_str() {
        "" => condition(
            "Accepted",
            true,
            ConditionReason::Valid,
            "The scheduler acts by this policy".to_owned(),
        ),
        faults => condition(
            "Accepted",
            false,
            ConditionReason::Invalid,
            format!("The nodes of this policy are not rebooted: {faults}"),
        ),
    };
    let conflict = match &standing.conflict {
        None => condition(
            "Conflict",
            false,
            ConditionReason::NoConflict,
            "No node has another policy of this priority".to_owned(),
        ),
        Some((other, node)) => condition(
            "Conflict",
            true,
            ConditionReason::SamePriority,
            format!(
                "Node {node} and perhaps others are not rebooted: policy {other} has the same priority and selects them too"
            ),
        ),
    };
    let stopped = match (
        &standing.stopped,
        &standing.failed_canary,
        standing.stopped_cohorts.as_slice(),
    ) {
        (None, Some((node, cause)), _) => condition(
            "Stopped",
            true,
            ConditionReason::CanaryFailed,
            format!(
                "No other node of this policy starts, since the reboot of the canary {node} failed ({})",
                cause.as_str()
            ),
        ),
        (Some(stop), ..) => condition(
            "Stopped",
            true,
            ConditionReason::TooManyFailures,
            format!("No node of this policy starts, since {stop}"),
        ),
        (None, None, []) => condition(
            "Stopped",
            false,
            ConditionReason::NotStopped,
            "No failed reboot keeps a node from starting".to_owned(),
        ),
        (None, None, cohorts) => condition(
            "Stopped",
            false,
            ConditionReason::CohortStopped,
            format!("No node of some cohorts starts: {}", cohorts.join("; ")),
        ),
    };
    let suffices = match standing.left_over {
        None | Some(0) => condition(
            "WindowSuffices",
            true,
            ConditionReason::AllFit,
            "Each node that waits for its turn fits into the present or next opening".to_owned(),
        ),
        Some(_) => condition(
            "WindowSuffices",
            false,
            ConditionReason::NodesLeftOver,
            "The nodes of status.leftOver and perhaps others do not fit into the present or next opening: have the windows be open for longer, raise the budget or --slots, or `kubectl reboots now NODE`".to_owned(),
        ),
    };
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    RebootPolicyStatus {
        observed_generation: Some(standing.generation),
        conditions: vec![accepted, conflict, stopped, suffices],
        window: standing
            .calendar
            .map(|calendar| window(calendar, standing.blackout.clone())),
        nodes: Some(NodeNumbers {
            governed: number(standing.nodes.governed),
            waiting: number(standing.nodes.waiting),
            in_progress: number(standing.nodes.in_progress),
            failed: number(standing.nodes.failed),
        }),
        budget: standing.budget.map(|budget| BudgetUsage {
            unavailable: number(budget.unavailable),
            max_unavailable: number(budget.max_unavailable),
        }),
        left_over: standing.left_over.filter(|count| *count > 0).map(|count| LeftOver {
            count: number(count),
            nodes: standing.first_left_over.iter().map(ToString::to_string).collect(),
        }),
    }
}

fn window(calendar: CalendarState, blackout: Option<String>) -> WindowState {
    let (open, until) = match calendar {
        CalendarState::Open { until, .. } => (true, until),
        CalendarState::Shut { opens_at, .. } => (false, opens_at),
    };
    WindowState {
        open,
        until: until.map(|until| format!("{until:.0}")),
        blackout,
    }
}

#[cfg(test)]
mod tests {
    use bellwether_scheduler_core::explain::PolicyNodes;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn standing() -> PolicyStanding {
        PolicyStanding {
            name: "nights".to_owned(),
            generation: 3,
            faults: String::new(),
            conflict: None,
            stopped: None,
            failed_canary: None,
            stopped_cohorts: vec![],
            calendar: None,
            blackout: None,
            nodes: PolicyNodes {
                governed: 4,
                waiting: 3,
                in_progress: 2,
                failed: 1,
            },
            budget: None,
            opening_ends_at: None,
            left_over: Some(0),
            first_left_over: vec![],
        }
    }

    fn texts(status: &RebootPolicyStatus) -> Vec<String> {
        let text = |condition: &Condition| format!("{}={} {}", condition.type_, condition.status, condition.message);
        status.conditions.iter().map(text).collect()
    }

    #[test]
    fn a_condition_keeps_its_time_for_as_long_as_its_status() {
        let later = NOW + jiff::SignedDuration::from_hours(1);
        let first = status(&standing(), &RebootPolicyStatus::default(), NOW);
        assert_eq!(status(&standing(), &first, later), first);
        let wrong = PolicyStanding {
            faults: "spec.startMargin: `soon` is no duration".to_owned(),
            generation: 4,
            ..standing()
        };
        let second = status(&wrong, &first, later);
        assert!(texts(&second)[0].starts_with("Accepted=False"), "{:?}", texts(&second));
        assert!(texts(&second)[0].contains("spec.startMargin"), "{:?}", texts(&second));
        assert_eq!(second.conditions[0].last_transition_time, format!("{later:.0}"));
        assert_eq!(second.conditions[1].last_transition_time, format!("{NOW:.0}"));
        assert_eq!(second.conditions[1].observed_generation, Some(4));
    }

    #[test]
    fn a_conflict_names_the_other_policy_and_a_node() {
        let conflict = PolicyStanding {
            conflict: Some(("all".into(), "n1".parse().unwrap())),
            ..standing()
        };
        let status = status(&conflict, &RebootPolicyStatus::default(), NOW);
        let text = &texts(&status)[1];
        assert!(
            text.starts_with("Conflict=True") && text.contains("n1") && text.contains("policy all"),
            "{text}"
        );
    }

    #[test]
    fn a_stopped_policy_says_so_and_one_with_a_stopped_cohort_names_the_cohort() {
        let of = |stopped: Option<&str>, cohorts: &[&str]| {
            let standing = PolicyStanding {
                stopped: stopped.map(str::to_owned),
                stopped_cohorts: cohorts.iter().map(ToString::to_string).collect(),
                ..standing()
            };
            let status = status(&standing, &RebootPolicyStatus::default(), NOW);
            (texts(&status).remove(2), status.conditions[2].reason)
        };
        let (text, reason) = of(Some("the reboots of 2 nodes failed: n1"), &["zone=a: n1"]);
        assert_eq!(reason, ConditionReason::TooManyFailures);
        assert!(
            text.starts_with("Stopped=True No node of this policy starts, since the reboots"),
            "{text}"
        );
        let (text, reason) = of(None, &["zone=a: n1", "zone=b: n2"]);
        assert_eq!(reason, ConditionReason::CohortStopped);
        assert!(
            text.starts_with("Stopped=False") && text.contains("zone=a: n1; zone=b: n2"),
            "{text}"
        );
        let failed = PolicyStanding {
            failed_canary: Some(("n3".parse().unwrap(), bellwether_proto::Cause::NodeNotBack)),
            ..standing()
        };
        let failed = status(&failed, &RebootPolicyStatus::default(), NOW);
        assert_eq!(failed.conditions[2].reason, ConditionReason::CanaryFailed);
        let text = &texts(&failed)[2];
        assert!(
            text.starts_with("Stopped=True") && text.contains("n3 failed (NodeNotBack)"),
            "{text}"
        );
        let (text, reason) = of(None, &[]);
        assert_eq!(
            (text.starts_with("Stopped=False"), reason),
            (true, ConditionReason::NotStopped)
        );
    }

    #[test]
    fn left_over_nodes_are_counted_and_only_another_count_is_a_reason_to_write() {
        let left = |count, node: &str| {
            let standing = PolicyStanding {
                left_over: Some(count),
                first_left_over: vec![node.parse().unwrap()],
                ..standing()
            };
            status(&standing, &status(&standing, &RebootPolicyStatus::default(), NOW), NOW)
        };
        let none = status(&standing(), &RebootPolicyStatus::default(), NOW);
        assert_eq!(
            (&none.left_over, none.conditions[3].reason),
            (&None, ConditionReason::AllFit)
        );
        let one = left(1, "n1");
        let expected = LeftOver {
            count: 1,
            nodes: vec!["n1".to_owned()],
        };
        assert_eq!(one.left_over, Some(expected));
        let text = &texts(&one)[3];
        assert!(
            text.starts_with("WindowSuffices=False") && text.contains("raise the budget"),
            "{text}"
        );
        assert_eq!(one.conditions[3].reason, ConditionReason::NodesLeftOver);
        assert!(!is_written_already(&one, &none) && !is_written_already(&none, &one));
        assert!(is_written_already(&left(1, "n2"), &one), "another node, and as many");
        assert!(!is_written_already(&left(2, "n1"), &one));
        let busier = RebootPolicyStatus {
            nodes: None,
            ..left(1, "n2")
        };
        assert!(!is_written_already(&busier, &one));
    }

    #[test]
    fn the_window_has_the_time_at_which_it_changes() {
        let open = CalendarState::Open {
            until: Some(NOW),
            valid_until: None,
        };
        let shut = CalendarState::Shut {
            blackout: Some(0),
            opens_at: None,
            valid_until: None,
        };
        let of = |calendar, blackout: Option<&str>| {
            let standing = PolicyStanding {
                calendar: Some(calendar),
                blackout: blackout.map(str::to_owned),
                ..standing()
            };
            status(&standing, &RebootPolicyStatus::default(), NOW).window.unwrap()
        };
        let window = of(open, None);
        assert_eq!(
            (window.open, window.until.as_deref()),
            (true, Some("1970-01-01T00:00:00Z"))
        );
        let window = of(shut, Some("freeze"));
        assert_eq!(
            (window.open, window.until, window.blackout.as_deref()),
            (false, None, Some("freeze"))
        );
    }
}
