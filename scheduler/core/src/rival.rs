//! Rivals: what else in the cluster reboots the same nodes.
//!
//! Two that reboot the same nodes know nothing of each other's slots, so while a rival is there
//! nothing new starts. This is the one place that recognises rivals, for the scheduler and for
//! `kubectl reboots check`: from metadata alone, without a client. The gate decides what follows.

mod recognise;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::recognise::{LockHolder, UnreadableLock, WorkloadMeta};

/// A DaemonSet that reboots nodes and is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rival {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RivalKind,
}

/// What a rival is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RivalKind {
    /// kured.
    Kured {
        /// The nodes that hold its lock, for operators; none: no node does.
        lock_holder: Option<String>,
    },
    /// Another installation of Bellwether.
    Bellwether,
}

impl fmt::Display for Rival {
    /// What it is, and what to do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, kind } = self;
        match kind {
            RivalKind::Kured { lock_holder } => {
                write!(f, "kured reboots nodes too (DaemonSet {namespace}/{name}")?;
                if let Some(holder) = lock_holder {
                    write!(f, ", its lock is held by {holder}")?;
                }
                f.write_str("): remove it, or keep it off these nodes and set --tolerate-rivals")
            }
            RivalKind::Bellwether => write!(
                f,
                "another Bellwether reboots nodes too (DaemonSet {namespace}/{name}), so cordons that may be its own are left alone: remove one of the two, or set --agents-namespace if it is not another",
            ),
        }
    }
}
