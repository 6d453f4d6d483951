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

    /// How long a drain waits, once its pods are gone, until the node's volumes are detached, such as 5m. 0s: not at all.
    /// Absent: 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub detach_wait: Option<String>,

    /// Together: pods with volumes go at once. Serial: they go one after the other, by priority, each once the volumes of the
    /// one before are detached, or that wait is over.
    #[serde(default, skip_serializing_if = "VolumeOrder::is_together")]
    pub volumes: VolumeOrder,

    /// Together: members of a StatefulSet go at once, as far as disruption budgets let them. OneAtATime: those that no budget
    /// selects go one at a time, each while all members are Ready.
    #[serde(default, skip_serializing_if = "MemberOrder::is_together")]
    pub stateful_sets: MemberOrder,

    /// External load balancers stop to use the node before its pods go: with the cordon the node gets the label
    /// node.kubernetes.io/exclude-from-external-load-balancers, and evictions begin so much later, such as 30s. Absent: no
    /// label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub load_balancer_wait: Option<String>,

    /// How long a drained node waits before its reboot is ordered, such as 2m; it is drained again then, for pods that have
    /// come. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub reboot_delay: Option<String>,
}

/// In which order pods with volumes go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum VolumeOrder {
    /// At once.
    #[default]
    Together,
    /// One after the other, by priority, each once the volumes of the one before are detached.
    Serial,
}

impl VolumeOrder {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_together(&self) -> bool {
        *self == Self::Together
    }
}

/// In which order the members of a StatefulSet go that no disruption budget selects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum MemberOrder {
    /// At once.
    #[default]
    Together,
    /// One at a time, each while all members are Ready.
    OneAtATime,
}

impl MemberOrder {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_together(&self) -> bool {
        *self == Self::Together
    }
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
    /// How long a drain waits for volumes; none: as long as the drainer says.
    pub detach_wait: Option<SignedDuration>,
    /// In which order pods with volumes go.
    pub volumes: VolumeOrder,
    /// In which order the members of a StatefulSet go.
    pub stateful_sets: MemberOrder,
    /// How long after the cordon pods stay, while external load balancers stop to use the node; none: they are not asked to.
    pub load_balancer_wait: Option<SignedDuration>,
    /// How long after the drain the reboot is ordered; none: at once.
    pub reboot_delay: Option<SignedDuration>,
}

impl Drain {
    /// Shortest time: below, pods have no time for their grace, which is 30 s by default.
    const TIMEOUT_MIN: SignedDuration = SignedDuration::from_mins(1);
    /// Longest time: a day. A node that is cordoned for longer is forgotten.
    const TIMEOUT_MAX: SignedDuration = SignedDuration::from_hours(24);
    /// Longest wait for volumes: then Kubernetes itself may detach by force.
    const DETACH_WAIT_MAX: SignedDuration = SignedDuration::from_mins(6);
    /// Longest wait for load balancers: twice the longest that clouds take by default to let connections end.
    const LOAD_BALANCER_WAIT_MAX: SignedDuration = SignedDuration::from_mins(10);
    /// Longest delay of a reboot: a node that is cordoned and empty for longer is capacity that is missed.
    pub const REBOOT_DELAY_MAX: SignedDuration = SignedDuration::from_hours(1);

    /// The meaning of the fields. Mistakes are noted, and their fields count as absent.
    pub(crate) fn read(spec: Option<&DrainSpec>, faults: &mut Vec<Fault>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        let mut or_note = |read: Result<SignedDuration, Fault>| read.map_err(|fault| faults.push(fault)).ok();
        let detach_wait = |text| duration(text, "spec.drain.detachWait", Self::DETACH_WAIT_MAX);
        let reboot_delay = |text| duration(text, "spec.drain.rebootDelay", Self::REBOOT_DELAY_MAX);
        let timeout = spec.timeout.as_deref().and_then(|text| or_note(timeout(text)));
        let load_balancer_wait = |text| load_balancer_wait(text, timeout);
        Self {
            timeout,
            on_timeout: spec.on_timeout,
            detach_wait: spec.detach_wait.as_deref().and_then(|text| or_note(detach_wait(text))),
            volumes: spec.volumes,
            stateful_sets: spec.stateful_sets,
            load_balancer_wait: spec
                .load_balancer_wait
                .as_deref()
                .and_then(|text| or_note(load_balancer_wait(text))),
            reboot_delay: spec
                .reboot_delay
                .as_deref()
                .and_then(|text| or_note(reboot_delay(text))),
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

fn load_balancer_wait(text: &str, timeout: Option<SignedDuration>) -> Result<SignedDuration, Fault> {
    const FIELD: &str = "spec.drain.loadBalancerWait";
    let wait = duration(text, FIELD, Drain::LOAD_BALANCER_WAIT_MAX)?;
    match timeout {
        // The other half belongs to the pods.
        Some(timeout) if wait.saturating_mul(2) > timeout => {
            let message = format!("{wait:#} is more than half of spec.drain.timeout, {timeout:#}: write a shorter one");
            Err(Fault::new(FIELD, message))
        }
        Some(_) | None => Ok(wait),
    }
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
        })?;
        if let Some(wait) = self.detach_wait {
            write!(f, "; waits {wait:#} at most for volumes")?;
        }
        if let Some(wait) = self.load_balancer_wait {
            write!(
                f,
                "; takes the node out of external load balancers, and evicts {wait:#} later"
            )?;
        }
        if let Some(delay) = self.reboot_delay {
            write!(f, "; the reboot of a drained node is ordered {delay:#} later")?;
        }
        f.write_str(match self.volumes {
            VolumeOrder::Together => "",
            VolumeOrder::Serial => "; pods with volumes go one after the other",
        })?;
        f.write_str(match self.stateful_sets {
            MemberOrder::Together => "",
            MemberOrder::OneAtATime => "; members of StatefulSets go one at a time",
        })
    }
}
