//! What systemd of a host shows of the boot that runs.

use jiff::{SignedDuration, Timestamp};

use crate::field::{from_duration, instant, to_duration, to_timestamp};
use crate::limit::MARK;
use crate::message::WireError;
use crate::wire;

/// How long the phases of a boot took, and which units have failed. See [`wire::BootReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootReport {
    /// The firmware; none: the machine does not tell, as most virtual ones.
    pub firmware: Option<SignedDuration>,
    /// The boot loader; none: the machine does not tell.
    pub loader: Option<SignedDuration>,
    /// The kernel, up to the first program.
    pub kernel: Option<SignedDuration>,
    /// The initrd; none: there was none.
    pub initrd: Option<SignedDuration>,
    /// The services, up to the end of the boot; none: it has not ended yet.
    pub userspace: Option<SignedDuration>,
    /// The units that have failed, by name.
    pub failed_units: Vec<String>,
    /// What logind shows of shutdowns; none: not known.
    pub shutdown_delay: Option<ShutdownDelay>,
}

/// The programs that delay a shutdown of a host. See [`wire::ShutdownDelay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownDelay {
    /// For how long at most.
    pub max: SignedDuration,
    /// Their names.
    pub holders: Vec<String>,
}

impl ShutdownDelay {
    /// The name under which a kubelet with a graceful shutdown delays one.
    pub const KUBELET: &str = "kubelet";
    /// How long logind lets a shutdown be delayed where no setting says otherwise. A kubelet with a graceful shutdown raises
    /// it to what its pods get, so this value beside a delay by the kubelet is a sign that another setting has lowered it.
    pub const LOGIND_DEFAULT: SignedDuration = SignedDuration::from_secs(5);

    /// The kubelet delays shutdowns, and gets no more time than logind's default.
    #[must_use]
    pub fn cuts_kubelet(&self) -> bool {
        self.max <= Self::LOGIND_DEFAULT && self.holders.iter().any(|holder| holder == Self::KUBELET)
    }

    /// The checked message. Public for readers of the API, whose messages are not checked.
    ///
    /// # Errors
    /// The time is missing, or none.
    pub fn from_wire(wire: wire::ShutdownDelay) -> Result<Self, WireError> {
        const TYPE: &str = "bellwether.v1.ShutdownDelay";
        let max = phase(TYPE, "max", wire.max)?;
        let missing = || WireError::field(TYPE, "max", "is missing");
        Ok(Self {
            max: max.ok_or_else(missing)?,
            holders: wire.holders,
        })
    }
}

impl BootReport {
    const TYPE: &str = "bellwether.v1.BootReport";

    /// Whether systemd has started all that belongs to the boot.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.userspace.is_some()
    }

    /// A unit that has failed, and had not when these had; none: there is none that is known. Of a list that was cut at its
    /// limit only the names count.
    #[must_use]
    pub fn newly_failed<'a>(&'a self, before: &[String]) -> Option<&'a str> {
        let is_name = |unit: &&String| !unit.starts_with(MARK);
        let is_cut = before.last().is_some_and(|last| !is_name(&last));
        // The names are in order, so of a list that was cut nothing is known behind its last one.
        let known_to = is_cut.then(|| before.iter().rev().find(is_name)).flatten();
        let mut new = self
            .failed_units
            .iter()
            .filter(is_name)
            .filter(|unit| !before.contains(unit));
        new.find(|unit| known_to.is_none_or(|last| *unit < last))
            .map(String::as_str)
    }

    pub(crate) fn from_wire(wire: wire::BootReport) -> Result<Self, WireError> {
        Ok(Self {
            firmware: phase(Self::TYPE, "firmware", wire.firmware)?,
            loader: phase(Self::TYPE, "loader", wire.loader)?,
            kernel: phase(Self::TYPE, "kernel", wire.kernel)?,
            initrd: phase(Self::TYPE, "initrd", wire.initrd)?,
            userspace: phase(Self::TYPE, "userspace", wire.userspace)?,
            failed_units: wire.failed_units,
            shutdown_delay: wire.shutdown_delay.map(ShutdownDelay::from_wire).transpose()?,
        })
    }

    /// The message.
    #[must_use]
    pub fn to_wire(&self) -> wire::BootReport {
        wire::BootReport {
            firmware: self.firmware.map(to_duration),
            loader: self.loader.map(to_duration),
            kernel: self.kernel.map(to_duration),
            initrd: self.initrd.map(to_duration),
            userspace: self.userspace.map(to_duration),
            failed_units: self.failed_units.clone(),
            shutdown_delay: self.shutdown_delay.as_ref().map(|delay| wire::ShutdownDelay {
                max: Some(to_duration(delay.max)),
                holders: delay.holders.clone(),
            }),
        }
    }
}

/// The units of a host that had failed before a reboot. See [`wire::UnitsBefore`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitsBefore {
    /// Their names.
    pub failed_units: Vec<String>,
    /// The policy of the node demands that no other unit has failed after the reboot.
    pub hold: bool,
}

impl UnitsBefore {
    pub(crate) fn from_wire(wire: wire::UnitsBefore) -> Self {
        let wire::UnitsBefore { failed_units, hold } = wire;
        Self { failed_units, hold }
    }

    pub(crate) fn to_wire(&self) -> wire::UnitsBefore {
        wire::UnitsBefore {
            failed_units: self.failed_units.clone(),
            hold: self.hold,
        }
    }
}

/// When a boot began, and how long its phases took. See [`wire::BootTimes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootTimes {
    /// When the kernel began, by the host's clock; none: not reported.
    pub kernel_started_at: Option<Timestamp>,
    /// The firmware; none: the machine does not tell.
    pub firmware: Option<SignedDuration>,
    /// The boot loader; none: the machine does not tell.
    pub loader: Option<SignedDuration>,
    /// The kernel, up to the first program; none: not known.
    pub kernel: Option<SignedDuration>,
    /// The initrd; none: there was none, or not known.
    pub initrd: Option<SignedDuration>,
    /// The services, up to the end of the boot; none: it had not ended yet, or not known.
    pub userspace: Option<SignedDuration>,
}

impl BootTimes {
    const TYPE: &str = "bellwether.v1.BootTimes";

    /// The times of a boot, as far as its agents show them; none: they show none.
    #[must_use]
    pub fn shown(kernel_started_at: Option<Timestamp>, boot: Option<&BootReport>) -> Option<Self> {
        let phases = boot.cloned().unwrap_or_default();
        let times = Self {
            kernel_started_at,
            firmware: phases.firmware,
            loader: phases.loader,
            kernel: phases.kernel,
            initrd: phases.initrd,
            userspace: phases.userspace,
        };
        (times != Self::default()).then_some(times)
    }

    pub(crate) fn from_wire(wire: wire::BootTimes) -> Result<Self, WireError> {
        Ok(Self {
            kernel_started_at: instant(Self::TYPE, "kernel_started_at", wire.kernel_started_at)?,
            firmware: phase(Self::TYPE, "firmware", wire.firmware)?,
            loader: phase(Self::TYPE, "loader", wire.loader)?,
            kernel: phase(Self::TYPE, "kernel", wire.kernel)?,
            initrd: phase(Self::TYPE, "initrd", wire.initrd)?,
            userspace: phase(Self::TYPE, "userspace", wire.userspace)?,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::BootTimes {
        wire::BootTimes {
            kernel_started_at: self.kernel_started_at.map(to_timestamp),
            firmware: self.firmware.map(to_duration),
            loader: self.loader.map(to_duration),
            kernel: self.kernel.map(to_duration),
            initrd: self.initrd.map(to_duration),
            userspace: self.userspace.map(to_duration),
        }
    }
}

fn phase(
    message: &'static str,
    field: &'static str,
    value: Option<prost_types::Duration>,
) -> Result<Option<SignedDuration>, WireError> {
    let Some(value) = value else { return Ok(None) };
    let duration = from_duration(value).filter(|duration| !duration.is_negative());
    let duration = duration.ok_or_else(|| WireError::field(message, field, "is no time"))?;
    Ok(Some(duration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().copied().map(str::to_owned).collect()
    }

    #[test]
    fn a_unit_is_new_by_its_name_and_of_a_list_that_was_cut_only_what_is_known_counts() {
        for (before, now, new) in [
            (&["a", "c"][..], &["a", "c"][..], None),
            (&["a", "c"], &["a", "b"], Some("b")),
            (&[], &["a"], Some("a")),
            (&["a", "c", "… and 5 more"], &["a", "c", "… and 4 more"], None),
            (&["a", "c", "… and 5 more"], &["c", "d"], None),
            (&["a", "c", "… and 5 more"], &["a", "b", "c"], Some("b")),
            (&["a"], &["a", "… and 1 more"], None),
        ] {
            let report = BootReport {
                failed_units: names(now),
                ..BootReport::default()
            };
            assert_eq!(report.newly_failed(&names(before)), new, "{before:?} {now:?}");
        }
    }
}
