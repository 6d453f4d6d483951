//! The escalation: which method is tried next on a host that was called to reboot and still runs, and when.
//!
//! Pure, as the guard. A ladder is empty unless an operator has set one. Each of its steps is another call for the same
//! reboot of the same boot: it can bring no second reboot, and is taken only while the record still orders this one. No step
//! follows a soft reboot: each is a full one, which is more than was ordered.

use std::time::Duration;

use bellwether_proto::{Attempt, AttemptId, BootId, Generation, Phase, RebootKind};
use jiff::{SignedDuration, Timestamp};

use crate::guard::Own;

/// No step begins so close to the deadline of its phase: the scheduler may have the node taken back into service from there on.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// A step that comes earlier would cut off hosts that go down as they should: the kubelet's graceful shutdown and a unit's
/// stop take up to 90 s by the defaults of systemd.
pub const AFTER_MIN: Duration = Duration::from_secs(30);

/// Another method, and how long after the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<M> {
    /// The method.
    pub method: M,
    /// How long after the first call.
    pub after: Duration,
}

/// The steps, the earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder<M> {
    steps: Vec<Step<M>>,
}

/// A ladder that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LadderError {
    /// A step comes too early.
    #[error("a step has to come 30s or more after the call, so that a host that goes down as it should is not cut off")]
    TooEarly,
    /// A step comes not later than the one before.
    #[error("each step has to come later than the one before")]
    Order,
    /// Two steps have the same method.
    #[error("names a method twice: each is tried once")]
    Twice,
}

impl<M: PartialEq> Ladder<M> {
    /// A ladder of these steps.
    ///
    /// # Errors
    /// A step too early, out of order, or with the method of another step.
    pub fn new(steps: Vec<Step<M>>) -> Result<Self, LadderError> {
        let pairs = || steps.iter().zip(steps.iter().skip(1));
        if steps.iter().any(|step| step.after < AFTER_MIN) {
            return Err(LadderError::TooEarly);
        }
        if pairs().any(|(before, step)| step.after <= before.after) {
            return Err(LadderError::Order);
        }
        let is_twice =
            |(index, step): (usize, &Step<M>)| steps.iter().skip(index + 1).any(|other| other.method == step.method);
        if steps.iter().enumerate().any(is_twice) {
            return Err(LadderError::Twice);
        }
        Ok(Self { steps })
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step<M>] {
        &self.steps
    }
}

/// The way up the ladder, of one order. It begins with the first call, or is adopted by a process that has called nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Climb {
    /// The attempt of the order.
    pub attempt: AttemptId,
    /// The generation of its record.
    pub generation: Generation,
    /// The boot that was to end.
    pub boot_id: BootId,
    /// How many steps were taken.
    pub taken: usize,
    /// A process before this one has announced the reboot. Whether its call has arrived is not known, so each step is a way to
    /// obey the order, and comes within the order's own limit.
    pub is_adopted: bool,
}

/// What is due on the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The step of this index.
    Step(usize),
    /// Nothing before this much time has passed.
    In(Duration),
    /// Nothing more: there is no further step, or the record does not order this reboot any more.
    Over,
}

impl Climb {
    /// The way up of the order of this record, with no step taken.
    #[must_use]
    pub fn new(record: &Attempt) -> Self {
        Self {
            attempt: record.id,
            generation: record.generation,
            boot_id: record.boot_before.clone(),
            taken: 0,
            is_adopted: false,
        }
    }

    /// The way up of an order that a process before this one has announced, and that this one has neither announced nor
    /// refused: the kubelet ends a rebooter with the other pods of a host that is to go down. None: there is none. No
    /// escalation follows an order of another kind than the full one by a process that does not know whether that one was called.
    #[must_use]
    pub fn adopted(record: &Attempt, own: &Own, announced: Option<(AttemptId, Generation)>) -> Option<Self> {
        let this = Some((record.id, record.generation));
        let has_called = own.acted.as_ref().is_some_and(|acted| acted.boot_id == own.boot_id);
        let is_own = own.inherited != this || own.refused == this || announced == this || has_called;
        let is_left = record.reboot_started_at.is_some() && record.reboot_kind == RebootKind::Full;
        (is_left && !is_own).then(|| Self {
            is_adopted: true,
            ..Self::new(record)
        })
    }

    /// Whether both are of the same order and boot.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.attempt, self.generation, &self.boot_id) == (other.attempt, other.generation, &other.boot_id)
    }

    /// What is due, by the record as it is now. `since_call` is how long ago the first call was, by a clock that does not jump.
    #[must_use]
    pub fn next<M: PartialEq>(
        &self,
        ladder: &Ladder<M>,
        record: &Attempt,
        own: &Own,
        since_call: Duration,
        now: Timestamp,
    ) -> Next {
        let Some(step) = ladder.steps().get(self.taken) else {
            return Next::Over;
        };
        let is_same = (record.id, record.generation) == (self.attempt, self.generation);
        let is_here = record.node == own.node && record.boot_before == own.boot_id && self.boot_id == own.boot_id;
        let may_be_full = record.reboot_kind != RebootKind::Soft;
        let is_ordered = record.phase == Phase::Rebooting && record.drained_at.is_some() && may_be_full;
        let ends = record.deadline.and_then(|deadline| deadline.checked_sub(MARGIN).ok());
        let is_in_time = !self.is_adopted || record.reboot_not_after.is_some_and(|not_after| now < not_after);
        if !(is_same && is_here && is_ordered && is_in_time && ends.is_some_and(|ends| now < ends)) {
            return Next::Over;
        }
        match step.after.checked_sub(since_call) {
            None | Some(Duration::ZERO) => Next::Step(self.taken),
            Some(left) => Next::In(left),
        }
    }
}
