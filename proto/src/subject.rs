//! The text of every subject, and which message belongs on which.

use crate::event::{Fact, NodeEvent, PHASE_CHANGED};
use crate::fleet_event::{FleetEvent, QUEUES_CHANGED};
use crate::ids::{NodeName, NodeToken};
use crate::order_event::ORDER_CHANGED;
use crate::stream::{ATTEMPTS, HOSTS};

/// Every command, to any node.
pub const ALL_COMMANDS: &str = "bellwether.v1.cmd.*.*";

/// Every question whether a node can be drained.
pub const ALL_DRAIN_QUESTIONS: &str = "bellwether.v1.ask.*.drain";

/// Every answer to such a question.
pub const ALL_DRAIN_ANSWERS: &str = "bellwether.v1.answer.*.drain";

/// The queue group of the drainers: one of them answers each question.
pub const DRAINERS_GROUP: &str = "drainers";

/// Every event, of any node.
pub const ALL_EVENTS: &str = "bellwether.v1.evt.*.*";

/// The events of all chains: `phase-changed` of any node.
pub const ALL_PHASE_CHANGED: &str = "bellwether.v1.evt.*.phase-changed";

/// The events that the scheduler acts on: all but its own.
pub(crate) const EVENTS_FOR_SCHEDULER: [&str; 9] = [
    "bellwether.v1.evt.*.cordoned",
    "bellwether.v1.evt.*.drain-progressed",
    "bellwether.v1.evt.*.drained",
    "bellwether.v1.evt.*.drain-failed",
    "bellwether.v1.evt.*.uncordoned",
    "bellwether.v1.evt.*.uncordon-failed",
    "bellwether.v1.evt.*.reboot-started",
    "bellwether.v1.evt.*.reboot-refused",
    "bellwether.v1.evt.*.reboot-failed",
];

/// The events that the notifier sends messages about, or needs to know of.
pub(crate) const EVENTS_FOR_NOTIFIER: [&str; 8] = [
    "bellwether.v1.evt.*.phase-changed",
    "bellwether.v1.evt.*.drain-progressed",
    "bellwether.v1.evt.*.drain-failed",
    "bellwether.v1.evt.*.uncordon-failed",
    "bellwether.v1.evt.*.reboot-started",
    "bellwether.v1.evt.*.reboot-refused",
    "bellwether.v1.evt.*.reboot-failed",
    "bellwether.v1.evt.FLEET.queues-changed",
];

/// Kinds of events that drainers write.
pub(crate) const DRAINER_EVENTS: [&str; 6] = [
    "cordoned",
    "drain-progressed",
    "drained",
    "drain-failed",
    "uncordoned",
    "uncordon-failed",
];

/// Kinds of events that a rebooter writes.
pub(crate) const REBOOTER_EVENTS: [&str; 3] = ["reboot-started", "reboot-refused", "reboot-failed"];

/// Kinds of events of nodes that the scheduler writes.
pub(crate) const SCHEDULER_EVENTS: [&str; 1] = [PHASE_CHANGED];

/// Kinds of events of the fleet.
pub(crate) const FLEET_EVENTS: [&str; 1] = [QUEUES_CHANGED];

/// In place of a node's token, in the key of [`crate::FleetControl`] and the subjects of [`FleetEvent`]: upper case, so never
/// a node's.
pub(crate) const FLEET: &str = "FLEET";

/// Where a drain command for this node goes.
#[must_use]
pub fn drain_command(node: &NodeToken) -> String {
    format!("bellwether.v1.cmd.{node}.drain")
}

/// Where an uncordon command for this node goes.
#[must_use]
pub fn uncordon_command(node: &NodeToken) -> String {
    format!("bellwether.v1.cmd.{node}.uncordon")
}

/// Where a command goes that sets or removes the taint of a node that waits for its reboot.
#[must_use]
pub fn taint_command(node: &NodeToken) -> String {
    format!("bellwether.v1.cmd.{node}.taint")
}

/// Where the question goes whether this node can be drained.
#[must_use]
pub fn drain_question(node: &NodeToken) -> String {
    format!("bellwether.v1.ask.{node}.drain")
}

/// Where the answer to that question goes.
#[must_use]
pub fn drain_answer(node: &NodeToken) -> String {
    format!("bellwether.v1.answer.{node}.drain")
}

/// Where an event of this node goes.
#[must_use]
pub fn event(node: &NodeToken, fact: &Fact) -> String {
    event_of(node.as_str(), fact.kind())
}

/// The subject of events of a kind; the node may be a wildcard.
pub(crate) fn event_of(node: &str, kind: &str) -> String {
    format!("bellwether.v1.evt.{node}.{kind}")
}

/// Where an event of the fleet goes.
#[must_use]
pub fn fleet_event(event: &FleetEvent) -> String {
    event_of(FLEET, event.fact.kind())
}

/// Where the newest state of the queues is.
#[must_use]
pub fn queues_changed() -> String {
    event_of(FLEET, QUEUES_CHANGED)
}

/// Where the chain of this node is.
#[must_use]
pub fn phase_changed(node: &NodeToken) -> String {
    event_of(node.as_str(), PHASE_CHANGED)
}

/// Where the chain of the operators' orders is.
#[must_use]
pub fn order_changed() -> String {
    event_of(FLEET, ORDER_CHANGED)
}

/// Every event of this node.
#[must_use]
pub fn events_of(node: &NodeToken) -> String {
    format!("bellwether.v1.evt.{node}.*")
}

/// What the inboxes of a connection begin with: the subjects on which a service receives the answers to its requests. A
/// prefix for each service, and for each node of an agent, so that permissions can keep one client from the answers to
/// another. `service` is the service's word, `node` the node of an agent.
#[must_use]
pub fn inbox(service: &str, node: Option<&NodeToken>) -> String {
    match node {
        Some(node) => inbox_of_agent(service, node.as_str()),
        None => format!("_INBOX.{service}"),
    }
}

/// As [`inbox`]; the node may be a wildcard.
pub(crate) fn inbox_of_agent(service: &str, node: &str) -> String {
    format!("_INBOX.{service}.{node}")
}

/// The record of this node's attempt.
#[must_use]
pub fn attempt_record(node: &NodeToken) -> String {
    format!("$KV.{ATTEMPTS}.{node}")
}

/// The record of the operators' orders for the whole fleet.
#[must_use]
pub fn control_record() -> String {
    format!("$KV.{ATTEMPTS}.{FLEET}")
}

/// Every record in the bucket of attempts.
#[must_use]
pub fn all_attempt_records() -> String {
    format!("$KV.{ATTEMPTS}.>")
}

/// The report of this node's sentinel.
#[must_use]
pub fn sentinel_record(node: &NodeToken) -> String {
    format!("$KV.{HOSTS}.{node}.sentinel")
}

/// The report of this node's rebooter.
#[must_use]
pub fn rebooter_record(node: &NodeToken) -> String {
    format!("$KV.{HOSTS}.{node}.rebooter")
}

/// Every report of every host.
#[must_use]
pub fn all_host_records() -> String {
    format!("$KV.{HOSTS}.>")
}

/// A message whose body names another node than its subject. It is rejected: the subject is what
/// the permissions in NATS are cut by, so only the subject shows for whom the writer may speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body names node {body}, the subject names node {subject}")]
pub struct OtherNode {
    /// The node of the subject.
    pub subject: NodeName,
    /// The node of the body.
    pub body: NodeName,
}

/// Checks that the body of a message names the node of its subject.
///
/// # Errors
/// Names both nodes.
pub fn same_node(subject: &NodeToken, body: &NodeName) -> Result<(), OtherNode> {
    if body.token() == *subject {
        return Ok(());
    }
    Err(OtherNode {
        subject: subject.name(),
        body: body.clone(),
    })
}

/// An event that is on a subject of other events. It is rejected: the permissions in NATS are cut by the
/// subject, so only the subject shows which facts, about which node, its writer may publish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// The subject is of another node.
    #[error(transparent)]
    Node(#[from] OtherNode),
    /// The subject is of another kind.
    #[error("the body has the fact {body}, the subject names the kind {subject}")]
    Kind {
        /// The kind of the subject.
        subject: String,
        /// The kind of the body's fact.
        body: &'static str,
    },
}

/// Checks that an event has the node and the kind of its subject. Every reader of events asks this first.
///
/// # Errors
/// Names what the subject and the body say.
pub fn same_event(node: &NodeToken, kind: &str, event: &NodeEvent) -> Result<(), Misplaced> {
    same_node(node, &event.node)?;
    same_kind(kind, event.fact.kind())
}

/// Checks that an event of the fleet has the kind of its subject. Every reader asks this first.
///
/// # Errors
/// Names what the subject and the body say.
pub fn same_fleet_event(kind: &str, event: &FleetEvent) -> Result<(), Misplaced> {
    same_kind(kind, event.fact.kind())
}

fn same_kind(kind: &str, body: &'static str) -> Result<(), Misplaced> {
    if body == kind {
        return Ok(());
    }
    Err(Misplaced::Kind {
        subject: kind.to_owned(),
        body,
    })
}

/// The message that belongs on a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// A drain command for this node.
    Drain(NodeToken),
    /// An uncordon command for this node.
    Uncordon(NodeToken),
    /// A taint command for this node.
    Taint(NodeToken),
    /// The question whether this node can be drained.
    DrainQuestion(NodeToken),
    /// The answer to that question.
    DrainAnswer(NodeToken),
    /// An event of this node, and its kind: see [`same_event`].
    Event(NodeToken, String),
    /// An event of the fleet, and its kind: see [`same_fleet_event`].
    FleetEvent(String),
    /// An event about the operators' orders.
    OrderChanged,
    /// The record of this node's attempt.
    Attempt(NodeToken),
    /// The operators' orders for the whole fleet.
    Control,
    /// The report of this node's sentinel.
    Sentinel(NodeToken),
    /// The report of this node's rebooter.
    Rebooter(NodeToken),
}

impl Topic {
    /// The message that belongs on this subject, if the contract has the subject.
    #[must_use]
    pub fn parse(subject: &str) -> Option<Self> {
        let tokens: Vec<&str> = subject.split('.').collect();
        match tokens.as_slice() {
            ["bellwether", "v1", "cmd", node, "drain"] => node.parse().ok().map(Self::Drain),
            ["bellwether", "v1", "cmd", node, "uncordon"] => node.parse().ok().map(Self::Uncordon),
            ["bellwether", "v1", "cmd", node, "taint"] => node.parse().ok().map(Self::Taint),
            ["bellwether", "v1", "ask", node, "drain"] => node.parse().ok().map(Self::DrainQuestion),
            ["bellwether", "v1", "answer", node, "drain"] => node.parse().ok().map(Self::DrainAnswer),
            ["bellwether", "v1", "evt", FLEET, ORDER_CHANGED] => Some(Self::OrderChanged),
            ["bellwether", "v1", "evt", FLEET, kind] if is_kind(kind) => Some(Self::FleetEvent((*kind).to_owned())),
            ["bellwether", "v1", "evt", node, kind] if is_kind(kind) => {
                node.parse().ok().map(|node| Self::Event(node, (*kind).to_owned()))
            }
            ["$KV", bucket, FLEET] if *bucket == ATTEMPTS => Some(Self::Control),
            ["$KV", bucket, node] if *bucket == ATTEMPTS => node.parse().ok().map(Self::Attempt),
            ["$KV", bucket, node, "sentinel"] if *bucket == HOSTS => node.parse().ok().map(Self::Sentinel),
            ["$KV", bucket, node, "rebooter"] if *bucket == HOSTS => node.parse().ok().map(Self::Rebooter),
            _ => None,
        }
    }
}

/// Longest kind of an event; the longest of this version has 16 characters.
const KIND_BYTES_MAX: usize = 64;

/// Whether a token can be a kind of events, also of a later version. A server takes nearly any character in a subject, and
/// errors repeat the kind.
fn is_kind(token: &str) -> bool {
    let allowed = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    !token.is_empty() && token.len() <= KIND_BYTES_MAX && token.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    #[test]
    fn an_agent_has_inboxes_of_its_own_node() {
        let node = "a.b-c".parse::<NodeName>().unwrap().token();
        assert_eq!(inbox("sentinel", Some(&node)), "_INBOX.sentinel.a_b-c");
        assert_eq!(inbox("drainer", None), "_INBOX.drainer");
    }

    #[test]
    fn every_subject_is_understood_by_its_reader() {
        let node = "a.b-c".parse::<NodeName>().unwrap().token();
        for (subject, topic) in [
            (drain_command(&node), Topic::Drain(node.clone())),
            (uncordon_command(&node), Topic::Uncordon(node.clone())),
            (taint_command(&node), Topic::Taint(node.clone())),
            (drain_question(&node), Topic::DrainQuestion(node.clone())),
            (drain_answer(&node), Topic::DrainAnswer(node.clone())),
            (
                event(&node, &Fact::Cordoned),
                Topic::Event(node.clone(), "cordoned".to_owned()),
            ),
            (queues_changed(), Topic::FleetEvent("queues-changed".to_owned())),
            (order_changed(), Topic::OrderChanged),
            (attempt_record(&node), Topic::Attempt(node.clone())),
            (control_record(), Topic::Control),
            (sentinel_record(&node), Topic::Sentinel(node.clone())),
            (rebooter_record(&node), Topic::Rebooter(node.clone())),
        ] {
            assert_eq!(Topic::parse(&subject), Some(topic), "{subject}");
        }
        assert_eq!(Topic::parse("bellwether.v2.cmd.a.drain"), None);
        for kind in ["", "Drained", "dr\u{0}ained", "gedr\u{e4}nt", &"x".repeat(65)] {
            assert_eq!(Topic::parse(&format!("bellwether.v1.evt.a.{kind}")), None, "{kind:?}");
        }
        assert!(
            Topic::parse("bellwether.v1.evt.a.healed-2").is_some(),
            "a kind of a later version"
        );
        assert_eq!(Topic::parse("$KV.bellwether_attempts.A"), None);
        assert_eq!(Topic::parse("bellwether.v1.evt.FLEETS.queues-changed"), None);
    }

    #[test]
    fn the_scheduler_acts_on_each_kind_of_event_but_its_own() {
        let others = DRAINER_EVENTS.iter().chain(&REBOOTER_EVENTS);
        let filters: Vec<String> = others.map(|kind| event_of("*", kind)).collect();
        assert_eq!(filters, EVENTS_FOR_SCHEDULER);
    }

    #[test]
    fn a_body_that_names_another_node_than_its_subject_is_refused_with_both_names() {
        let (one, two): (NodeName, NodeName) = ("a.b".parse().unwrap(), "a-b".parse().unwrap());
        assert_eq!(same_node(&one.token(), &one), Ok(()));
        let refused = same_node(&one.token(), &two).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the body names node a-b, the subject names node a.b"
        );
    }

    #[test]
    fn an_event_fits_no_subject_but_that_of_its_own_node_and_kind() {
        let kinds = DRAINER_EVENTS.iter().chain(&REBOOTER_EVENTS).chain(&SCHEDULER_EVENTS);
        let event = NodeEvent {
            node: "a.b".parse().unwrap(),
            attempt: "dddddddd-dddd-4ddd-8ddd-dddddddddddd".parse().unwrap(),
            generation: Generation(1),
            at: jiff::Timestamp::UNIX_EPOCH,
            source: String::new(),
            fact: Fact::Drained {
                pods_gone: 0,
                pods_left: 0,
                pods_returning: 0,
                message: String::new(),
                report: None,
            },
        };
        for kind in kinds.chain(&["", "Drained"]) {
            for node in ["a_b", "a-b"] {
                let fits = same_event(&node.parse().unwrap(), kind, &event);
                assert_eq!(fits.is_ok(), (node, *kind) == ("a_b", "drained"), "{node} {kind}");
            }
        }
        let refused = same_event(&event.node.token(), "reboot-started", &event).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the body has the fact drained, the subject names the kind reboot-started"
        );
    }
}
