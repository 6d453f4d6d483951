//! How a node is drained: what the policy that governs the node sets, as the record of its attempt keeps it.

use std::time::Duration;

use crate::wire;

/// What follows when the time of a drain is over and pods are left. See [`wire::AfterTimeout`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterTimeout {
    /// The cordon is removed, and the node is tried again later.
    #[default]
    Restore,
    /// The node keeps its cordon and its slot until an operator cancels.
    Hold,
    /// The reboot is ordered: the pods that are left end with their host.
    Proceed,
    /// Before the time is over, pods are deleted whatever their budgets say.
    Force,
}

impl AfterTimeout {
    /// Every value.
    pub const ALL: [Self; 4] = [Self::Restore, Self::Hold, Self::Proceed, Self::Force];

    /// The name, as `RebootPolicy` writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "Restore",
            Self::Hold => "Hold",
            Self::Proceed => "Proceed",
            Self::Force => "Force",
        }
    }

    /// A value of a newer version is read as the safe one: the node gets its old state back.
    fn from_wire(number: i32) -> Self {
        match wire::AfterTimeout::try_from(number) {
            Ok(wire::AfterTimeout::Hold) => Self::Hold,
            Ok(wire::AfterTimeout::Proceed) => Self::Proceed,
            Ok(wire::AfterTimeout::Force) => Self::Force,
            Ok(wire::AfterTimeout::Restore | wire::AfterTimeout::Unspecified) | Err(_) => Self::Restore,
        }
    }

    fn to_wire(self) -> wire::AfterTimeout {
        match self {
            Self::Restore => wire::AfterTimeout::Restore,
            Self::Hold => wire::AfterTimeout::Hold,
            Self::Proceed => wire::AfterTimeout::Proceed,
            Self::Force => wire::AfterTimeout::Force,
        }
    }
}

/// How a node is drained. See [`wire::DrainTerms`]. The default is that of a node without a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainTerms {
    /// What follows when the time of the drain is over and pods are left.
    pub after_timeout: AfterTimeout,
    /// How long the drain may take, in whole seconds; none: as long as the scheduler's setting says.
    pub timeout: Option<Duration>,
    /// How long the drain waits for volumes, in whole seconds; none: as long as the drainer says.
    pub detach_wait: Option<Duration>,
    /// Pods with volumes go one after the other; else together.
    pub serial_volumes: bool,
    /// The members of a StatefulSet without a disruption budget go one at a time; else together.
    pub one_member_at_a_time: bool,
    /// How long after the cordon, in whole seconds, external load balancers have to stop to use the node before its pods go;
    /// none: they are not asked to.
    pub load_balancer_wait: Option<Duration>,
    /// How long after the drain, in whole seconds, the reboot is ordered; none: at once.
    pub reboot_delay: Option<Duration>,
}

impl DrainTerms {
    pub(crate) fn from_wire(wire: &wire::DrainTerms) -> Self {
        let some = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        Self {
            after_timeout: AfterTimeout::from_wire(wire.after_timeout),
            timeout: some(wire.timeout_seconds),
            detach_wait: wire
                .detach_wait_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
            serial_volumes: wire.serial_volumes,
            one_member_at_a_time: wire.one_member_at_a_time,
            load_balancer_wait: wire
                .load_balancer_wait_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
            reboot_delay: some(wire.reboot_delay_seconds),
        }
    }

    /// The defaults are not written: a record without terms is that of a node without a policy.
    pub(crate) fn to_wire(self) -> Option<wire::DrainTerms> {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        (self != Self::default()).then(|| wire::DrainTerms {
            after_timeout: self.after_timeout.to_wire().into(),
            timeout_seconds: self.timeout.map_or(0, seconds),
            detach_wait_seconds: self.detach_wait.map(seconds),
            serial_volumes: self.serial_volumes,
            one_member_at_a_time: self.one_member_at_a_time,
            load_balancer_wait_seconds: self.load_balancer_wait.map(seconds),
            reboot_delay_seconds: self.reboot_delay.map_or(0, seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_a_newer_version_restores_the_node() {
        let newer = wire::DrainTerms {
            after_timeout: 99,
            timeout_seconds: 60,
            ..wire::DrainTerms::default()
        };
        let read = DrainTerms::from_wire(&newer);
        assert_eq!(read.after_timeout, AfterTimeout::Restore);
        assert_eq!(read.timeout, Some(Duration::from_secs(60)));
    }

    #[test]
    fn each_value_comes_back_and_the_defaults_are_not_written() {
        assert_eq!(DrainTerms::default().to_wire(), None);
        for after_timeout in AfterTimeout::ALL {
            let terms = DrainTerms {
                after_timeout,
                timeout: Some(Duration::from_secs(90)),
                ..DrainTerms::default()
            };
            assert_eq!(DrainTerms::from_wire(&terms.to_wire().unwrap()), terms);
        }
        let wait = |seconds| Some(Duration::from_secs(seconds));
        for (detach_wait, serial_volumes, one_member_at_a_time, load_balancer_wait, reboot_delay) in [
            (wait(0), false, false, None, None),
            (wait(90), true, false, wait(30), wait(60)),
            (None, false, true, None, None),
            (None, false, false, wait(0), None),
            (None, false, false, None, wait(1)),
        ] {
            let terms = DrainTerms {
                detach_wait,
                serial_volumes,
                one_member_at_a_time,
                load_balancer_wait,
                reboot_delay,
                ..DrainTerms::default()
            };
            assert_eq!(DrainTerms::from_wire(&terms.to_wire().unwrap()), terms);
        }
    }
}
