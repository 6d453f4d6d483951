//! A message to users: kind, severity, texts, and the key by which it is sent once.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rollout::RolloutId;

/// How much a message matters, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The rollout takes its way.
    Info,
    /// An attempt met an obstacle; Bellwether deals with it.
    Warning,
    /// An attempt failed: an operator has to look.
    Critical,
}

impl Severity {
    /// Its word, in messages and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// The subject of a message: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as_str and docs/notifications.md state each")]
pub enum Kind {
    DrainStarted,
    RebootStarted,
    Rebooted,
    DrainBlocked,
    DrainFailed,
    RebootRefused,
    RebootFailed,
    UncordonFailed,
    RolledBack,
    AttemptFailed,
    AttemptCancelled,
    RolloutStarted,
    RolloutEnded,
    AttemptStuck,
    NodesHeld,
    NodesUndrainable,
    WindowTooShort,
    Test,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::DrainStarted,
        Self::RebootStarted,
        Self::Rebooted,
        Self::DrainBlocked,
        Self::DrainFailed,
        Self::RebootRefused,
        Self::RebootFailed,
        Self::UncordonFailed,
        Self::RolledBack,
        Self::AttemptFailed,
        Self::AttemptCancelled,
        Self::RolloutStarted,
        Self::RolloutEnded,
        Self::AttemptStuck,
        Self::NodesHeld,
        Self::NodesUndrainable,
        Self::WindowTooShort,
        Self::Test,
    ];

    /// Its word, in messages, files and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DrainStarted => "DrainStarted",
            Self::RebootStarted => "RebootStarted",
            Self::Rebooted => "Rebooted",
            Self::DrainBlocked => "DrainBlocked",
            Self::DrainFailed => "DrainFailed",
            Self::RebootRefused => "RebootRefused",
            Self::RebootFailed => "RebootFailed",
            Self::UncordonFailed => "UncordonFailed",
            Self::RolledBack => "RolledBack",
            Self::AttemptFailed => "AttemptFailed",
            Self::AttemptCancelled => "AttemptCancelled",
            Self::RolloutStarted => "RolloutStarted",
            Self::RolloutEnded => "RolloutEnded",
            Self::AttemptStuck => "AttemptStuck",
            Self::NodesHeld => "NodesHeld",
            Self::NodesUndrainable => "NodesUndrainable",
            Self::WindowTooShort => "WindowTooShort",
            Self::Test => "Test",
        }
    }

    /// How much messages of this kind matter.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::DrainStarted
            | Self::RebootStarted
            | Self::Rebooted
            | Self::RolloutStarted
            | Self::RolloutEnded
            | Self::Test => Severity::Info,
            Self::DrainBlocked
            | Self::DrainFailed
            | Self::RebootRefused
            | Self::RebootFailed
            | Self::UncordonFailed
            | Self::RolledBack
            | Self::AttemptCancelled
            | Self::AttemptStuck
            | Self::NodesHeld
            | Self::NodesUndrainable
            | Self::WindowTooShort => Severity::Warning,
            Self::AttemptFailed => Severity::Critical,
        }
    }

    /// True for a message after which no operator has to look after the node: the node is back, or there is no attempt.
    #[must_use]
    pub fn ends_incident(self) -> bool {
        match self {
            Self::Rebooted | Self::AttemptCancelled => true,
            Self::DrainStarted
            | Self::RebootStarted
            | Self::DrainBlocked
            | Self::DrainFailed
            | Self::RebootRefused
            | Self::RebootFailed
            | Self::UncordonFailed
            | Self::RolledBack
            | Self::AttemptFailed
            | Self::RolloutStarted
            | Self::RolloutEnded
            | Self::AttemptStuck
            | Self::NodesHeld
            | Self::NodesUndrainable
            | Self::WindowTooShort
            | Self::Test => false,
        }
    }

    /// True for a message about one step of one node, which a digest only counts.
    #[must_use]
    pub fn is_step(self) -> bool {
        match self {
            Self::DrainStarted | Self::RebootStarted | Self::Rebooted => true,
            Self::DrainBlocked
            | Self::DrainFailed
            | Self::RebootRefused
            | Self::RebootFailed
            | Self::UncordonFailed
            | Self::RolledBack
            | Self::AttemptFailed
            | Self::AttemptCancelled
            | Self::RolloutStarted
            | Self::RolloutEnded
            | Self::AttemptStuck
            | Self::NodesHeld
            | Self::NodesUndrainable
            | Self::WindowTooShort
            | Self::Test => false,
        }
    }
}

/// A message to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its subject.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// The name of the cluster, from the configuration; may be empty.
    pub cluster: String,
    /// The policy that governs the node, or that the message is about; empty: none, or a message about a rollout. None: not
    /// known, since the first event of the attempt was not read.
    pub policy: Option<String>,
    /// The node; empty for a message about a rollout or a policy.
    pub node: String,
    /// Who answers for the namespaces whose pods block the drain, blocked one that failed, or keep nodes from being drained.
    pub owners: BTreeSet<String>,
    /// The id of the attempt; empty for a message about a rollout or a policy.
    pub attempt: String,
    /// Names the occasion of a message about a policy; else empty.
    pub occasion: String,
    /// When it happened, by the clock of the service that published the event.
    pub at: Timestamp,
    /// One sentence.
    pub summary: String,
    /// What the services have found, one line; may be empty.
    pub detail: String,
    /// The rollout that it belongs to; none for an event from long before.
    pub rollout: Option<RolloutId>,
}

impl Notification {
    /// The owners in one line.
    #[must_use]
    pub fn owners(&self) -> String {
        let owners: Vec<&str> = self.owners.iter().map(String::as_str).collect();
        owners.join(", ")
    }

    /// Names the message: two events with one key are one message, such as a step that the next leader publishes again.
    #[must_use]
    pub fn key(&self) -> String {
        let of = match (&self.rollout, self.attempt.as_str()) {
            (Some(rollout), "") => rollout.as_str(),
            (None, "") => &self.occasion,
            (_, attempt) => attempt,
        };
        format!("{of}:{}", self.kind.as_str())
    }
}
