//! The attempt to reboot one node.

use jiff::{SignedDuration, Timestamp};

use crate::attempt_ref::AttemptRef;
use crate::boot::{BootTimes, UnitsBefore};
use crate::daemon_pod::DaemonPod;
use crate::drain_report::DrainReport;
use crate::drain_terms::DrainTerms;
use crate::event_chain::EventChain;
use crate::failed_reboot::FailedReboot;
use crate::field::{instant, instant_required, optional, time, to_timestamp};
use crate::gate_held::GateHeld;
use crate::ids::{AttemptId, BootId, Generation, NodeName, NodeUid, TraceParent};
use crate::last_reboot::LastReboot;
use crate::message::{Message, WireError};
use crate::obstacle::ObstacleRun;
use crate::phase::{Cause, Phase};
use crate::reboot_kind::RebootKind;
use crate::served_annotation::ServedAnnotation;
use crate::wire;

/// How an attempt ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why, from a closed list.
    pub cause: Cause,
    /// The reason, for operators.
    pub message: String,
    /// For [`Cause::UncordonStuck`]: the cause of the rollback whose uncordon is stuck, if there was one.
    pub rollback_cause: Option<Cause>,
}

/// When a phase was entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseEntered {
    /// The phase.
    pub phase: Phase,
    /// When.
    pub at: Timestamp,
}

/// One attempt to reboot one node: the authority. See [`wire::Attempt`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its identity.
    pub id: AttemptId,
    /// The node.
    pub node: NodeName,
    /// The Node object's UID.
    pub node_uid: NodeUid,
    /// Grows with each change of phase on this node.
    pub generation: Generation,
    /// Where it is.
    pub phase: Phase,
    /// When the phase must be over; none once the attempt has ended.
    pub deadline: Option<Timestamp>,
    /// The boot that is to end.
    pub boot_before: BootId,
    /// The boot that replaced it; after a soft reboot the same one.
    pub boot_after: Option<BootId>,
    /// Kernel before.
    pub kernel_before: String,
    /// Kernel after.
    pub kernel_after: Option<String>,
    /// Since when the host asks for it.
    pub need_since: Timestamp,
    /// What asks for it.
    pub reasons: Vec<String>,
    /// When we cordoned the node; none: it carries no cordon of ours.
    pub cordoned_at: Option<Timestamp>,
    /// When the drain was complete, or over with pods left behind.
    pub drained_at: Option<Timestamp>,
    /// Not before this instant the reboot is ordered, by the delay of the drain terms; none: no drain yet, or no delay.
    pub reboot_not_before: Option<Timestamp>,
    /// After this instant the rebooter must not act any more.
    pub reboot_not_after: Option<Timestamp>,
    /// When the rebooter reported that it reboots.
    pub reboot_started_at: Option<Timestamp>,
    /// How it ends; set from [`Phase::RollingBack`] on.
    pub ending: Option<Ending>,
    /// True while it counts against the slots.
    pub slot_held: bool,
    /// Attempts on this node that failed in a row, this one included.
    pub failures_in_row: u32,
    /// Not before this instant is the node tried again.
    pub retry_not_before: Option<Timestamp>,
    /// The last reboot of this node that the scheduler knows of, by this attempt or one before.
    pub last_reboot: Option<LastReboot>,
    /// The failure of the last ordered reboot that no completed one and no operator's cancel has followed.
    pub failed_reboot: Option<FailedReboot>,
    /// The pods of DaemonSets on the node right before the order to reboot.
    pub daemon_pods: Vec<DaemonPod>,
    /// The obstacle at which the last attempts on this node ended.
    pub obstacle_run: Option<ObstacleRun>,
    /// How the node is drained.
    pub drain_terms: DrainTerms,
    /// The pods that were left when the time of the drain was over, for operators, if the reboot is ordered all the same;
    /// empty: the drain was complete, or is not over.
    pub left_behind: String,
    /// What the last drain of this attempt has met, as its drainer reported.
    pub drain_report: Option<Box<DrainReport>>,
    /// When a Node object first showed the mark without a cordon, after the drain: a later cordon is not ours.
    pub cordon_removed_at: Option<Timestamp>,
    /// The units of the host that had failed right before the order to reboot; none: not known.
    pub units_before: Option<UnitsBefore>,
    /// How the host is rebooted.
    pub reboot_kind: RebootKind,
    /// How many soft reboots the boot that is to end had had at the order of a soft one.
    pub soft_reboots_before: Option<u32>,
    /// The annotations that the ordered reboot serves, until the last reboot is that one; none: not known.
    pub served_annotations: Option<Vec<ServedAnnotation>>,
    /// When the boot that replaced the old one began, and how long its phases took; none: not proved, or not shown.
    pub boot_times: Option<Box<BootTimes>>,
    /// Where the chain of the node's events stands. None: no event yet. Of the stored record alone: the writer of a record
    /// continues the chain.
    pub event_chain: Option<Box<EventChain>>,
    /// The gates that held the node before it. Nothing depends on them but what a trace shows.
    pub held: Vec<GateHeld>,
    /// The attempt before in the same rollout; none: it is the first one.
    pub previous: Option<TraceParent>,
    /// From when on its trace shows that the node waited; none: the wait before it is another attempt, and the delay after that.
    pub waited_since: Option<Timestamp>,
    /// Parent of all that is done for it.
    pub trace: TraceParent,
    /// The need's first span, whose id the sentinel has drawn.
    pub need_span: Option<[u8; 8]>,
    /// The phases so far, oldest first; the last is the present one.
    pub history: Vec<PhaseEntered>,
}

impl Attempt {
    /// A record in phase Draining that holds a slot, and of which nothing else is known yet: no
    /// deadline, no history, an empty kernel.
    #[must_use]
    pub fn new(attempt: AttemptRef, boot_before: BootId, need_since: Timestamp, trace: TraceParent) -> Self {
        Self {
            id: attempt.attempt,
            node: attempt.node,
            node_uid: attempt.node_uid,
            generation: attempt.generation,
            phase: Phase::Draining,
            deadline: None,
            boot_before,
            boot_after: None,
            kernel_before: String::new(),
            kernel_after: None,
            need_since,
            reasons: Vec::new(),
            cordoned_at: None,
            drained_at: None,
            reboot_not_before: None,
            reboot_not_after: None,
            reboot_started_at: None,
            ending: None,
            slot_held: true,
            failures_in_row: 0,
            retry_not_before: None,
            last_reboot: None,
            failed_reboot: None,
            daemon_pods: Vec::new(),
            obstacle_run: None,
            drain_terms: DrainTerms::default(),
            left_behind: String::new(),
            drain_report: None,
            cordon_removed_at: None,
            units_before: None,
            reboot_kind: RebootKind::Full,
            soft_reboots_before: None,
            served_annotations: None,
            boot_times: None,
            event_chain: None,
            held: Vec::new(),
            previous: None,
            waited_since: None,
            trace,
            need_span: None,
            history: Vec::new(),
        }
    }

    /// How long after the drain the reboot is ordered; none: at once.
    #[must_use]
    pub fn reboot_delay(&self) -> Option<SignedDuration> {
        self.drain_terms.reboot_delay.and_then(|delay| delay.try_into().ok())
    }

    /// When the present phase was entered.
    #[must_use]
    pub fn phase_since(&self) -> Timestamp {
        self.history.last().map_or(self.need_since, |entered| entered.at)
    }

    /// The span of the phase in which the node is drained, which the scheduler writes once the phase is over.
    #[must_use]
    pub fn draining_span(&self) -> TraceParent {
        TraceParent {
            span_id: self.trace.part(Phase::Draining.as_str(), self.started_at()),
            ..self.trace
        }
    }

    /// When the attempt started.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.history.first().map_or(self.need_since, |entered| entered.at)
    }
}

impl From<&Attempt> for AttemptRef {
    fn from(record: &Attempt) -> Self {
        Self {
            node: record.node.clone(),
            node_uid: record.node_uid.clone(),
            attempt: record.id,
            generation: record.generation,
        }
    }
}

impl Message for Attempt {
    const TYPE: &'static str = "bellwether.v1.Attempt";
    type Wire = wire::Attempt;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        const T: &str = Attempt::TYPE;
        let phase = Phase::from_wire(wire.phase)
            .ok_or_else(|| WireError::field(T, "phase", format!("has the unknown value {}", wire.phase)))?;
        let ending = wire.ending.map(|ending| {
            let unknown = || WireError::field(T, "ending.cause", format!("has the unknown value {}", ending.cause));
            Ok(Ending {
                cause: Cause::from_wire(ending.cause).ok_or_else(unknown)?,
                message: ending.message,
                rollback_cause: Cause::from_wire(ending.rollback_cause),
            })
        });
        let need_span = match wire.need_span_id.as_str() {
            "" => None,
            text => Some(
                u64::from_str_radix(text, 16)
                    .map_err(|error| WireError::field(T, "need_span_id", error))?
                    .to_be_bytes(),
            ),
        };
        Ok(Self {
            id: wire.attempt_id.parse().map_err(WireError::id(T, "attempt_id"))?,
            node: wire.node.parse().map_err(WireError::id(T, "node"))?,
            node_uid: wire.node_uid.parse().map_err(WireError::id(T, "node_uid"))?,
            generation: Generation(wire.generation),
            phase,
            deadline: instant(T, "deadline", wire.deadline)?,
            boot_before: wire
                .boot_id_before
                .parse()
                .map_err(WireError::id(T, "boot_id_before"))?,
            boot_after: optional(T, "boot_id_after", &wire.boot_id_after)?,
            kernel_before: wire.kernel_before,
            kernel_after: Some(wire.kernel_after).filter(|kernel| !kernel.is_empty()),
            need_since: instant_required(T, "need_since", wire.need_since)?,
            reasons: wire.reasons,
            cordoned_at: instant(T, "cordoned_at", wire.cordoned_at)?,
            drained_at: instant(T, "drained_at", wire.drained_at)?,
            reboot_not_before: instant(T, "reboot_not_before", wire.reboot_not_before)?,
            reboot_not_after: instant(T, "reboot_not_after", wire.reboot_not_after)?,
            reboot_started_at: instant(T, "reboot_started_at", wire.reboot_started_at)?,
            ending: ending.transpose()?,
            slot_held: wire.slot_held,
            failures_in_row: wire.failures_in_row,
            retry_not_before: instant(T, "retry_not_before", wire.retry_not_before)?,
            last_reboot: wire.last_reboot.map(LastReboot::from_wire).transpose()?,
            failed_reboot: wire.failed_reboot.map(FailedReboot::from_wire).transpose()?,
            daemon_pods: wire.daemon_pods.into_iter().map(DaemonPod::from_wire).collect(),
            obstacle_run: wire.obstacle_run.and_then(ObstacleRun::from_wire),
            drain_terms: wire.drain_terms.as_ref().map(DrainTerms::from_wire).unwrap_or_default(),
            left_behind: wire.left_behind,
            drain_report: wire.drain_report.map(DrainReport::from_wire).map(Box::new),
            cordon_removed_at: instant(T, "cordon_removed_at", wire.cordon_removed_at)?,
            units_before: wire.units_before.map(UnitsBefore::from_wire),
            reboot_kind: RebootKind::from_wire(wire.reboot_kind),
            soft_reboots_before: wire.soft_reboots_before,
            served_annotations: wire.served_annotations.map(ServedAnnotation::all_from_wire),
            boot_times: wire.boot_times.map(BootTimes::from_wire).transpose()?.map(Box::new),
            event_chain: EventChain::from_wire(wire.event_chain).map(Box::new),
            held: wire.held.into_iter().map(GateHeld::from_wire).collect(),
            previous: wire.previous_traceparent.parse().ok(),
            waited_since: time(wire.waited_since),
            trace: wire.traceparent.parse().map_err(WireError::id(T, "traceparent"))?,
            need_span,
            history: wire
                .history
                .into_iter()
                .map(entered_from_wire)
                .collect::<Result<_, _>>()?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::Attempt {
            attempt_id: self.id.to_string(),
            node: self.node.to_string(),
            node_uid: self.node_uid.to_string(),
            generation: self.generation.0,
            phase: self.phase.to_wire().into(),
            deadline: self.deadline.map(to_timestamp),
            boot_id_before: self.boot_before.to_string(),
            boot_id_after: self.boot_after.as_ref().map(BootId::to_string).unwrap_or_default(),
            kernel_before: self.kernel_before.clone(),
            kernel_after: self.kernel_after.clone().unwrap_or_default(),
            need_since: Some(to_timestamp(self.need_since)),
            reasons: self.reasons.clone(),
            cordoned_at: self.cordoned_at.map(to_timestamp),
            drained_at: self.drained_at.map(to_timestamp),
            reboot_not_before: self.reboot_not_before.map(to_timestamp),
            reboot_not_after: self.reboot_not_after.map(to_timestamp),
            reboot_started_at: self.reboot_started_at.map(to_timestamp),
            ending: self.ending.as_ref().map(|ending| wire::Ending {
                cause: ending.cause.to_wire().into(),
                message: ending.message.clone(),
                rollback_cause: ending
                    .rollback_cause
                    .map_or(wire::Cause::Unspecified, Cause::to_wire)
                    .into(),
            }),
            slot_held: self.slot_held,
            failures_in_row: self.failures_in_row,
            retry_not_before: self.retry_not_before.map(to_timestamp),
            last_reboot: self.last_reboot.as_ref().map(LastReboot::to_wire),
            failed_reboot: self.failed_reboot.map(FailedReboot::to_wire),
            daemon_pods: self.daemon_pods.iter().map(DaemonPod::to_wire).collect(),
            obstacle_run: self.obstacle_run.as_ref().map(ObstacleRun::to_wire),
            drain_terms: self.drain_terms.to_wire(),
            left_behind: self.left_behind.clone(),
            drain_report: self.drain_report.as_deref().map(DrainReport::to_wire),
            cordon_removed_at: self.cordon_removed_at.map(to_timestamp),
            units_before: self.units_before.as_ref().map(UnitsBefore::to_wire),
            reboot_kind: self.reboot_kind.to_wire(),
            soft_reboots_before: self.soft_reboots_before,
            served_annotations: self.served_annotations.as_deref().map(ServedAnnotation::all_to_wire),
            boot_times: self.boot_times.as_deref().map(BootTimes::to_wire),
            event_chain: self.event_chain.as_deref().map(EventChain::to_wire),
            held: self.held.iter().map(GateHeld::to_wire).collect(),
            previous_traceparent: self.previous.map(|trace| trace.to_string()).unwrap_or_default(),
            waited_since: self.waited_since.map(to_timestamp),
            traceparent: self.trace.to_string(),
            need_span_id: self
                .need_span
                .map(|span| format!("{:016x}", u64::from_be_bytes(span)))
                .unwrap_or_default(),
            history: self
                .history
                .iter()
                .map(|entered| wire::PhaseEntered {
                    phase: entered.phase.to_wire().into(),
                    at: Some(to_timestamp(entered.at)),
                })
                .collect(),
        }
    }
}

fn entered_from_wire(wire: wire::PhaseEntered) -> Result<PhaseEntered, WireError> {
    const T: &str = "bellwether.v1.PhaseEntered";
    let phase = Phase::from_wire(wire.phase)
        .ok_or_else(|| WireError::field(T, "phase", format!("has the unknown value {}", wire.phase)))?;
    Ok(PhaseEntered {
        phase,
        at: instant_required(T, "at", wire.at)?,
    })
}
