//! The nodes that wait for a reboot, in the order in which they go: pure functions from messages to text.

use bellwether_check::text::{NOTHING, instant};
use bellwether_proto::wire;
use jiff::Timestamp;

use crate::render;
use crate::time::age;
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
    fn without_a_node_that_waits_the_table_says_so() {
        let text = table(&wire::ListNodesResponse::default(), false, Timestamp::UNIX_EPOCH);
        assert!(text.ends_with("No node waits for a reboot.\n"), "{text}");
    }
}
