//! What an attempt began with and came to, as its events state it for an audit. No program decides by it.

use jiff::Timestamp;

use crate::attempt::Attempt;
use crate::field::{time, to_timestamp};
use crate::gate_held::GateHeld;
use crate::ids::BootId;
use crate::phase::Phase;
use crate::wire;

/// What an attempt began with. See [`wire::AttemptStart`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptStart {
    /// The policy that governs the node; empty: none does.
    pub policy: String,
    /// The generation of its spec.
    pub policy_generation: i64,
    /// Since when the host needs the reboot, by the newest report.
    pub need_since: Option<Timestamp>,
    /// Since when the host has needed one.
    pub need_first_since: Option<Timestamp>,
    /// The packages that require it.
    pub reasons: Vec<String>,
    /// The gates that held the node.
    pub held: Vec<GateHeld>,
    /// The order by which it began.
    pub order: Option<StartOrder>,
}

/// An order by which an attempt began. See [`wire::StartOrder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOrder {
    /// It is urgent: a reboot now. Else an approval.
    pub is_now: bool,
    /// The operator.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it was given.
    pub since: Option<Timestamp>,
}

/// What an attempt came to. See [`wire::AttemptEnd`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptEnd {
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When its reboot was ordered.
    pub ordered_at: Option<Timestamp>,
    /// The boot that was to end.
    pub boot_before: String,
    /// The boot that replaced it; empty: not proved.
    pub boot_after: String,
    /// The kernel before.
    pub kernel_before: String,
    /// The kernel after; empty: not proved.
    pub kernel_after: String,
    /// Since when the host needed the reboot.
    pub need_since: Option<Timestamp>,
}

impl AttemptStart {
    pub(crate) fn from_wire(wire: wire::AttemptStart) -> Self {
        Self {
            policy: wire.policy,
            policy_generation: wire.policy_generation,
            need_since: time(wire.need_since),
            need_first_since: time(wire.need_first_since),
            reasons: wire.reasons,
            held: wire.held.into_iter().map(GateHeld::from_wire).collect(),
            order: wire.order.map(StartOrder::from_wire),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::AttemptStart {
        wire::AttemptStart {
            policy: self.policy.clone(),
            policy_generation: self.policy_generation,
            need_since: self.need_since.map(to_timestamp),
            need_first_since: self.need_first_since.map(to_timestamp),
            reasons: self.reasons.clone(),
            held: self.held.iter().map(GateHeld::to_wire).collect(),
            order: self.order.as_ref().map(StartOrder::to_wire),
        }
    }
}

impl StartOrder {
    fn from_wire(wire: wire::StartOrder) -> Self {
        Self {
            is_now: wire.kind == i32::from(wire::OrderKind::Now),
            by: wire.by,
            reason: wire.reason,
            since: time(wire.since),
        }
    }

    fn to_wire(&self) -> wire::StartOrder {
        let kind = if self.is_now {
            wire::OrderKind::Now
        } else {
            wire::OrderKind::Approve
        };
        wire::StartOrder {
            kind: kind.into(),
            by: self.by.clone(),
            reason: self.reason.clone(),
            since: self.since.map(to_timestamp),
        }
    }
}

impl AttemptEnd {
    /// That of an attempt that has ended.
    #[must_use]
    pub fn of(attempt: &Attempt) -> Self {
        let ordered = attempt.history.iter().find(|entered| entered.phase == Phase::Rebooting);
        Self {
            started_at: Some(attempt.started_at()),
            ordered_at: ordered.map(|entered| entered.at),
            boot_before: attempt.boot_before.to_string(),
            boot_after: attempt.boot_after.as_ref().map(BootId::to_string).unwrap_or_default(),
            kernel_before: attempt.kernel_before.clone(),
            kernel_after: attempt.kernel_after.clone().unwrap_or_default(),
            need_since: Some(attempt.need_since),
        }
    }

    pub(crate) fn from_wire(wire: wire::AttemptEnd) -> Self {
        Self {
            started_at: time(wire.started_at),
            ordered_at: time(wire.ordered_at),
            boot_before: wire.boot_id_before,
            boot_after: wire.boot_id_after,
            kernel_before: wire.kernel_before,
            kernel_after: wire.kernel_after,
            need_since: time(wire.need_since),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::AttemptEnd {
        wire::AttemptEnd {
            started_at: self.started_at.map(to_timestamp),
            ordered_at: self.ordered_at.map(to_timestamp),
            boot_id_before: self.boot_before.clone(),
            boot_id_after: self.boot_after.clone(),
            kernel_before: self.kernel_before.clone(),
            kernel_after: self.kernel_after.clone(),
            need_since: self.need_since.map(to_timestamp),
        }
    }
}
