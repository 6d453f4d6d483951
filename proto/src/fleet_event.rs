//! Facts about the fleet, in the past tense, of no single node.

use jiff::Timestamp;

use crate::field::{instant, instant_required, to_timestamp};
use crate::ids::NodeName;
use crate::message::{Message, WireError};
use crate::wire;

/// The kind of the events about queues.
pub(crate) const QUEUES_CHANGED: &str = "queues-changed";

/// Something happened to the fleet. See [`wire::FleetEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetEvent {
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// The service that wrote it, with its version.
    pub source: String,
    /// What.
    pub fact: FleetFact,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FleetFact {
    /// What waits for reboots differs from what the event of this kind before states.
    QueuesChanged(Queues),
}

/// What waits for reboots. See [`wire::QueuesChanged`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queues {
    /// Each policy with nodes that need a reboot.
    pub policies: Vec<PolicyQueue>,
    /// The nodes that wait since not all of their pods can go.
    pub undrainable: Vec<UndrainableNodes>,
}

/// Nodes of a policy that wait since pods of one owner's namespaces cannot go. See [`wire::UndrainableNodes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndrainableNodes {
    /// The policy; empty: none governs the nodes.
    pub policy: String,
    /// Who answers for the pods; empty: their namespaces have no owner.
    pub owner: String,
    /// How many nodes.
    pub nodes: u32,
    /// The first of them, by name.
    pub first_node: NodeName,
    /// What keeps the pods of that node, for operators.
    pub message: String,
}

/// The nodes of a policy that need a reboot. See [`wire::PolicyQueue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyQueue {
    /// The policy; empty: none governs the nodes.
    pub policy: String,
    /// How many nodes wait or are in an attempt.
    pub nodes: u32,
    /// Since when the host of one of them has needed its reboot, the longest; by its host's clock.
    pub oldest_since: Timestamp,
    /// That node.
    pub oldest_node: NodeName,
    /// Why that node waits, from the list of reason codes; empty: it is in an attempt.
    pub code: String,
    /// The same, for operators.
    pub message: String,
    /// How many nodes do not fit into the present opening or, if none is open, the next one.
    pub left_over: u32,
    /// The first of them.
    pub left_over_nodes: Vec<String>,
    /// When that opening ends; none: more than 60 days ahead, or no window opens.
    pub opening_ends_at: Option<Timestamp>,
}

impl FleetFact {
    /// The last token of the event's subject.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::QueuesChanged(_) => QUEUES_CHANGED,
        }
    }
}

impl Queues {
    fn from_wire(wire: wire::QueuesChanged) -> Result<Self, WireError> {
        let wire::QueuesChanged { queues, undrainable } = wire;
        let undrainable = undrainable.into_iter().map(UndrainableNodes::from_wire);
        Ok(Self {
            policies: queues
                .into_iter()
                .map(PolicyQueue::from_wire)
                .collect::<Result<_, _>>()?,
            undrainable: undrainable.collect::<Result<_, _>>()?,
        })
    }

    fn to_wire(&self) -> wire::QueuesChanged {
        wire::QueuesChanged {
            queues: self.policies.iter().map(PolicyQueue::to_wire).collect(),
            undrainable: self.undrainable.iter().map(UndrainableNodes::to_wire).collect(),
        }
    }
}

impl UndrainableNodes {
    const TYPE: &'static str = "bellwether.v1.UndrainableNodes";

    fn from_wire(wire: wire::UndrainableNodes) -> Result<Self, WireError> {
        let wire::UndrainableNodes {
            policy,
            owner,
            nodes,
            first_node,
            message,
        } = wire;
        Ok(Self {
            policy,
            owner,
            nodes,
            first_node: first_node.parse().map_err(WireError::id(Self::TYPE, "first_node"))?,
            message,
        })
    }

    fn to_wire(&self) -> wire::UndrainableNodes {
        let Self {
            policy,
            owner,
            nodes,
            first_node,
            message,
        } = self.clone();
        wire::UndrainableNodes {
            policy,
            owner,
            nodes,
            first_node: first_node.to_string(),
            message,
        }
    }
}

impl PolicyQueue {
    const TYPE: &'static str = "bellwether.v1.PolicyQueue";

    fn from_wire(wire: wire::PolicyQueue) -> Result<Self, WireError> {
        let wire::PolicyQueue {
            policy,
            nodes,
            oldest_since,
            oldest_node,
            code,
            message,
            left_over,
            left_over_nodes,
            opening_ends_at,
        } = wire;
        Ok(Self {
            policy,
            nodes,
            oldest_since: instant_required(Self::TYPE, "oldest_since", oldest_since)?,
            oldest_node: oldest_node.parse().map_err(WireError::id(Self::TYPE, "oldest_node"))?,
            code,
            message,
            left_over,
            left_over_nodes,
            opening_ends_at: instant(Self::TYPE, "opening_ends_at", opening_ends_at)?,
        })
    }

    fn to_wire(&self) -> wire::PolicyQueue {
        let Self {
            policy,
            nodes,
            oldest_since,
            oldest_node,
            code,
            message,
            left_over,
            left_over_nodes,
            opening_ends_at,
        } = self.clone();
        wire::PolicyQueue {
            policy,
            nodes,
            oldest_since: Some(to_timestamp(oldest_since)),
            oldest_node: oldest_node.to_string(),
            code,
            message,
            left_over,
            left_over_nodes,
            opening_ends_at: opening_ends_at.map(to_timestamp),
        }
    }
}

impl Message for FleetEvent {
    const TYPE: &'static str = "bellwether.v1.FleetEvent";
    type Wire = wire::FleetEvent;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        use wire::fleet_event::Fact as Wire;
        let fact = wire
            .fact
            .ok_or_else(|| WireError::field(Self::TYPE, "fact", "is missing or of a newer schema"))?;
        Ok(Self {
            at: instant_required(Self::TYPE, "at", wire.at)?,
            source: wire.source,
            fact: match fact {
                Wire::QueuesChanged(queues) => FleetFact::QueuesChanged(Queues::from_wire(queues)?),
            },
        })
    }

    fn to_wire(&self) -> Self::Wire {
        use wire::fleet_event::Fact as Wire;
        wire::FleetEvent {
            at: Some(to_timestamp(self.at)),
            source: self.source.clone(),
            fact: Some(match &self.fact {
                FleetFact::QueuesChanged(queues) => Wire::QueuesChanged(queues.to_wire()),
            }),
        }
    }
}
