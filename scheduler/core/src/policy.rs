//! The policy: what the core is allowed to do, and how long everything may take.

use std::num::NonZeroU32;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::traces_ratio::TracesRatio;

/// Limits of all decisions, whatever a RebootPolicy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How many nodes may be disrupted at once, down or cordoned for whatever reason.
    pub slots: NonZeroU32,
    /// How long a drain may take.
    pub drain_timeout: SignedDuration,
    /// How long after the order the rebooter may still begin the reboot.
    pub reboot_start_timeout: SignedDuration,
    /// How long after the order the node may take to show its new boot.
    pub reboot_timeout: SignedDuration,
    /// How long a node in its new boot may take to be Ready.
    pub verify_timeout: SignedDuration,
    /// How long it may take to take our cordon away.
    pub uncordon_timeout: SignedDuration,
    /// How long a node has to stay Ready before its slot is free.
    pub soak: SignedDuration,
    /// How long a node is left alone after an attempt; doubled with each further attempt in a row that
    /// ended without a reboot.
    pub retry_delay: SignedDuration,
    /// True: a node starts only once a drainer has answered that the node can be drained.
    #[serde(default)]
    pub check_drains: bool,
    /// True: the conditions of Node objects show where their reboots are. False: those of ours are taken away.
    #[serde(default)]
    pub node_conditions: bool,
    /// True: nodes start although something else reboots nodes in this cluster.
    pub tolerate_rivals: bool,
    /// The part of attempts of which traces are exported.
    #[serde(default)]
    pub traces_ratio: TracesRatio,
}

impl Policy {
    /// Longest time that a node is left alone: a working day, so that people see it before the next try.
    pub const RETRY_DELAY_MAX: SignedDuration = SignedDuration::from_hours(8);

    /// After so many attempts in a row that ended at one obstacle the node is left alone for the longest time: the
    /// workload that can move has been evicted as often for nothing.
    pub const SAME_OBSTACLE: u32 = 3;

    /// A drainer ends its drain by itself at the deadline; this much later it is taken for dead.
    pub const DRAIN_ANSWER: SignedDuration = SignedDuration::from_secs(20);

    /// After a load nothing is overdue for this long: what was said meanwhile has to be heard first.
    /// Longer than a message that the last leader had not settled takes to come again.
    pub const RESUME_GRACE: SignedDuration = SignedDuration::from_secs(20);

    /// How often the driver looks whether a command that has no answer is still queued.
    pub const REMINDER: SignedDuration = SignedDuration::from_secs(30);

    /// An agent that has not reported for so many of its own intervals is not heard any more.
    pub const REPORTS_MISSED_MAX: i32 = 3;

    /// How long the proof that a node is drained suffices for the order to reboot: longer than the looks before the order
    /// take, so that a node is drained again only if something held the order back.
    pub const DRAIN_PROVED_FOR: SignedDuration = SignedDuration::from_mins(1);

    /// How long a drained node waits for a gate that cannot be read: a server that restarts is back by then, and a
    /// node that is cordoned for longer serves nothing.
    pub const READING_PATIENCE: SignedDuration = SignedDuration::from_mins(2);

    /// How far the view of a node may be behind a drainer's report: longer than the driver takes to notice
    /// a watch that has fallen silent (15 s).
    pub const VIEW_LAG_MAX: SignedDuration = SignedDuration::from_secs(30);

    /// How far the clock of a host may differ from that of NATS. Small beside the time that an order to reboot holds, and more
    /// than a host whose clock is kept is ever off.
    pub const CLOCK_OFF_MAX: SignedDuration = SignedDuration::from_mins(1);

    /// How long the view of a node whose kubelet is gone may still be Ready: the API server's grace for a node (50 s by
    /// default), and some time for the view.
    pub const READY_STALE_MAX: SignedDuration = SignedDuration::from_secs(60);

    /// How long after the end of an attempt a request of its parts may still take effect. A kube client gives up
    /// later, but by then the API server has dropped a request that it did not begin; and an event that another leader
    /// had taken comes again in half this time.
    pub const LATE_EFFECT_MAX: SignedDuration = SignedDuration::from_secs(30);

    /// How much later than another node a canary may get the same update and still reboot first. Some nodes get an
    /// update up to a day later than others, but a need that is renewed daily must not wait for ever.
    pub const CANARY_HEAD_START: SignedDuration = SignedDuration::from_hours(1);

    /// A policy's limit of reboots counts within this time.
    pub const LOOP_SPAN: SignedDuration = SignedDuration::from_hours(24);

    /// A policy of which no node has come back from a reboot for longer begins a new rollout: its first node goes alone.
    /// More than the time between the windows of two nights, and less than that between two updates.
    pub const ROLLOUT_PAUSE: SignedDuration = SignedDuration::from_hours(24);

    /// Failed reboots count together within this time: a rollout of one update takes some days, and failures that lie
    /// further apart have hardly one cause.
    pub const FAILURES_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);

    /// A cordon of ours on a node without a running attempt is an orphan only after this time:
    /// the view of the node may lag behind the drainer's word that it is uncordoned.
    pub const ORPHAN_AFTER: SignedDuration = SignedDuration::from_secs(10);

    /// How many nodes that were tried in vain may be tried again at once: where there
    /// is more than one slot, one is left for a node that was not tried yet.
    #[must_use]
    pub fn retries_max(&self) -> usize {
        let others = self.slots.get().saturating_sub(1).max(1);
        usize::try_from(others).unwrap_or(usize::MAX)
    }

    /// How long a node is left alone after an attempt, by the number of attempts in a row that ended
    /// without a reboot.
    #[must_use]
    pub fn retry_delay_after(&self, failures_in_row: u32) -> SignedDuration {
        let doublings = failures_in_row.saturating_sub(1).min(16);
        self.retry_delay
            .saturating_mul(1 << doublings)
            .min(self.retry_delay_max())
    }

    /// The longest time that a node is left alone after an attempt.
    #[must_use]
    pub fn retry_delay_max(&self) -> SignedDuration {
        Self::RETRY_DELAY_MAX.max(self.retry_delay)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            slots: NonZeroU32::MIN,
            drain_timeout: SignedDuration::from_mins(30),
            reboot_start_timeout: SignedDuration::from_mins(5),
            reboot_timeout: SignedDuration::from_mins(20),
            verify_timeout: SignedDuration::from_mins(10),
            uncordon_timeout: SignedDuration::from_mins(2),
            soak: SignedDuration::from_secs(30),
            retry_delay: SignedDuration::from_mins(10),
            check_drains: true,
            node_conditions: true,
            tolerate_rivals: false,
            traces_ratio: TracesRatio::default(),
        }
    }
}
