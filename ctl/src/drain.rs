//! How far a drain is and what a drain has met, as lines of `explain` and as JSON.

use bellwether_check::text::{between, instant, one_line};
use bellwether_proto::{BlockerKind, DrainProgress, wire};
use jiff::Timestamp;
use serde::Serialize;

/// Labels and values about a drain that is under way.
pub(crate) fn progress_lines(progress: &wire::DrainProgressed) -> Vec<(&'static str, String)> {
    let bare = wire::DrainProgressed {
        held_up_by: Vec::new(),
        blockers: Vec::new(),
        ..*progress
    };
    let mut lines = vec![("Drain", crate::vocabulary::drain(&bare))];
    // Fails for an instant out of range only; the sentences below are there nevertheless.
    let reasons = DrainProgress::from_wire(progress.clone()).map(|progress| progress.blockers);
    lines.extend(
        reasons
            .unwrap_or_default()
            .iter()
            .map(|reason| ("Left", one_line(&reason.to_string()))),
    );
    let sentences = progress.held_up_by.iter();
    lines.extend(sentences.map(|sentence| ("Held up by", one_line(sentence))));
    lines
}

/// Labels and values about a drain that has ended.
pub(crate) fn report_lines(report: &wire::DrainReport) -> Vec<(&'static str, String)> {
    let staying = report.staying.unwrap_or_default();
    let classes = [
        ("of DaemonSets", staying.daemon_set),
        ("static", staying.r#static),
        ("finished", staying.finished),
        ("annotated", staying.annotated),
        ("came back", staying.returning),
    ];
    let mut parts = vec![format!(
        "{} pods gone by {} evictions",
        report.pods_gone, report.evictions
    )];
    if report.pods_left > 0 {
        parts.push(format!("{} left", report.pods_left));
    }
    let stay = classes.iter().filter(|(_, pods)| *pods > 0);
    parts.extend(stay.map(|(class, pods)| format!("{pods} stay ({class})")));
    if report.longest_grace_seconds > 0 {
        parts.push(format!("longest grace {}", span(report.longest_grace_seconds)));
    }
    let took = format!("{}: {}", span(report.seconds), parts.join(", "));
    let mut lines = vec![("Drain took", took)];
    for wire::BlockedBudget {
        namespace,
        budget,
        blocked_seconds,
    } in &report.budgets
    {
        let name = if budget.is_empty() {
            format!("a disruption budget in namespace {namespace}")
        } else {
            format!("disruption budget {namespace}/{budget}")
        };
        let line = format!("{name} for {}", span(*blocked_seconds));
        lines.push(("Blocked by", one_line(&line)));
    }
    if !report.stuck_pods.is_empty() {
        lines.push(("Over grace", one_line(&report.stuck_pods.join(", "))));
    }
    for wire::ReturnedPods { namespace, owner, pods } in &report.returned {
        let line = format!("{pods} pods of {owner} in namespace {namespace}");
        lines.push(("Came back", one_line(&line)));
    }
    lines
}

fn span(seconds: u32) -> String {
    let end = Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::MAX);
    between(Timestamp::UNIX_EPOCH, end)
}

/// A drain under way.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Progress<'a> {
    pods_left: u32,
    pods_gone: u32,
    blockers: Vec<Blocker<'a>>,
    held_up_by: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blocker<'a> {
    kind: String,
    pods: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grace_ends_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    namespace_owners: &'a [String],
}

#[derive(Serialize)]
struct Budget<'a> {
    namespace: &'a str,
    name: &'a str,
    healthy: u32,
    desired: u32,
    expected: u32,
}

impl<'a> From<&'a wire::DrainProgressed> for Progress<'a> {
    fn from(drain: &'a wire::DrainProgressed) -> Self {
        Self {
            pods_left: drain.pods_left,
            pods_gone: drain.pods_gone,
            blockers: drain.blockers.iter().map(Blocker::from).collect(),
            held_up_by: &drain.held_up_by,
        }
    }
}

impl<'a> From<&'a wire::Blocker> for Blocker<'a> {
    fn from(blocker: &'a wire::Blocker) -> Self {
        let kind = BlockerKind::from(blocker.kind);
        let kind = if let BlockerKind::Unknown(number) = kind {
            format!("Kind{number}")
        } else {
            kind.as_str().to_owned()
        };
        let is_named = !blocker.budget.is_empty();
        Self {
            kind,
            pods: blocker.pods,
            budget: is_named.then(|| Budget {
                namespace: &blocker.namespace,
                name: &blocker.budget,
                healthy: blocker.healthy,
                desired: blocker.desired,
                expected: blocker.expected,
            }),
            grace_ends_at: instant(blocker.grace_ends_at),
            namespace_owners: &blocker.namespace_owners,
        }
    }
}

/// What a drain has met.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report<'a> {
    seconds: u32,
    pods_gone: u32,
    evictions: u32,
    pods_left: u32,
    staying: Staying,
    budgets: Vec<BlockedBudget<'a>>,
    longest_grace_seconds: u32,
    stuck_pods: &'a [String],
    returned: Vec<Returned<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Staying {
    daemon_set: u32,
    r#static: u32,
    finished: u32,
    annotated: u32,
    returning: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockedBudget<'a> {
    namespace: &'a str,
    name: &'a str,
    blocked_seconds: u32,
}

#[derive(Serialize)]
struct Returned<'a> {
    namespace: &'a str,
    owner: &'a str,
    pods: u32,
}

impl<'a> From<&'a wire::DrainReport> for Report<'a> {
    fn from(report: &'a wire::DrainReport) -> Self {
        let staying = report.staying.unwrap_or_default();
        let budgets = report.budgets.iter().map(|budget| BlockedBudget {
            namespace: &budget.namespace,
            name: &budget.budget,
            blocked_seconds: budget.blocked_seconds,
        });
        let returned = report.returned.iter().map(|returned| Returned {
            namespace: &returned.namespace,
            owner: &returned.owner,
            pods: returned.pods,
        });
        Self {
            seconds: report.seconds,
            pods_gone: report.pods_gone,
            evictions: report.evictions,
            pods_left: report.pods_left,
            staying: Staying {
                daemon_set: staying.daemon_set,
                r#static: staying.r#static,
                finished: staying.finished,
                annotated: staying.annotated,
                returning: staying.returning,
            },
            budgets: budgets.collect(),
            longest_grace_seconds: report.longest_grace_seconds,
            stuck_pods: &report.stuck_pods,
            returned: returned.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d51_a_report_names_budgets_stuck_pods_and_owners_whose_pods_came_back() {
        let report = wire::DrainReport {
            seconds: 95,
            pods_gone: 7,
            evictions: 6,
            pods_left: 1,
            staying: Some(wire::StayingPods {
                daemon_set: 3,
                r#static: 2,
                ..Default::default()
            }),
            budgets: vec![wire::BlockedBudget {
                namespace: "shop".into(),
                budget: "web".into(),
                blocked_seconds: 40,
            }],
            longest_grace_seconds: 30,
            stuck_pods: vec!["shop/db-0".into()],
            returned: vec![wire::ReturnedPods {
                namespace: "shop".into(),
                owner: "ReplicaSet/web".into(),
                pods: 4,
            }],
        };
        let lines = report_lines(&report).into_iter();
        let lines: Vec<String> = lines.map(|(label, value)| format!("{label}: {value}")).collect();
        assert_eq!(
            lines,
            [
                "Drain took: 95s: 7 pods gone by 6 evictions, 1 left, 3 stay (of DaemonSets), 2 stay (static), longest \
                 grace 30s",
                "Blocked by: disruption budget shop/web for 40s",
                "Over grace: shop/db-0",
                "Came back: 4 pods of ReplicaSet/web in namespace shop",
            ]
        );
        let json = serde_json::to_value(Report::from(&report)).unwrap();
        assert_eq!(json["budgets"][0]["blockedSeconds"], 40);
        assert_eq!(json["staying"]["daemonSet"], 3);
    }

    #[test]
    fn a_reason_of_a_newer_drainer_is_shown_by_its_number() {
        let progress = wire::DrainProgressed {
            pods_left: 1,
            blockers: vec![wire::Blocker {
                kind: 99,
                pods: 1,
                ..Default::default()
            }],
            ..Default::default()
        };
        let lines = progress_lines(&progress);
        assert_eq!(
            lines.last().unwrap(),
            &("Left", "1 for a reason of the kind 99".to_owned())
        );
        let json = serde_json::to_value(Progress::from(&progress)).unwrap();
        assert_eq!(json["blockers"][0]["kind"], "Kind99");
    }
}
