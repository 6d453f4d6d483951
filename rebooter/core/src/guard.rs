//! Whether to act on an attempt record: a pure function, the last word before a host goes down.
//!
//! Owned by `run.rs`, which asks it twice: when a record is read, and again right before the
//! call. It reads no clock and no file, and can only hold back: nothing makes it act on a
//! record that another rule forbids.
//!
//! **Once.** A host can end a boot only once, so the boot id is what makes a second call
//! harmless: after a crash between the word that it reboots and the call, the restarted
//! rebooter sees the same boot id and the same record and calls again; after the reboot it
//! sees another boot id and does nothing. Within one process it acts at most once per boot id
//! anyway; a call that arrived and did nothing is followed only by the steps of an escalation (`ladder`). A call that certainly did not
//! arrive is none, and is made again while the order holds, as an order waits for the end of an inhibitor.

use std::time::Duration;

use bellwether_proto::{
    Attempt, AttemptId, BootId, Generation, NodeName, Phase, Problem, ProblemCode, RebootKind, SignatureFault, event,
    subject,
};
use jiff::Timestamp;

use crate::soft;

/// What the rebooter knows of itself and its host, now.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its node.
    pub node: NodeName,
    /// The boot that runs.
    pub boot_id: BootId,
    /// The last call of this process.
    pub acted: Option<Acted>,
    /// The last record that this process refused. It has reported that, and keeps to it.
    pub refused: Option<(AttemptId, Generation)>,
    /// The order that this process has taken up, and could not carry out yet.
    pub waiting: Option<Waiting>,
    /// The order that stood in the record when this process looked for the first time. A process before this one may have
    /// announced the reboot and called for it, also where the record does not show that yet. None: there was none, and so this
    /// process is the only one that can have carried out any later order.
    pub inherited: Option<(AttemptId, Generation)>,
    /// Why it could not reboot its host; none: it can.
    pub problem: Option<Problem>,
    /// How many soft reboots the boot that runs has had, read now; none: the host does not show it, or it was not asked.
    pub soft_reboots: Option<u32>,
}

/// An order that waits for the end of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its attempt.
    pub attempt: AttemptId,
    /// The generation of its record.
    pub generation: Generation,
    /// What is in the way, as it was found last.
    pub problem: Problem,
}

impl Waiting {
    /// The order of this record, which `problem` keeps from being carried out now.
    #[must_use]
    pub fn new(record: &Attempt, problem: Problem) -> Self {
        Self {
            attempt: record.id,
            generation: record.generation,
            problem,
        }
    }

    pub(crate) fn is_for(&self, record: &Attempt) -> bool {
        (self.attempt, self.generation) == (record.id, record.generation)
    }
}

/// How often an order that waits is looked at again. The end of a package upgrade is noticed soon, beside the minutes that an
/// order holds, and a bus that restarts is not kept busy.
pub const WAIT_INTERVAL: Duration = Duration::from_secs(5);

/// A call to reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// For which attempt.
    pub attempt: AttemptId,
    /// The boot that it was to end.
    pub boot_id: BootId,
}

/// What to do with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is no command, or one that is done.
    Nothing,
    /// Reboot.
    Act(Order),
    /// Do not reboot now: this is in the way and may end by itself. Look again after [`WAIT_INTERVAL`].
    Wait(Problem),
    /// Do not reboot, and say so.
    Refuse(Refusal),
}

/// A command to reboot that passed every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The attempt.
    pub attempt: AttemptId,
    /// The generation of the record.
    pub generation: Generation,
    /// The boot that is to end.
    pub boot_id: BootId,
    /// How.
    pub kind: RebootKind,
    /// The number of soft reboots that the host has to show right before the call of a soft one.
    pub soft_reboots: Option<u32>,
    /// Not after this instant.
    pub not_after: Timestamp,
}

impl Order {
    /// True if both are the same command; its limit of time may have been moved.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let of = |order: &Self| (order.attempt, order.generation, order.kind, order.soft_reboots);
        of(self) == of(other) && self.boot_id == other.boot_id
    }
}

/// Why a command is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record is about another node, though it is stored as ours.
    #[error("the record is of another node: {0}")]
    OtherNode(subject::OtherNode),
    /// The drain is not complete.
    #[error("the record has no completed drain")]
    NotDrained,
    /// There is no limit of time.
    #[error("the record does not say until when the reboot may happen")]
    Unlimited,
    /// It is too late.
    #[error("too late: the reboot had to happen before {not_after}, and it is {now} on the host")]
    Late {
        /// The limit.
        not_after: Timestamp,
        /// By the host's clock.
        now: Timestamp,
    },
    /// The host cannot be rebooted from here.
    #[error("the host cannot be rebooted: {}", problem.message)]
    Unable {
        /// Why.
        problem: Problem,
    },
    /// An inhibitor, such as a package upgrade, blocked shutdowns until the end of the order.
    #[error("not before {not_after}: {}", problem.message)]
    Inhibited {
        /// The limit.
        not_after: Timestamp,
        /// The inhibitor.
        problem: Problem,
    },
    /// No call has arrived, at the end of the order or at a problem that does not pass.
    #[error("no call for the reboot has arrived, and none will: {}", problem.message)]
    Unreached {
        /// Why.
        problem: Problem,
    },
    /// The record looks like a command, and no scheduler has signed it.
    #[error("the record is not trusted: {0}")]
    Untrusted(SignatureFault),
    /// For another attempt this process has tried to end this very boot.
    #[error(
        "this boot was told to end already, for attempt {before}, and goes on: look at the host; a restart of its rebooter allows another try"
    )]
    Spent {
        /// The attempt of the first call.
        before: AttemptId,
    },
}

impl Refusal {
    /// The code in the event and in labels, from a closed list.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherNode(_) => "OtherNode",
            Self::NotDrained => "NotDrained",
            Self::Unlimited => "Unlimited",
            Self::Late { .. } => "Late",
            Self::Unable { .. } => "Unable",
            Self::Inhibited { .. } => event::REFUSED_INHIBITED,
            Self::Unreached { .. } => event::REFUSED_UNREACHED,
            Self::Spent { .. } => "Spent",
            Self::Untrusted(fault) => fault.code(),
        }
    }

    /// True if the refusal is reported as an event. About another node's attempt the rebooter reports nothing.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        match self {
            Self::OtherNode(_) => false,
            Self::NotDrained
            | Self::Unlimited
            | Self::Late { .. }
            | Self::Unable { .. }
            | Self::Inhibited { .. }
            | Self::Unreached { .. }
            | Self::Spent { .. }
            | Self::Untrusted(_) => true,
        }
    }
}

/// The order that a record is, by its phase.
#[must_use]
pub fn order_in(record: &Attempt) -> Option<(AttemptId, Generation)> {
    (record.phase == Phase::Rebooting).then_some((record.id, record.generation))
}

/// Examines the record that is stored for our node.
#[must_use]
pub fn examine(record: &Attempt, own: &Own, now: Timestamp) -> Decision {
    if own.refused == Some((record.id, record.generation)) {
        return Decision::Nothing;
    }
    // The record is read from our own subject.
    if let Err(other) = subject::same_node(&own.node.token(), &record.node) {
        return Decision::Refuse(Refusal::OtherNode(other));
    }
    if record.phase != Phase::Rebooting || record.boot_before != own.boot_id {
        // No command, or one that is done: that boot has ended.
        return Decision::Nothing;
    }
    if soft::is_over(record, own.soft_reboots) {
        // The same boot with another user space: that order is done.
        return Decision::Nothing;
    }
    if let Some(acted) = own.acted.as_ref().filter(|acted| acted.boot_id == own.boot_id) {
        if acted.attempt == record.id {
            return Decision::Nothing;
        }
        return Decision::Refuse(Refusal::Spent { before: acted.attempt });
    }
    let waiting = own.waiting.as_ref().filter(|waiting| waiting.is_for(record));
    // Once the rebooter has reported that the host reboots, the host may be going down right now, slowly, and its
    // bus with it. A refusal would have the node taken back into service meanwhile; whether the reboot happened is decided
    // by the attempt's deadline. Not if this process knows that no call has arrived: the order came after its first look, and each
    // call that it made has certainly not arrived.
    let is_uncalled = waiting.is_some() && own.inherited != Some((record.id, record.generation));
    let may_go_down = record.reboot_started_at.is_some() && !is_uncalled;
    let problem = own
        .problem
        .clone()
        .or_else(|| unknown_kind(record.reboot_kind))
        .or_else(|| soft::problem(record, own.soft_reboots));
    match (not_after(record, waiting, is_uncalled, now), &problem) {
        (Ok(not_after), None) => Decision::Act(Order {
            attempt: record.id,
            generation: record.generation,
            boot_id: own.boot_id.clone(),
            kind: record.reboot_kind,
            soft_reboots: record.soft_reboots_before,
            not_after,
        }),
        (Ok(_), Some(problem)) if may_pass(problem.code) => Decision::Wait(problem.clone()),
        (Ok(_), Some(_)) if may_go_down => Decision::Nothing,
        // Announced, and no call has arrived: the host stays up, and the refusal states that.
        (Ok(_), Some(problem)) if record.reboot_started_at.is_some() => Decision::Refuse(Refusal::Unreached {
            problem: problem.clone(),
        }),
        (Ok(_), Some(problem)) => Decision::Refuse(Refusal::Unable {
            problem: problem.clone(),
        }),
        (Err(Refusal::Late { .. } | Refusal::Unable { .. }), _) if may_go_down => Decision::Nothing,
        (Err(refusal), _) => Decision::Refuse(refusal),
    }
}

/// An order of a kind that this version does not know is never carried out in another way: the scheduler has a reason for it.
fn unknown_kind(kind: RebootKind) -> Option<Problem> {
    match kind {
        RebootKind::Full | RebootKind::Kexec | RebootKind::Soft => None,
        RebootKind::Unknown(_) => Some(Problem::new(
            ProblemCode::RebootKindNotPossible,
            format!("this version of the rebooter does not know the kind of reboot {kind}: upgrade the rebooter"),
        )),
    }
}

/// True for a problem that ends by itself within the time of an order, often enough to wait for it: the node is drained
/// already, and another attempt would drain it again.
fn may_pass(code: ProblemCode) -> bool {
    match code {
        // A package upgrade; a bus or a logind that restarts.
        ProblemCode::ShutdownInhibited
        | ProblemCode::BusUnreachable
        | ProblemCode::LogindCallFailed
        | ProblemCode::RebootMethodTimedOut => true,
        ProblemCode::HostDirectoryUnreadable
        | ProblemCode::SentinelFileUnreadable
        | ProblemCode::SentinelFileNotAFile
        | ProblemCode::ProbeAborted
        | ProblemCode::ProbeFailed
        | ProblemCode::BusAccessDenied
        | ProblemCode::RebootNotPermitted
        | ProblemCode::RebootCommandNotRunnable
        | ProblemCode::RebootCommandFailed
        | ProblemCode::RebootAlreadyCalled
        | ProblemCode::RebootNotProvable
        | ProblemCode::SignalNotPermitted
        | ProblemCode::RebootKindNotPossible
        | ProblemCode::KexecNotLoaded
        | ProblemCode::Unclassified
        | ProblemCode::Unknown(_) => false,
    }
}

/// Examines what a record says that does not verify: it is never obeyed. One that would be a command is refused, so that
/// the scheduler, if the record is its own, learns the reason.
#[must_use]
pub fn examine_claim(claim: &Attempt, fault: SignatureFault, own: &Own, now: Timestamp) -> Decision {
    match examine(claim, own, now) {
        Decision::Act(_) | Decision::Wait(_) => Decision::Refuse(Refusal::Untrusted(fault)),
        // Another refusal would say of whom the record is.
        Decision::Refuse(_) | Decision::Nothing => Decision::Nothing,
    }
}

/// The place of a verified record, by its stream and by its own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// When its phase was entered.
    pub since: Timestamp,
}

impl Place {
    /// True if the record was replaced by the other one: a client that may delete messages can show it again. By both,
    /// since a stream that was made again counts from the start, and a scheduler's clock may be set back.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.sequence < other.sequence && self.since < other.since
    }
}

/// The limit of time of a command that may be obeyed now.
fn not_after(
    record: &Attempt,
    waiting: Option<&Waiting>,
    is_uncalled: bool,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    // Invariant "Drained before rebooted".
    if record.drained_at.is_none() {
        return Err(Refusal::NotDrained);
    }
    let not_after = record.reboot_not_after.ok_or(Refusal::Unlimited)?;
    if now < not_after {
        return Ok(not_after);
    }
    let Some(Waiting { problem, .. }) = waiting else {
        return Err(Refusal::Late { not_after, now });
    };
    let problem = problem.clone();
    Err(if !is_uncalled {
        // A process before this one may have called, so no code may state that the host stays up.
        Refusal::Unable { problem }
    } else if problem.code == ProblemCode::ShutdownInhibited {
        Refusal::Inhibited { not_after, problem }
    } else {
        Refusal::Unreached { problem }
    })
}
