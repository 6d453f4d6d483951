//! The nodes that wait for a reboot, in the order in which they go: pure functions from messages to text.

use bellwether_check::text::{NOTHING, instant};
use bellwether_proto::wire;
use jiff::Timestamp;

use crate::render;
use crate::time::{age, full};
use crate::vocabulary::{self, or_nothing};

/// The fleet with the nodes that wait: those in the queue by their number, then those that another reason keeps from the
/// queue, the longest need first.
pub(crate) fn waiting(fleet: wire::ListNodesResponse) -> wire::ListNodesResponse {
    let is_waiting = |node: &wire::NodeStatus| node.state == i32::from(wire::NodeState::Waiting);
    let mut nodes: Vec<_> = fleet.nodes.into_iter().filter(is_waiting).collect();
    nodes.sort_by_key(|node| {
        let number = (node.queue_number > 0).then_some(node.queue_number);
        let since = node.required_since.map(|since| (since.seconds, since.nanos));
        (number.is_none(), number, since, node.node.clone())
    });
    wire::ListNodesResponse { nodes, ..fleet }
}

/// One line for each node.
pub(crate) fn table(fleet: &wire::ListNodesResponse, wide: bool, now: Timestamp) -> String {
    let mut text = render::slots(fleet, now);
    for policy in &fleet.policies {
        text.push_str(&outlook(policy));
    }
    if fleet.nodes.is_empty() {
        text.push_str("No node waits for a reboot.\n");
        return text;
    }
    let rows = fleet.nodes.iter().map(|node| {
        let number = match node.queue_number {
            0 => NOTHING.to_owned(),
            number => number.to_string(),
        };
        let code = node.reason.as_ref().map_or("", |reason| &reason.code);
        let reason = vocabulary::reason(node);
        vec![
            number,
            node.node.clone(),
            age(instant(node.required_since), now),
            or_nothing(&node.policy),
            or_nothing(code),
            if wide { reason } else { render::clipped(&reason) },
        ]
    });
    text.push_str(&render::table(
        &["#", "NODE", "NEED", "POLICY", "BLOCKER", "REASON"],
        rows,
    ));
    text
}

/// Whether the opening of a policy suffices, in one line; empty for an opening without an end.
fn outlook(policy: &wire::PolicyOutlook) -> String {
    let name = &policy.policy;
    let until = full(instant(policy.until));
    let opening = match (policy.never_open, policy.until, instant(policy.opens_at)) {
        (true, ..) => "no opening in the next ten years".to_owned(),
        (false, None, _) => return String::new(),
        (false, Some(_), None) => format!("opening until {until}"),
        (false, Some(_), opens_at @ Some(_)) => format!("next opening from {} to {until}", full(opens_at)),
    };
    let all = policy.fitting.saturating_add(policy.left_over);
    let nodes = if all == 1 { "node fits" } else { "nodes fit" };
    let named = policy.left_over_nodes.join(", ");
    let unnamed = usize::try_from(policy.left_over)
        .unwrap_or(usize::MAX)
        .saturating_sub(policy.left_over_nodes.len());
    let left_over = match (policy.left_over, unnamed) {
        (0, _) => String::new(),
        (_, 0) => format!("; left over: {named}"),
        (_, more) => format!("; left over: {named} and {more} more"),
    };
    format!(
        "Policy {name}: {opening}, {} of {all} {nodes}{left_over}\n",
        policy.fitting
    )
}

#[cfg(test)]
mod tests {
    use bellwether_proto::to_timestamp;

    use super::*;

    fn node(name: &str, state: wire::NodeState, number: u32, since: i64) -> wire::NodeStatus {
        wire::NodeStatus {
            node: name.to_owned(),
            state: state.into(),
            queue_number: number,
            required_since: Some(to_timestamp(Timestamp::from_second(since).unwrap())),
            policy: "nights".to_owned(),
            reason: Some(wire::Reason {
                code: "NoSlot".to_owned(),
                message: "1 slot is taken".to_owned(),
                since: None,
            }),
            ..Default::default()
        }
    }

    #[test]
    fn nodes_go_by_their_number_and_those_without_one_follow_by_their_need() {
        let waiting = waiting(wire::ListNodesResponse {
            nodes: vec![
                node("a", wire::NodeState::Waiting, 0, 20),
                node("b", wire::NodeState::Waiting, 2, 30),
                node("c", wire::NodeState::InProgress, 0, 1),
                node("d", wire::NodeState::Waiting, 1, 40),
                node("e", wire::NodeState::Waiting, 0, 10),
            ],
            slots_total: 1,
            slots_taken: 1,
            ..Default::default()
        });
        let now = Timestamp::from_second(100).unwrap();
        let text = table(&waiting, false, now);
        let expected = "\
Slots taken: 1/1.
#   NODE   NEED   POLICY   BLOCKER   REASON
1   d      60s    nights   NoSlot    1 slot is taken
2   b      70s    nights   NoSlot    1 slot is taken
-   e      90s    nights   NoSlot    1 slot is taken
-   a      80s    nights   NoSlot    1 slot is taken
";
        assert_eq!(text, expected);
    }

    #[test]
    fn each_policy_with_an_opening_states_whether_it_suffices() {
        let at = |seconds| Some(to_timestamp(Timestamp::from_second(seconds).unwrap()));
        let policy = wire::PolicyOutlook {
            policy: "nights".to_owned(),
            until: at(7200),
            fitting: 2,
            ..Default::default()
        };
        let left_over = wire::PolicyOutlook {
            opens_at: at(3600),
            left_over: 3,
            left_over_nodes: vec!["a".to_owned(), "b".to_owned()],
            ..policy.clone()
        };
        let never = wire::PolicyOutlook {
            never_open: true,
            until: None,
            fitting: 0,
            left_over: 1,
            left_over_nodes: vec!["a".to_owned()],
            ..policy.clone()
        };
        let endless = wire::PolicyOutlook {
            until: None,
            ..policy.clone()
        };
        assert_eq!(
            outlook(&policy),
            "Policy nights: opening until 1970-01-01T02:00:00Z, 2 of 2 nodes fit\n"
        );
        let next = "Policy nights: next opening from 1970-01-01T01:00:00Z to 1970-01-01T02:00:00Z, 2 of 5 nodes fit; left over: a, b and 1 more\n";
        assert_eq!(outlook(&left_over), next);
        assert_eq!(
            outlook(&never),
            "Policy nights: no opening in the next ten years, 0 of 1 node fits; left over: a\n"
        );
        assert_eq!(outlook(&endless), "");
        let fleet = wire::ListNodesResponse {
            policies: vec![policy],
            ..Default::default()
        };
        let text = table(&fleet, false, Timestamp::UNIX_EPOCH);
        assert!(text.contains("\nPolicy nights: opening until"), "{text}");
    }

    #[test]
    fn without_a_node_that_waits_the_table_says_so() {
        let text = table(&wire::ListNodesResponse::default(), false, Timestamp::UNIX_EPOCH);
        assert!(text.ends_with("No node waits for a reboot.\n"), "{text}");
    }
}
