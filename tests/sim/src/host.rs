//! Machines with their agents.

use bellwether_proto::{Attempt, AttemptId, BootId, Generation};
use bellwether_rebooter_core::guard::{Acted, Order, Waiting};
use bellwether_rebooter_core::schedule::Schedule;
use bellwether_sentinel_core::Reporter;
use jiff::Timestamp;

use crate::moment::Ms;

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    Up,
    Down,
}

/// How a host takes the next call to reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obeys {
    Promptly,
    Slowly,
    Never,
}

/// How a host comes back from its next boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Return {
    Soon,
    Late,
    NotReady,
    Never,
}

/// A sentinel file, as it really is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeedFile {
    /// The need: it stays the same until the file is written again.
    pub(crate) id: u64,
    pub(crate) since: Timestamp,
}

/// One run of an agent's process. Entries of the agenda that name another run are void.
#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) run: u32,
    pub(crate) is_up: bool,
    /// When the next turn is due, and the token of that entry of the agenda.
    pub(crate) wakes_at: Ms,
    pub(crate) token: u32,
    /// A report is on its way.
    pub(crate) is_storing: bool,
}

/// The rebooter, with all that its process remembers.
#[derive(Debug, Default)]
pub(crate) struct Rebooter {
    pub(crate) process: Process,
    pub(crate) acted: Option<Acted>,
    pub(crate) refused: Option<(AttemptId, Generation)>,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) has_looked: bool,
    pub(crate) inherited: Option<(AttemptId, Generation)>,
    pub(crate) spent: bool,
    pub(crate) schedule: Schedule,
    /// The order that is being obeyed.
    pub(crate) obeying: Option<Order>,
    /// Its record, as it was when the order was taken up.
    pub(crate) taken_up: Option<Box<Attempt>>,
    /// The next look at the record is due then.
    pub(crate) looks_at: Option<Ms>,
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) power: Power,
    pub(crate) boot: BootId,
    /// When this boot began.
    pub(crate) booted: Ms,
    /// Error of the host's clock.
    pub(crate) skew: Ms,
    pub(crate) need: Option<NeedFile>,
    pub(crate) need_will_survive: bool,
    pub(crate) probe_fails: bool,
    pub(crate) preflight_fails: bool,
    pub(crate) obeys: Obeys,
    pub(crate) returns: Return,
    /// Counts boots and shutdowns: entries of the agenda that name another count are void.
    pub(crate) life: u32,
    pub(crate) sentinel: Process,
    pub(crate) reporter: Option<Reporter>,
    pub(crate) rebooter: Rebooter,
    /// A disruption budget lets no pod of this node go.
    pub(crate) budget_blocks: bool,
    /// Pods of this node that terminate do not end.
    pub(crate) pods_stick: bool,
    /// The machine is gone for good: its Node object was deleted.
    pub(crate) is_gone: bool,
}

impl Host {
    pub(crate) fn new(boot: BootId) -> Self {
        Self {
            power: Power::Up,
            boot,
            booted: 0,
            skew: 0,
            need: None,
            need_will_survive: false,
            probe_fails: false,
            preflight_fails: false,
            obeys: Obeys::Promptly,
            returns: Return::Soon,
            life: 0,
            sentinel: Process::default(),
            reporter: None,
            rebooter: Rebooter::default(),
            budget_blocks: false,
            pods_stick: false,
            is_gone: false,
        }
    }
}
