//! How the nodes of a policy are drained.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::duration::duration;
use crate::fault::Fault;
#[cfg(feature = "schema")]
use crate::rules::DURATION;

/// How nodes are drained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainSpec {
    /// How long the drain of a node may take, such as 45m. Absent: as the scheduler's --drain-timeout says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub timeout: Option<String>,

    /// What follows when that time is over and pods are left. Restore: the node is uncordoned, and tried again later. Hold:
    /// it stays cordoned and keeps its slot until an operator cancels. Proceed: it reboots, and the pods that are left end
    /// with it. Force: before the time is over, pods are deleted whatever their budgets say, in time for their own
    /// grace; if pods are left all the same, as Restore.
    #[serde(default, skip_serializing_if = "OnTimeout::is_restore")]
    pub on_timeout: OnTimeout,
}

/// What follows when the time of a drain is over and pods are left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnTimeout {
    /// The node is uncordoned, and tried again later.
    #[default]
    Restore,
    /// The node stays cordoned and keeps its slot until an operator cancels.
    Hold,
    /// The node reboots, and the pods that are left end with it.
    Proceed,
    /// Before the time is over, pods are deleted whatever their budgets say.
    Force,
}

impl OnTimeout {
    /// The drain leads to the reboot whatever keeps its pods, so it makes no difference whether they can all go.
    #[must_use]
    pub fn overrides_budgets(self) -> bool {
        match self {
            Self::Proceed | Self::Force => true,
            Self::Restore | Self::Hold => false,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_restore(&self) -> bool {
        *self == Self::Restore
    }
}

/// How nodes are drained. The default is that of a policy without the field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drain {
    /// How long the drain of a node may take; none: as the scheduler's setting says.
    pub timeout: Option<SignedDuration>,
    /// What follows when that time is over and pods are left.
    pub on_timeout: OnTimeout,
}

impl Drain {
    /// Shortest time: below, pods have no time for their grace, which is 30 s by default.
    const TIMEOUT_MIN: SignedDuration = SignedDuration::from_mins(1);
    /// Longest time: a day. A node that is cordoned for longer is forgotten.
    const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(24);

    /// The meaning of the fields. Mistakes are noted, and their fields count as absent.
    pub(crate) fn read(spec: Option<&DrainSpec>, faults: &mut Vec<Fault>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        Self {
            timeout: spec.timeout.as_deref().and_then(|text| {
                let read = timeout(text);
                read.map_err(|fault| faults.push(fault)).ok()
            }),
            on_timeout: spec.on_timeout,
        }
    }
}

fn timeout(text: &str) -> Result<SignedDuration, Fault> {
    const FIELD: &str = "spec.drain.timeout";
    let read = duration(text, FIELD, Drain::TIMEOUT_MAX)?;
    if read < Drain::TIMEOUT_MIN {
        let message = format!("{read:#} is shorter than a minute: write a longer one");
        return Err(Fault::new(FIELD, message));
    }
    Ok(read)
}

impl std::fmt::Display for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.timeout {
            Some(timeout) => write!(f, "{timeout:#} at most")?,
            None => f.write_str("as long as the scheduler's --drain-timeout says")?,
        }
        f.write_str(match self.on_timeout {
            OnTimeout::Restore => "; then the node is uncordoned, and tried again later",
            OnTimeout::Hold => "; then the node stays cordoned, with its slot, until an operator cancels",
            OnTimeout::Proceed => "; then the node REBOOTS, and the pods that are left end with it",
            OnTimeout::Force => "; in time for their grace before that, pods are DELETED whatever their budgets say",
        })
    }
}
