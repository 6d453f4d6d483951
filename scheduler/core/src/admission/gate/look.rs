//! A look at gates that other servers answer: what their readings together mean.

use std::sync::Arc;

use bellwether_policy::OnError;

use crate::admission::reason::Reason;
use crate::reading::Outcome;

/// What a look at gates that other servers answer has shown.
#[derive(Debug)]
pub(crate) enum Look {
    /// All are open.
    Open,
    /// One is shut.
    Shut(Reason),
    /// The server of one cannot be asked.
    Failed(Reason),
    /// One has not been read yet.
    Unread(Reason),
}

/// One gate with the outcome that counts; none: it has not been read yet.
pub(super) struct Looked<'a> {
    pub(super) gate: &'a str,
    pub(super) on_error: OnError,
    pub(super) outcome: Option<&'a Outcome>,
    /// The reason by policy, gate, and what was found.
    pub(super) shut: fn(Arc<str>, String, String) -> Reason,
}

/// What shuts a gate comes first, then what failed, then what is not known yet.
pub(super) fn fold<'a>(policy: &Arc<str>, gates: impl Iterator<Item = Looked<'a>>) -> Look {
    let (mut failed, mut unread) = (None, None);
    for looked in gates {
        let (policy, gate) = (Arc::clone(policy), looked.gate.to_owned());
        match looked.outcome {
            Some(Outcome::Open | Outcome::DaemonPods(_)) => (),
            Some(Outcome::Failed(_)) if looked.on_error == OnError::Allow => (),
            Some(Outcome::Shut(found) | Outcome::NotNow(found)) => {
                return Look::Shut((looked.shut)(policy, gate, found.text.clone()));
            }
            Some(Outcome::Failed(error)) => {
                let error = error.clone();
                failed.get_or_insert(Reason::GateFailed { policy, gate, error });
            }
            None => {
                unread.get_or_insert(Reason::GateUnread { policy, gate });
            }
        }
    }
    match (failed, unread) {
        (Some(reason), _) => Look::Failed(reason),
        (None, Some(reason)) => Look::Unread(reason),
        (None, None) => Look::Open,
    }
}
