//! Facts about a node in an attempt, in the past tense.

use jiff::Timestamp;

use crate::drain_progress::DrainProgress;
use crate::drain_report::DrainReport;
use crate::event_detail::{AttemptEnd, AttemptStart};
use crate::event_link::{EventLink, Linked};
use crate::field::{instant_required, to_timestamp};
use crate::ids::{AttemptId, BootId, Generation, NodeName};
use crate::limit::UNPUBLISHED_MAX;
use crate::message::{Message, WireError};
use crate::obstacle::Obstacle;
use crate::phase::{Cause, Phase};
use crate::wire;

/// Something happened to a node in an attempt. See [`wire::NodeEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node.
    pub node: NodeName,
    /// The attempt.
    pub attempt: AttemptId,
    /// The generation of the record that was acted on.
    pub generation: Generation,
    /// When, by the writer's clock.
    pub at: Timestamp,
    /// The service that wrote it, with its version.
    pub source: String,
    /// What.
    pub fact: Fact,
}

/// The kind of the events of the chains.
pub(crate) const PHASE_CHANGED: &str = "phase-changed";

/// The code of a `reboot-refused`: an inhibitor blocked shutdowns until the end of the order.
pub const REFUSED_INHIBITED: &str = "Inhibited";

/// The code of a `reboot-refused`: no call for the reboot arrived until the end of the order.
pub const REFUSED_UNREACHED: &str = "Unreached";

/// True for the codes by which a rebooter states that no call of its order can be under way, though it may have announced
/// one: the host stays up.
#[must_use]
pub fn is_certainly_uncalled(code: &str) -> bool {
    [REFUSED_INHIBITED, REFUSED_UNREACHED].contains(&code)
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The node carries our cordon now.
    Cordoned,
    /// How far the drain is.
    DrainProgressed(DrainProgress),
    /// The node carries our cordon and no pod that has to go.
    Drained {
        /// Pods that are gone.
        pods_gone: u32,
        /// Pods left on purpose.
        pods_left: u32,
        /// Pods among these that came back to the cordoned node again and again.
        pods_returning: u32,
        /// The pods that came back, by owner, and the volumes that are still attached, for operators; empty if there are
        /// none.
        message: String,
        /// What the drain has met.
        report: Option<Box<DrainReport>>,
    },
    /// The drain ended without success.
    DrainFailed {
        /// Why, from a closed list.
        failure: DrainFailure,
        /// The reason, for operators.
        message: String,
        /// What kept the drain from its end, for comparison with other attempts.
        obstacle: Option<Obstacle>,
        /// What the drain has met.
        report: Option<Box<DrainReport>>,
    },
    /// The node does not carry our cordon any more.
    Uncordoned {
        /// It stays unschedulable, because that is not ours to change.
        left_unschedulable: bool,
    },
    /// Our cordon could not be taken away this time.
    UncordonFailed {
        /// The reason, for operators.
        message: String,
    },
    /// The host is going to reboot now.
    RebootStarted {
        /// The boot that is about to end.
        boot_id: BootId,
        /// How.
        method: String,
    },
    /// The rebooter will not act on this record.
    RebootRefused {
        /// The reason, for operators.
        message: String,
        /// The reason, from a closed list; empty: the rebooter is of a version before the codes.
        code: String,
    },
    /// The call to reboot returned an error; the host may reboot all the same.
    RebootFailed {
        /// The reason, for operators.
        message: String,
    },
    /// The attempt entered a phase.
    PhaseChanged {
        /// The phase that was left; none for the first.
        from: Option<Phase>,
        /// The phase that was entered.
        to: Phase,
        /// The reason, for operators; may be empty.
        message: String,
        /// The place of the event in its node's chain; none: it has not got one yet, or the scheduler is of a version before
        /// the chain.
        link: Option<EventLink>,
        /// Why the attempt ends or rolls back, once that is settled.
        cause: Option<Cause>,
        /// What else there is for an audit; none: of a version before it.
        detail: Option<Box<PhaseDetail>>,
    },
}

/// What an event states for an audit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhaseDetail {
    /// With the first event of an attempt.
    pub start: Option<AttemptStart>,
    /// With an event that ends the attempt.
    pub end: Option<AttemptEnd>,
    /// The operator who ordered it, as the operator's client states; empty: none did.
    pub by: String,
}

/// Why a drain ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainFailure {
    /// Not done when the time was over.
    Timeout,
    /// The node carries a foreign cordon; the drainer touched nothing.
    ForeignCordon,
    /// The Node object is gone or another one.
    NodeGone,
    /// The API server refuses the drainer what it needs.
    Forbidden,
}

impl Linked for NodeEvent {
    const UNPUBLISHED_MAX: usize = UNPUBLISHED_MAX;

    fn link(&self) -> Option<EventLink> {
        match &self.fact {
            Fact::PhaseChanged { link, .. } => *link,
            Fact::Cordoned
            | Fact::DrainProgressed(_)
            | Fact::Drained { .. }
            | Fact::DrainFailed { .. }
            | Fact::Uncordoned { .. }
            | Fact::UncordonFailed { .. }
            | Fact::RebootStarted { .. }
            | Fact::RebootRefused { .. }
            | Fact::RebootFailed { .. } => None,
        }
    }

    fn set_link(&mut self, next: EventLink) {
        if let Fact::PhaseChanged { link, .. } = &mut self.fact {
            *link = Some(next);
        }
    }

    /// The record of a node may be deleted with its Node once its attempt has ended.
    fn may_be_last(&self) -> bool {
        matches!(&self.fact, Fact::PhaseChanged { to, .. } if to.is_ended())
    }
}

impl Fact {
    /// The last token of the event's subject.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cordoned => "cordoned",
            Self::DrainProgressed(_) => "drain-progressed",
            Self::Drained { .. } => "drained",
            Self::DrainFailed { .. } => "drain-failed",
            Self::Uncordoned { .. } => "uncordoned",
            Self::UncordonFailed { .. } => "uncordon-failed",
            Self::RebootStarted { .. } => "reboot-started",
            Self::RebootRefused { .. } => "reboot-refused",
            Self::RebootFailed { .. } => "reboot-failed",
            Self::PhaseChanged { .. } => PHASE_CHANGED,
        }
    }

    /// True for a fact whose repetition the server drops by its id.
    fn is_once(&self) -> bool {
        match self {
            Self::Cordoned
            | Self::Drained { .. }
            | Self::DrainFailed { .. }
            | Self::Uncordoned { .. }
            | Self::RebootStarted { .. }
            | Self::RebootRefused { .. }
            | Self::RebootFailed { .. } => true,
            Self::DrainProgressed(_) | Self::UncordonFailed { .. } => false,
            // Its place in the chain shows a repetition, and an id could be used up by another client.
            Self::PhaseChanged { .. } => false,
        }
    }

    fn from_wire(fact: wire::node_event::Fact) -> Result<Self, WireError> {
        use wire::node_event::Fact as Wire;
        Ok(match fact {
            Wire::Cordoned(wire::NodeCordoned {}) => Self::Cordoned,
            Wire::DrainProgressed(wire) => Self::DrainProgressed(DrainProgress::from_wire(wire)?),
            Wire::Drained(wire::NodeDrained {
                pods_gone,
                pods_left,
                pods_returning,
                message,
                report,
            }) => Self::Drained {
                pods_gone,
                pods_left,
                pods_returning,
                message,
                report: report.map(DrainReport::from_wire).map(Box::new),
            },
            Wire::DrainFailed(wire) => {
                let failure = match wire::DrainFailure::try_from(wire.failure) {
                    Ok(wire::DrainFailure::Timeout) => DrainFailure::Timeout,
                    Ok(wire::DrainFailure::ForeignCordon) => DrainFailure::ForeignCordon,
                    Ok(wire::DrainFailure::NodeGone) => DrainFailure::NodeGone,
                    Ok(wire::DrainFailure::Forbidden) => DrainFailure::Forbidden,
                    Ok(wire::DrainFailure::Unspecified) | Err(_) => {
                        let problem = format!("has the unknown value {}", wire.failure);
                        return Err(WireError::field("bellwether.v1.DrainFailed", "failure", problem));
                    }
                };
                Self::DrainFailed {
                    failure,
                    message: wire.message,
                    obstacle: wire.obstacle.map(Obstacle::from_wire),
                    report: wire.report.map(DrainReport::from_wire).map(Box::new),
                }
            }
            Wire::Uncordoned(wire::NodeUncordoned { left_unschedulable }) => Self::Uncordoned { left_unschedulable },
            Wire::UncordonFailed(wire::UncordonFailed { message }) => Self::UncordonFailed { message },
            Wire::RebootStarted(wire) => Self::RebootStarted {
                boot_id: wire
                    .boot_id
                    .parse()
                    .map_err(WireError::id("bellwether.v1.RebootStarted", "boot_id"))?,
                method: wire.method,
            },
            Wire::RebootRefused(wire::RebootRefused { message, code }) => Self::RebootRefused { message, code },
            Wire::RebootFailed(wire::RebootFailed { message }) => Self::RebootFailed { message },
            Wire::PhaseChanged(wire) => Self::PhaseChanged {
                from: Phase::from_wire(wire.from),
                to: Phase::from_wire(wire.to).ok_or_else(|| {
                    let problem = format!("has the unknown value {}", wire.to);
                    WireError::field("bellwether.v1.PhaseChanged", "to", problem)
                })?,
                message: wire.message,
                link: EventLink::from_wire(wire.link),
                cause: Cause::from_wire(wire.cause),
                detail: PhaseDetail::from_wire(wire.start, wire.end, wire.by).map(Box::new),
            },
        })
    }

    fn to_wire(&self) -> wire::node_event::Fact {
        use wire::node_event::Fact as Wire;
        match self.clone() {
            Self::Cordoned => Wire::Cordoned(wire::NodeCordoned {}),
            Self::DrainProgressed(progress) => Wire::DrainProgressed(progress.to_wire()),
            Self::Drained {
                pods_gone,
                pods_left,
                pods_returning,
                message,
                report,
            } => Wire::Drained(wire::NodeDrained {
                pods_gone,
                pods_left,
                pods_returning,
                message,
                report: report.as_deref().map(DrainReport::to_wire),
            }),
            Self::DrainFailed {
                failure,
                message,
                obstacle,
                report,
            } => {
                let failure = match failure {
                    DrainFailure::Timeout => wire::DrainFailure::Timeout,
                    DrainFailure::ForeignCordon => wire::DrainFailure::ForeignCordon,
                    DrainFailure::NodeGone => wire::DrainFailure::NodeGone,
                    DrainFailure::Forbidden => wire::DrainFailure::Forbidden,
                };
                Wire::DrainFailed(wire::DrainFailed {
                    failure: failure.into(),
                    message,
                    obstacle: obstacle.as_ref().map(Obstacle::to_wire),
                    report: report.as_deref().map(DrainReport::to_wire),
                })
            }
            Self::Uncordoned { left_unschedulable } => Wire::Uncordoned(wire::NodeUncordoned { left_unschedulable }),
            Self::UncordonFailed { message } => Wire::UncordonFailed(wire::UncordonFailed { message }),
            Self::RebootStarted { boot_id, method } => Wire::RebootStarted(wire::RebootStarted {
                boot_id: boot_id.to_string(),
                method,
            }),
            Self::RebootRefused { message, code } => Wire::RebootRefused(wire::RebootRefused { message, code }),
            Self::RebootFailed { message } => Wire::RebootFailed(wire::RebootFailed { message }),
            Self::PhaseChanged {
                from,
                to,
                message,
                link,
                cause,
                detail,
            } => Wire::PhaseChanged(wire::PhaseChanged {
                from: from.map_or(wire::Phase::Unspecified, Phase::to_wire).into(),
                to: to.to_wire().into(),
                message,
                link: link.map(EventLink::to_wire),
                cause: cause.map_or(wire::Cause::Unspecified, Cause::to_wire).into(),
                start: detail
                    .as_ref()
                    .and_then(|it| it.start.as_ref().map(AttemptStart::to_wire)),
                end: detail.as_ref().and_then(|it| it.end.as_ref().map(AttemptEnd::to_wire)),
                by: detail.map(|it| it.by).unwrap_or_default(),
            }),
        }
    }
}

impl PhaseDetail {
    fn from_wire(start: Option<wire::AttemptStart>, end: Option<wire::AttemptEnd>, by: String) -> Option<Self> {
        let detail = Self {
            start: start.map(AttemptStart::from_wire),
            end: end.map(AttemptEnd::from_wire),
            by,
        };
        (detail != Self::default()).then_some(detail)
    }
}

impl NodeEvent {
    /// What the message id of this event begins with, see [`MessageIds`](crate::MessageIds). None for facts that are
    /// news each time, and for those of a chain.
    #[must_use]
    pub fn message_id_begin(&self) -> Option<String> {
        let kind = self.fact.kind();
        self.fact
            .is_once()
            .then(|| format!("{}:{}:{kind}:", self.attempt, self.generation))
    }
}

impl Message for NodeEvent {
    const TYPE: &'static str = "bellwether.v1.NodeEvent";
    type Wire = wire::NodeEvent;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let fact = wire
            .fact
            .ok_or_else(|| WireError::field(Self::TYPE, "fact", "is missing or of a newer schema"))?;
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            attempt: wire
                .attempt_id
                .parse()
                .map_err(WireError::id(Self::TYPE, "attempt_id"))?,
            generation: Generation(wire.generation),
            at: instant_required(Self::TYPE, "at", wire.at)?,
            source: wire.source,
            fact: Fact::from_wire(fact)?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::NodeEvent {
            node: self.node.to_string(),
            attempt_id: self.attempt.to_string(),
            generation: self.generation.0,
            at: Some(to_timestamp(self.at)),
            source: self.source.clone(),
            fact: Some(self.fact.to_wire()),
        }
    }
}
