//! The second coordinate of a boot: how many soft reboots it has had.
//!
//! A soft reboot starts user space again and keeps kernel and boot id, so the boot id does not make a second call harmless.
//! The number of soft reboots does: systemd counts them in each boot (SoftRebootsCount, since version 256), the record has the
//! number of before the order, and a call is made only while the host shows that very number. What cannot be read is never
//! taken for "the same as before".

use bellwether_proto::{Attempt, Problem, ProblemCode, RebootKind};

/// The soft reboot that this record orders is over: the host shows another number than that of before.
#[must_use]
pub fn is_over(record: &Attempt, now: Option<u32>) -> bool {
    record.reboot_kind == RebootKind::Soft
        && record
            .soft_reboots_before
            .zip(now)
            .is_some_and(|(before, now)| before != now)
}

/// Why it is not known whether the soft reboot that this record orders is over; none: it is not, or another kind is ordered.
#[must_use]
pub fn problem(record: &Attempt, now: Option<u32>) -> Option<Problem> {
    if record.reboot_kind != RebootKind::Soft {
        return None;
    }
    let (code, message) = match (record.soft_reboots_before, now) {
        (Some(_), Some(_)) => return None,
        (None, _) => (
            ProblemCode::RebootNotProvable,
            "the record does not state how many soft reboots this boot had had before the order",
        ),
        // systemd may be starting again, or the bus.
        (Some(_), None) => (
            ProblemCode::RebootMethodTimedOut,
            "systemd of this host does not show now how many soft reboots this boot has had",
        ),
    };
    Some(Problem::new(code, message))
}
