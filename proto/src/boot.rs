//! What systemd of a host shows of the boot that runs.

use jiff::SignedDuration;

use crate::field::{from_duration, to_duration};
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
}

impl BootReport {
    /// Whether systemd has started all that belongs to the boot.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.userspace.is_some()
    }

    pub(crate) fn from_wire(wire: wire::BootReport) -> Result<Self, WireError> {
        Ok(Self {
            firmware: phase("firmware", wire.firmware)?,
            loader: phase("loader", wire.loader)?,
            kernel: phase("kernel", wire.kernel)?,
            initrd: phase("initrd", wire.initrd)?,
            userspace: phase("userspace", wire.userspace)?,
            failed_units: wire.failed_units,
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
        }
    }
}

fn phase(field: &'static str, value: Option<prost_types::Duration>) -> Result<Option<SignedDuration>, WireError> {
    let Some(value) = value else { return Ok(None) };
    let duration = from_duration(value).filter(|duration| !duration.is_negative());
    let duration = duration.ok_or_else(|| WireError::field("bellwether.v1.BootReport", field, "is no time"))?;
    Ok(Some(duration))
}
