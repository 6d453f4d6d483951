//! The messages of one target: in their order, at the target's pace, with tries until each is taken or given up.
//!
//! A fault of the target stops all of its messages, a refusal only the one. Its owner sends and tells the time.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::answer::{Answer, Fault};
use crate::notification::Notification;

/// The first wait after a fault; each next one is twice as long.
const WAIT_FIRST: SignedDuration = SignedDuration::from_secs(1);

/// The longest wait after faults: a target that is back gets its messages within a minute.
const WAIT_MAX: SignedDuration = SignedDuration::from_secs(60);

/// The longest wait that a target may ask for. A longer one would be a way to silence the notifier.
const RETRY_AFTER_MAX: SignedDuration = SignedDuration::from_mins(15);

/// After so many doublings the longest wait is reached.
const DOUBLINGS_MAX: u32 = 6;

/// So many messages wait at most: a day of a fleet at the slowest pace. The oldest leaves, as old news.
const WAITING_MAX: usize = 1000;

#[derive(Debug)]
struct Waiting {
    key: String,
    notification: Notification,
    since: Timestamp,
    /// The place in the stream of the event that is acknowledged after this message; none: no event is.
    event: Option<u64>,
    /// The recipients whose turn is still to come, by their places in the settings.
    recipients: VecDeque<usize>,
    /// A recipient has it.
    is_taken: bool,
}

/// The messages of one target.
///
/// An event waits for the messages that it brought, as long as no more events than a share wait for this target: a target
/// that is away takes no place from the others. Further messages wait as well, and their events do not.
#[derive(Debug)]
pub struct Outbox {
    waiting: VecDeque<Waiting>,
    spacing: SignedDuration,
    give_up_after: SignedDuration,
    share: usize,
    recipients: usize,
    failures: u32,
    /// The newest fault since the last message that was taken.
    fault: Option<Fault>,
    not_before: Timestamp,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this message, and hand over the answer.
    Send {
        /// The message.
        notification: Box<Notification>,
        /// To which of the target's recipients.
        recipient: usize,
    },
    /// Ask again at this time.
    Wait(Timestamp),
    /// Nothing waits.
    Idle,
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The target took it, at least for one recipient.
    Delivered,
    /// The target refuses this message for each recipient, whatever is tried.
    Refused(Fault),
    /// The target did not take it for so long that it is no news any more.
    GaveUp(Fault),
}

/// A message that is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The message.
    pub notification: Notification,
    /// How it ended.
    pub ended: Ended,
}

impl Outbox {
    /// An empty one. `per_minute`: so many messages at most; above zero. `share`: so many events wait for it at most.
    /// `recipients`: each message is sent once to each of so many; above zero.
    #[must_use]
    pub fn new(per_minute: u16, give_up_after: SignedDuration, share: usize, recipients: usize) -> Self {
        let millis = 60_000 / i64::from(per_minute.max(1));
        Self {
            waiting: VecDeque::new(),
            spacing: SignedDuration::from_millis(millis),
            give_up_after,
            share,
            recipients: recipients.max(1),
            failures: 0,
            fault: None,
            not_before: Timestamp::UNIX_EPOCH,
        }
    }

    /// Adds a message of an event, unless it waits already. The first one of a quiet target is sent at once. True: the event
    /// waits for the message, also if it comes again.
    pub fn insert(&mut self, now: Timestamp, notification: Notification, event: Option<u64>) -> bool {
        let key = notification.key();
        if let Some(known) = self.waiting.iter().find(|it| it.key == key) {
            return event.is_some() && known.event == event;
        }
        let mut events: Vec<u64> = self.waiting.iter().filter_map(|it| it.event).collect();
        events.sort_unstable();
        events.dedup();
        let event = event.filter(|event| events.len() < self.share || events.contains(event));
        self.waiting.push_back(Waiting {
            key,
            notification,
            since: now,
            event,
            recipients: (0..self.recipients).collect(),
            is_taken: false,
        });
        event.is_some()
    }

    /// Sends each message to each of so many recipients from now on; above zero. True: these are more or fewer than before, so
    /// places may stand for others, and each message that waits has all of them before it. One that some have comes again.
    pub fn set_recipients(&mut self, recipients: usize) -> bool {
        let recipients = recipients.max(1);
        if recipients == self.recipients {
            return false;
        }
        self.recipients = recipients;
        for waiting in &mut self.waiting {
            waiting.recipients = (0..recipients).collect();
        }
        true
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True if none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What to do now. A message stays the next one until [`Self::handle_answer`] settles it.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Next {
        match self.waiting.front() {
            None => Next::Idle,
            Some(_) if now < self.not_before => Next::Wait(self.not_before),
            Some(first) => Next::Send {
                notification: Box::new(first.notification.clone()),
                recipient: first.recipients.front().copied().unwrap_or_default(),
            },
        }
    }

    /// Gives up what is too old or too much; returns that. To be called before each [`Self::next`].
    pub fn handle_time(&mut self, now: Timestamp) -> Vec<Settled> {
        let fault = self.fault.unwrap_or(Fault::Crowded);
        let mut settled = self.give_up(now, fault);
        while self.waiting.len() > WAITING_MAX {
            settled.extend(self.settle_first(Ended::GaveUp(fault)));
        }
        settled
    }

    /// Takes in the answer to the message that [`Self::next`] gave; returns what is settled by it.
    pub fn handle_answer(&mut self, now: Timestamp, answer: &Answer) -> Vec<Settled> {
        let later = |wait: SignedDuration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        match answer {
            Answer::Delivered { .. } => {
                self.failures = 0;
                self.fault = None;
                self.not_before = later(self.spacing);
                self.next_recipient(Ended::Delivered)
            }
            Answer::Refused(fault) => {
                self.failures = 0;
                self.fault = None;
                self.not_before = later(self.spacing);
                self.next_recipient(Ended::Refused(*fault))
            }
            // The same message again, now outside of a thread. A target that answers this to all is a fault like another one.
            Answer::ThreadGone => self.failed(now, Fault::NotFound, None),
            Answer::Failed { fault, retry_after } => self.failed(now, *fault, *retry_after),
        }
    }

    fn failed(&mut self, now: Timestamp, fault: Fault, retry_after: Option<SignedDuration>) -> Vec<Settled> {
        let wait = (WAIT_FIRST * (1 << self.failures.min(DOUBLINGS_MAX))).min(WAIT_MAX);
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.failures = self.failures.saturating_add(1);
        self.fault = Some(fault);
        let wait = wait.max(asked).max(self.spacing);
        self.not_before = now.checked_add(wait).unwrap_or(Timestamp::MAX);
        // The others do not wait for the one whose server has no place for the message now.
        if let Some(first) = self.waiting.front_mut()
            && let Some(recipient) = first.recipients.pop_front()
        {
            first.recipients.push_back(recipient);
        }
        self.give_up(now, fault)
    }

    /// The message ended so for one recipient; with the last one it is settled.
    fn next_recipient(&mut self, ended: Ended) -> Vec<Settled> {
        let Some(first) = self.waiting.front_mut() else {
            return Vec::new();
        };
        first.recipients.pop_front();
        first.is_taken |= ended == Ended::Delivered;
        let ended = if first.is_taken { Ended::Delivered } else { ended };
        if first.recipients.is_empty() {
            self.settle_first(ended)
        } else {
            Vec::new()
        }
    }

    fn settle_first(&mut self, ended: Ended) -> Vec<Settled> {
        let first = self.waiting.pop_front();
        first
            .map(|Waiting { notification, .. }| Settled { notification, ended })
            .into_iter()
            .collect()
    }

    /// All at once: else each of a long queue would cost a try and its wait.
    fn give_up(&mut self, now: Timestamp, fault: Fault) -> Vec<Settled> {
        let mut settled = Vec::new();
        while let Some(first) = self.waiting.front()
            && now.duration_since(first.since) >= self.give_up_after
        {
            settled.extend(self.settle_first(Ended::GaveUp(fault)));
        }
        settled
    }
}
