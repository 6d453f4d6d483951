//! What one leader has been given of one node: no core can act on more.

use bellwether_proto::{BootId, HostReport, NeedReport, ProblemCode, RebooterReport};
use bellwether_scheduler_core::{Input, NodeView, StoredReport};

use crate::moment::{MINUTE, Ms, millis, moment};

/// A sentinel's report, as far as rules need it.
#[derive(Debug, Clone)]
pub(crate) struct Reported {
    pub(crate) boot: BootId,
    /// None: the sentinel could not look.
    pub(crate) need: Option<bool>,
    pub(crate) stale_at: Ms,
}

/// A rebooter's report, as far as rules need it.
#[derive(Debug, Clone)]
pub(crate) struct Ability {
    pub(crate) boot: BootId,
    pub(crate) able: bool,
    /// It is not able now, and would wait with an order for the end of the inhibitor.
    pub(crate) would_wait: bool,
    /// The clock of its host shows the time of NATS, but for a minute.
    pub(crate) knows_time: bool,
    pub(crate) stale_at: Ms,
}

/// What one leader has been given of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Knowledge {
    pub(crate) node: Option<NodeView>,
    pub(crate) sentinel: Option<Reported>,
    pub(crate) rebooter: Option<Ability>,
}

impl Knowledge {
    pub(crate) fn take(&mut self, input: &Input) {
        match input {
            Input::Node(view) => self.node = Some(view.clone()),
            Input::NodeGone(_) => self.node = None,
            Input::Sentinel(stored) => self.sentinel = Some(reported(stored)),
            Input::Rebooter(stored) => self.rebooter = Some(ability(stored)),
            _ => (),
        }
    }

    /// The last reports call for a reboot that could be done now, by a clock that shows this moment.
    pub(crate) fn is_fit(&self, clock: Ms) -> Result<(), &'static str> {
        if self.rebooter.as_ref().is_some_and(|rebooter| !rebooter.able) {
            return Err("the rebooter reports a problem");
        }
        self.is_fit_for_order(clock)
    }

    /// The same for one that could be ordered now.
    pub(crate) fn is_fit_for_order(&self, clock: Ms) -> Result<(), &'static str> {
        let Some(sentinel) = &self.sentinel else {
            return Err("no report of the sentinel");
        };
        let Some(rebooter) = &self.rebooter else {
            return Err("no report of the rebooter");
        };
        if sentinel.need != Some(true) {
            return Err("the sentinel reports no need");
        }
        if sentinel.stale_at < clock {
            return Err("the sentinel's report is stale");
        }
        if rebooter.stale_at < clock {
            return Err("the rebooter's report is stale");
        }
        if !rebooter.able && !rebooter.would_wait {
            return Err("the rebooter reports a problem");
        }
        if !rebooter.knows_time {
            return Err("the clock of the host is off");
        }
        if rebooter.boot != sentinel.boot {
            return Err("the rebooter reports another boot");
        }
        Ok(())
    }
}

/// A report that was not renewed for three of its intervals is stale (proto/README.md).
fn reported(stored: &StoredReport<HostReport>) -> Reported {
    let report = &stored.report;
    Reported {
        boot: report.boot_id.clone(),
        need: match &report.need {
            NeedReport::Required(_) => Some(true),
            NeedReport::NotRequired => Some(false),
            NeedReport::Unknown(_) => None,
        },
        stale_at: moment(stored.stored_at) + 3 * millis(report.refresh_interval),
    }
}

fn ability(stored: &StoredReport<RebooterReport>) -> Ability {
    let report = &stored.report;
    Ability {
        boot: report.boot_id.clone(),
        able: report.problem.is_none(),
        would_wait: report
            .problem
            .as_ref()
            .is_some_and(|problem| problem.code == ProblemCode::ShutdownInhibited),
        knows_time: (moment(report.reported_at) - moment(stored.stored_at)).abs() <= MINUTE,
        stale_at: moment(stored.stored_at) + 3 * millis(report.refresh_interval),
    }
}
