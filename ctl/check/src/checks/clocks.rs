//! The clocks of hosts against that of NATS, as the leading scheduler reports them.

use bellwether_proto::from_duration;
use bellwether_proto::wire::NodeStatus;
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};
use crate::group::{Groups, count, names};

pub(crate) const CHECK: Check = Check {
    name: "clocks",
    needs_kubernetes: true,
    find: findings,
};

/// From here on an operator should look at the host's clock.
const CLOCK_WARNING: SignedDuration = SignedDuration::from_secs(5);

pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut groups = Groups::new();
    for status in facts.statuses() {
        let Some(ahead) = ahead(status) else { continue };
        let severity = match ahead.abs() {
            off if off > Policy::CLOCK_OFF_MAX => Severity::Problem,
            off if off > CLOCK_WARNING => Severity::Warning,
            _ => continue,
        };
        let side = if ahead.is_negative() { "behind" } else { "ahead" };
        groups.add(
            (severity, side),
            &format!("{} by {}s", status.node, ahead.as_secs().abs()),
        );
    }
    let finding = |((severity, side), nodes): ((Severity, &str), Vec<String>)| {
        let found = format!(
            "{side} of NATS: {}; it judges until when a reboot may begin",
            names(&nodes)
        );
        let remedy = "on the host: timedatectl set-ntp true; chronyc tracking".to_owned();
        let subject = format!("clock of {}", count(nodes.len(), "node"));
        Topic::Clocks.finding(severity, Code::ClockOff, subject, found, Some(remedy))
    };
    groups.into_iter().map(finding).collect()
}

/// How far the host's clock is ahead, by the report that shows the greater difference.
fn ahead(status: &NodeStatus) -> Option<SignedDuration> {
    let agents = [&status.sentinel, &status.rebooter].into_iter().flatten();
    let reported = agents
        .filter(|agent| !agent.stale)
        .filter_map(|agent| agent.clock_ahead);
    let spans = reported.filter_map(from_duration);
    spans.max_by_key(|ahead| ahead.abs())
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire::{Agent, ListNodesResponse};
    use prost_types::Duration;

    use super::*;
    use crate::facts::FleetAnswer;

    fn off(seconds: i64) -> Vec<Finding> {
        off_by(Duration { seconds, nanos: 0 })
    }

    fn off_by(ahead: Duration) -> Vec<Finding> {
        let agent = Agent {
            clock_ahead: Some(ahead),
            ..Agent::default()
        };
        let status = NodeStatus {
            node: "node-2".to_owned(),
            sentinel: Some(agent),
            ..NodeStatus::default()
        };
        let mut facts = crate::testing::facts();
        facts.fleet = Ok(FleetAnswer {
            list: ListNodesResponse {
                nodes: vec![status],
                ..ListNodesResponse::default()
            },
            ..FleetAnswer::default()
        });
        findings(&facts)
    }

    #[test]
    fn a_clock_that_is_off_is_a_warning_and_then_a_problem() {
        assert_eq!(off(4), []);
        let behind = off(-6).remove(0);
        assert_eq!((behind.severity, behind.topic), (Severity::Warning, Topic::Clocks));
        assert!(behind.found.starts_with("behind of NATS: node-2 by 6s"), "{behind:?}");
        let ahead = off(61).remove(0);
        assert_eq!(ahead.severity, Severity::Problem);
        assert!(ahead.found.starts_with("ahead of NATS: node-2 by 61s"), "{ahead:?}");
    }

    #[test]
    fn a_difference_that_is_no_duration_is_left_out_and_the_longest_is_shown() {
        for (seconds, nanos) in [(i64::MAX, i32::MAX), (i64::MIN, i32::MIN), (i64::MAX, 0), (9, -9)] {
            assert_eq!(off_by(Duration { seconds, nanos }), []);
        }
        assert_eq!(off(-315_576_000_000).len(), 1);
    }
}
