//! The streams and buckets, each defined once.
//!
//! Plain data: the chassis turns it into what the NATS client wants. A bucket is a stream
//! called `KV_<bucket>`, so that ordinary key-value tools read it too.

use std::time::Duration;

/// Bucket of what is true on the hosts.
pub const HOSTS: &str = "bellwether_hosts";

/// Bucket of the attempts: the authority.
pub const ATTEMPTS: &str = "bellwether_attempts";

/// The drainers' durable consumer, shared by all replicas.
pub const DRAINERS: &str = "drainers";

/// The scheduler's durable consumer of events, used by the replica that leads.
pub const SCHEDULER: &str = "scheduler";

/// The notifier's durable consumer of events.
pub const NOTIFIER: &str = "notifier";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of messages in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// They stay until a limit is reached.
    Limits,
    /// They stay until they are acknowledged.
    WorkQueue,
}

/// One stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamDefinition {
    /// Its name.
    pub name: &'static str,
    /// What it is for, shown by `nats stream info`.
    pub description: &'static str,
    /// What it stores.
    pub subjects: &'static [&'static str],
    /// What becomes of its messages.
    pub retention: Retention,
    /// How many messages of one subject it keeps; the newest stay. None: no limit.
    pub per_subject: Option<i64>,
    /// How long it keeps them. None: no limit.
    pub max_age: Option<Duration>,
    /// How much it keeps. None: no limit.
    pub max_bytes: Option<i64>,
    /// How long a message id is remembered to drop a second copy.
    pub duplicate_window: Duration,
    /// It is a key-value bucket.
    pub bucket: bool,
    /// A message may delete what is stored before it. Not where agents write: one of them could delete all reports.
    pub rollup: bool,
}

impl StreamDefinition {
    /// Only the newest message of a subject counts, so readers rest on the limit per subject.
    #[must_use]
    pub const fn newest_counts(&self) -> bool {
        self.bucket || matches!(self.per_subject, Some(1))
    }
}

/// Where a durable consumer starts that is created, and by which service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerStart {
    /// At the oldest message that is stored; each service that sets up JetStream creates it.
    Oldest,
    /// Where its reader needs it to start; no other service creates it.
    Reader,
    /// At the next message that is stored. The schedulers create it beside their work, and nothing waits for it: no reboot
    /// depends on its reader, which has no right to create it.
    Next,
}

/// One durable consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerDefinition {
    /// The stream that it reads.
    pub stream: &'static str,
    /// What it reads of it; empty: everything.
    pub filters: &'static [&'static str],
    /// Its durable name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Where it starts.
    pub start: ConsumerStart,
    /// A message that is neither settled nor in progress for so long goes to the next replica.
    pub ack_wait: Duration,
    /// How many messages may be under way at once, over all replicas.
    pub max_ack_pending: i64,
}

/// What is true on the hosts: one record an agent.
pub const HOSTS_STREAM: StreamDefinition = StreamDefinition {
    name: "KV_bellwether_hosts",
    description: "Bellwether: what is true on the hosts, one record an agent",
    subjects: &["$KV.bellwether_hosts.>"],
    retention: Retention::Limits,
    per_subject: Some(1),
    // Many refreshes: what is older is of a host that is gone for good.
    max_age: Some(DAY),
    max_bytes: None,
    duplicate_window: Duration::from_secs(120),
    bucket: true,
    rollup: false,
};

/// The attempts: one record a node. A few old revisions stay, for operators who look into the past.
pub const ATTEMPTS_STREAM: StreamDefinition = StreamDefinition {
    name: "KV_bellwether_attempts",
    description: "Bellwether: the attempt of each node, written by the scheduler only",
    subjects: &["$KV.bellwether_attempts.>"],
    retention: Retention::Limits,
    per_subject: Some(16),
    max_age: None,
    max_bytes: None,
    duplicate_window: Duration::from_secs(120),
    bucket: true,
    rollup: true,
};

/// Commands to the drainers: of each kind for each node only the newest is kept.
pub const COMMANDS_STREAM: StreamDefinition = StreamDefinition {
    name: "BELLWETHER_COMMANDS",
    description: "Bellwether: commands to the drainers",
    subjects: &[crate::subject::ALL_COMMANDS],
    retention: Retention::WorkQueue,
    per_subject: Some(1),
    // The longest time that a drain may be given; a command is checked against the record anyway.
    max_age: Some(DAY),
    max_bytes: None,
    duplicate_window: Duration::from_secs(120),
    bucket: false,
    rollup: false,
};

/// What happened: the audit trail.
pub const EVENTS_STREAM: StreamDefinition = StreamDefinition {
    name: "BELLWETHER_EVENTS",
    description: "Bellwether: what happened to the nodes",
    subjects: &[crate::subject::ALL_EVENTS],
    retention: Retention::Limits,
    // A month has fewer of one kind for one node, but for the progress of drains that last for hours. An agent that floods
    // its three kinds takes a tenth of the stream at most, with the largest messages that the gatekeeper allows agents.
    per_subject: Some(256),
    max_age: Some(Duration::from_secs(30 * 24 * 60 * 60)),
    // A month of 5,000 nodes rebooting nightly is about 2 GB at 300 bytes and some 45 events
    // an attempt; a quarter of that protects small volumes and still holds a week.
    max_bytes: Some(512 * 1024 * 1024),
    duplicate_window: Duration::from_secs(120),
    bucket: false,
    rollup: false,
};

// An agent that is gone is noticed by its record: it has to be stale before the bucket drops it.
const _: () = assert!(3 * crate::limit::REFRESH_INTERVAL_MAX.as_secs() <= DAY.as_secs().cast_signed());

/// Every stream.
pub const STREAMS: [StreamDefinition; 4] = [HOSTS_STREAM, ATTEMPTS_STREAM, COMMANDS_STREAM, EVENTS_STREAM];

/// The drainers' work queue.
pub const DRAINERS_CONSUMER: ConsumerDefinition = ConsumerDefinition {
    stream: COMMANDS_STREAM.name,
    filters: &[],
    name: DRAINERS,
    description: "Bellwether: the drainers' work queue, shared by all replicas",
    start: ConsumerStart::Oldest,
    ack_wait: Duration::from_secs(15),
    // More than any sane number of slots: the slots are what limits the drains.
    max_ack_pending: 1000,
};

/// The events that the scheduler acts on.
pub const SCHEDULER_CONSUMER: ConsumerDefinition = ConsumerDefinition {
    stream: EVENTS_STREAM.name,
    filters: &crate::subject::EVENTS_FOR_SCHEDULER,
    name: SCHEDULER,
    description: "Bellwether: the events that the leading scheduler acts on",
    // The leader knows since when its attempts run: older events, of up to a month, belong to none of them.
    start: ConsumerStart::Reader,
    ack_wait: Duration::from_secs(15),
    max_ack_pending: 256,
};

/// The events that the notifier sends messages about.
pub const NOTIFIER_CONSUMER: ConsumerDefinition = ConsumerDefinition {
    stream: EVENTS_STREAM.name,
    filters: &crate::subject::EVENTS_FOR_NOTIFIER,
    name: NOTIFIER,
    description: "Bellwether: the events that the notifier sends messages about",
    start: ConsumerStart::Next,
    ack_wait: Duration::from_secs(15),
    // The messages of some hundred reboots, which wait while one of several targets does not answer.
    max_ack_pending: 512,
};

/// Every durable consumer. The node agents have none: at thousands of nodes no NATS cluster carries one each.
pub const CONSUMERS: [ConsumerDefinition; 3] = [DRAINERS_CONSUMER, SCHEDULER_CONSUMER, NOTIFIER_CONSUMER];
