//! One leading scheduler: its core, its inbox, and the effect that it waits for.
//!
//! The order of the steps is that of `scheduler/src/lead.rs`.

use std::collections::{BTreeSet, VecDeque};

use bellwether_scheduler_core::{CancelEffect, Command, Fleet, Input};

use crate::bus::Write;
use crate::knowledge::Knowledge;
use crate::moment::Ms;

/// How far a leader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is loaded.
    Starting,
    /// The records are loaded, nodes and reports are not.
    Loaded,
    Running,
}

/// A message to the leader's loop.
#[derive(Debug)]
pub(crate) enum Message {
    Fact(Box<Input>),
    /// The number of an event in the stream.
    Event(usize),
    /// An operator's request.
    Request(Box<Input>),
}

/// An effect on its way.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A write that is not applied yet.
    Write(u64, Write),
    /// A write that is applied; its confirmation is on the way. None: it was refused.
    Written(Option<u64>),
    Command(usize, Box<Command>),
    /// A look whether a command is still queued.
    Check(usize, Box<Command>),
    /// NATS does not answer.
    Lost,
}

/// One leading scheduler.
#[derive(Debug)]
pub(crate) struct Leader {
    pub(crate) id: u32,
    pub(crate) fleet: Fleet,
    pub(crate) stage: Stage,
    /// Sequence of the bucket's last message that it knows.
    pub(crate) sequence: u64,
    /// Error of its clock.
    pub(crate) skew: Ms,
    /// When it decided last, by its clock.
    pub(crate) decided_at: Ms,
    pub(crate) inbox: VecDeque<Message>,
    pub(crate) waits_for_effect: bool,
    pub(crate) must_decide: bool,
    /// The events that are settled once their effects are carried out.
    pub(crate) events_in_hand: Vec<usize>,
    /// Events on their way, in its inbox or in hand.
    pub(crate) events_pulled: usize,
    pub(crate) events_heard_at: Ms,
    /// The reply that an operator gets once the effects are carried out.
    pub(crate) reply: Option<(usize, CancelEffect)>,
    /// It does not run until then.
    pub(crate) stalled_until: Ms,
    /// A watch of the API server fails: nothing is decided.
    pub(crate) watch_fails: bool,
    /// Another one leads by the Lease, and this one has not noticed.
    pub(crate) is_deposed: bool,
    pub(crate) wakes_at: Ms,
    pub(crate) token: u32,
    /// The watches deliver in order.
    pub(crate) nodes_heard_at: Ms,
    pub(crate) reports_heard_at: Ms,
    /// For the referee: what it was given, and the nodes of which that changed since it last rested.
    pub(crate) known: Vec<Knowledge>,
    pub(crate) touched: BTreeSet<usize>,
    pub(crate) running_since: Ms,
}
