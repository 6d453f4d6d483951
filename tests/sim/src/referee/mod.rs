//! The referee: the promises of the README and of ARCHITECTURE, judged by the state of the modelled world.
//!
//! It shares no code with the cores. Where a promise depends on a message that takes time, the rule says what a
//! leader has been given by then (`knowledge`); everything else is judged at once and without tolerance.
//!
//! `check` names the rules; `facts` is what the referee remembers of a node; `records` judges each record that is
//! stored; `reboots` each call to reboot and each change of a node; `looks` what has to come true over time.

mod check;
mod facts;
mod looks;
mod reboots;
mod records;

use std::collections::BTreeMap;

use crate::moment::{MINUTE, Ms, millis};
use crate::setup::Setup;

pub use check::{Check, OPEN};
pub(crate) use looks::Scene;

use facts::Facts;

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub check: Check,
    /// What broke it.
    pub message: String,
    /// When.
    pub at: Ms,
}

/// The judge of one run.
#[derive(Debug)]
pub(crate) struct Referee {
    facts: Vec<Facts>,
    slots: usize,
    is_paused: bool,
    /// The longest that an attempt may last.
    attempt_max: Ms,
    uncordon_max: Ms,
    retry_delay: Ms,
    /// The first broken rule that is not known to be open.
    pub(crate) violation: Option<Violation>,
    /// How often each rule that is known to be open was broken.
    pub(crate) open: BTreeMap<Check, u32>,
    ignored: Vec<String>,
    pub(crate) now: Ms,
    /// How far the clock of the schedulers is ahead.
    clock_ahead: Ms,
    /// What was counted, for the caller's summary.
    pub(crate) reboots: u64,
    pub(crate) attempts: u64,
}

impl Referee {
    pub(crate) fn new(setup: &Setup) -> Self {
        let policy = &setup.policy;
        let phases = [
            policy.drain_timeout,
            policy.reboot_timeout,
            policy.verify_timeout,
            policy.uncordon_timeout,
            policy.soak,
            policy.verify_timeout,
            policy.uncordon_timeout,
        ];
        let phases: Ms = phases.into_iter().map(millis).sum();
        Self {
            facts: vec![Facts::default(); setup.nodes],
            slots: usize::try_from(policy.slots.get()).unwrap_or(usize::MAX),
            is_paused: false,
            // The drainer's answer may come 20 s late, the slot of what was broken off is kept for 30 s, and each phase may
            // wait for a slow message.
            attempt_max: phases + 6 * MINUTE,
            uncordon_max: millis(policy.uncordon_timeout),
            retry_delay: millis(policy.retry_delay),
            violation: None,
            open: BTreeMap::new(),
            ignored: setup.ignored.clone(),
            now: 0,
            clock_ahead: 0,
            reboots: 0,
            attempts: 0,
        }
    }

    /// The longest that an attempt may last.
    pub(crate) fn attempt_max(&self) -> Ms {
        self.attempt_max
    }

    fn fail(&mut self, check: Check, message: impl FnOnce() -> String) {
        let is_ignored = self.ignored.iter().any(|name| name == check.as_str());
        if is_ignored || OPEN.iter().any(|(open, _)| *open == check) {
            *self.open.entry(check).or_default() += 1;
        } else if self.violation.is_none() {
            self.violation = Some(Violation {
                check,
                message: message(),
                at: self.now,
            });
        }
    }

    fn require(&mut self, holds: bool, check: Check, message: impl FnOnce() -> String) {
        if !holds {
            self.fail(check, message);
        }
    }
}
