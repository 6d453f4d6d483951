//! A message from the bus: subject, type and schema on a line each, then the body.

use bellwether_proto::message_id::random_part;
use bellwether_proto::subject::{self, Topic};
use bellwether_proto::{
    Attempt, CheckDrain, DrainForecast, DrainNode, FleetControl, FleetEvent, HostReport, Message, MessageIds,
    NodeEvent, NodeName, NodeToken, OrderChanged, RebooterReport, TaintNode, UncordonNode, decode, header,
};

use crate::judge;

/// A message, and what its reader needs of it.
struct Read<'a> {
    kind: &'a str,
    schema: &'a str,
    body: &'a [u8],
}

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some(([subject, kind, schema], body)) = judge::lines(bytes) else {
        return false;
    };
    let Some(topic) = Topic::parse(subject) else {
        return false;
    };
    let read = Read { kind, schema, body };
    let (written, taken) = match &topic {
        Topic::Drain(node) => (
            subject::drain_command(node),
            read.of::<DrainNode>(node, |it| &it.attempt.node),
        ),
        Topic::Uncordon(node) => (
            subject::uncordon_command(node),
            read.of::<UncordonNode>(node, |it| &it.attempt.node),
        ),
        Topic::Taint(node) => (subject::taint_command(node), read.of::<TaintNode>(node, |it| &it.node)),
        Topic::DrainQuestion(node) => (
            subject::drain_question(node),
            read.of::<CheckDrain>(node, |it| &it.node),
        ),
        Topic::DrainAnswer(node) => (
            subject::drain_answer(node),
            read.of::<DrainForecast>(node, |it| &it.node),
        ),
        Topic::Attempt(node) => (subject::attempt_record(node), read.of::<Attempt>(node, |it| &it.node)),
        Topic::Control => (subject::control_record(), read.message::<FleetControl>().is_some()),
        Topic::OrderChanged => (subject::order_changed(), read.message::<OrderChanged>().is_some()),
        Topic::Sentinel(node) => (
            subject::sentinel_record(node),
            read.of::<HostReport>(node, |it| &it.node),
        ),
        Topic::Rebooter(node) => (
            subject::rebooter_record(node),
            read.of::<RebooterReport>(node, |it| &it.node),
        ),
        Topic::Event(node, kind) => (subject::events_of(node).replace('*', kind), read.event(node, kind)),
        Topic::FleetEvent(kind) => {
            let of_kind = |event: FleetEvent| subject::same_fleet_event(kind, &event).is_ok();
            let written = subject::queues_changed().replace("queues-changed", kind);
            (written, read.message::<FleetEvent>().is_some_and(of_kind))
        }
    };
    assert_eq!(written, subject, "two subjects have one meaning");
    taken
}

impl Read<'_> {
    fn message<M: Message + PartialEq + std::fmt::Debug>(&self) -> Option<M> {
        let header = |name: &'static str| match name {
            header::TYPE => Some(self.kind),
            header::SCHEMA => Some(self.schema),
            _ => None,
        };
        match decode::<M>(header, self.body) {
            Ok(message) => {
                assert_eq!(self.kind, M::TYPE, "a message of another type is read");
                judge::kept(&message);
                Some(message)
            }
            Err(error) => {
                judge::error(&error);
                None
            }
        }
    }

    /// True if the message belongs to the subject's node.
    fn of<M: Message + PartialEq + std::fmt::Debug>(&self, own: &NodeToken, node: impl Fn(&M) -> &NodeName) -> bool {
        self.message::<M>().is_some_and(|message| belongs(own, node(&message)))
    }

    fn event(&self, own: &NodeToken, kind: &str) -> bool {
        let Some(event) = self.message::<NodeEvent>() else {
            return false;
        };
        if let Some(id) = MessageIds::random().of(&event) {
            assert!(
                random_part(&id, &event).is_some(),
                "an id of ours is none of the contract: {id}"
            );
        }
        let fits = subject::same_event(own, kind, &event);
        let same = *own == event.node.token() && kind == event.fact.kind();
        assert_eq!(fits.is_ok(), same);
        if let Err(error) = fits {
            judge::error(&error);
        }
        same
    }
}

fn belongs(own: &NodeToken, node: &NodeName) -> bool {
    let found = subject::same_node(own, node);
    assert_eq!(
        found.is_ok(),
        own.name() == *node,
        "a message counts for a node that is not its own"
    );
    if let Err(error) = &found {
        judge::error(error);
    }
    found.is_ok()
}
