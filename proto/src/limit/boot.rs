//! The limits of what a rebooter reports of the boot of its host.

use super::{WORD_BYTES_MAX, cut_list};
use crate::wire;

/// Most units of systemd that have failed: more than an operator looks at. The last entry counts the rest.
pub const FAILED_UNITS_MAX: usize = 20;

/// Most programs that delay a shutdown: a kubelet and an update that installs itself are two.
pub const HOLDERS_MAX: usize = 8;

pub(super) fn cut_boot(boot: Option<&mut wire::BootReport>) {
    let Some(wire::BootReport {
        firmware: _,
        loader: _,
        kernel: _,
        initrd: _,
        userspace: _,
        failed_units,
        shutdown_delay,
    }) = boot
    else {
        return;
    };
    cut_list(failed_units, FAILED_UNITS_MAX, WORD_BYTES_MAX);
    if let Some(wire::ShutdownDelay { max: _, holders }) = shutdown_delay {
        cut_list(holders, HOLDERS_MAX, WORD_BYTES_MAX);
    }
}
