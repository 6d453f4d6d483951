//! The time in which external load balancers stop to use the node, before its pods go (D6).

use std::time::Duration;

use jiff::Timestamp;

use crate::backoff::after;
use crate::plan::Suspension;

/// What one drain does about external load balancers.
#[derive(Debug)]
pub(super) struct LoadBalancers {
    /// None: nothing.
    wait: Option<Duration>,
    left_at: Option<Timestamp>,
}

impl LoadBalancers {
    pub(super) fn new(wait: Option<Duration>) -> Self {
        Self { wait, left_at: None }
    }

    /// The cordon takes the node out of them.
    pub(super) fn are_left(&self) -> bool {
        self.wait.is_some()
    }

    /// The node carries our cordon, since now as far as this drain knows.
    pub(super) fn cordoned(&mut self, now: Timestamp) {
        self.left_at = self.wait.map(|wait| after(now, wait));
    }

    /// Set while they may still use the node.
    pub(super) fn leaving(&self, now: Timestamp) -> Option<Suspension> {
        let until = self.left_at.filter(|until| *until > now)?;
        let reason = format!("external load balancers have until {until:.0} to stop to use the node");
        Some(Suspension { until, reason })
    }
}
