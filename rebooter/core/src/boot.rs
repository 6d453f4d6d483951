//! The phases of a boot from the moments that systemd notes.

use std::collections::BTreeSet;

use bellwether_proto::{BootReport, ShutdownDelay};
use jiff::SignedDuration;

/// The longest phase: what a wrong clock of a firmware shows is cut to this.
const PHASE_MAX_MICROS: u64 = 30 * 24 * 3600 * 1_000_000;

/// Moments of the boot in microseconds, as systemd's manager shows them; zero: there was none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// How long before the kernel the firmware began.
    pub firmware: u64,
    /// How long before the kernel the boot loader began.
    pub loader: u64,
    /// When the initrd began, after the kernel.
    pub initrd: u64,
    /// When the services began, after the kernel.
    pub userspace: u64,
    /// When all that belongs to the boot had been started, after the kernel.
    pub finish: u64,
    /// How many soft reboots the boot has had: the moments of user space are those of the last one then.
    pub soft_reboots: u32,
}

/// The report of a boot with these moments and failed units.
#[must_use]
pub fn report(moments: Moments, mut failed_units: Vec<String>, shutdown_delay: Option<ShutdownDelay>) -> BootReport {
    let Moments {
        firmware,
        loader,
        initrd,
        userspace,
        finish,
        soft_reboots,
    } = moments;
    failed_units.sort();
    if soft_reboots > 0 {
        // What came before was another time, maybe weeks ago.
        return BootReport {
            userspace: span(userspace, finish),
            failed_units,
            shutdown_delay,
            ..BootReport::default()
        };
    }
    BootReport {
        firmware: span(loader, firmware),
        loader: span(0, loader),
        kernel: span(0, if initrd > 0 { initrd } else { userspace }),
        initrd: span(initrd, userspace).filter(|_| initrd > 0),
        userspace: span(userspace, finish),
        failed_units,
        shutdown_delay,
    }
}

/// A row of logind's list of inhibitors, as far as it counts here: what, who and mode.
pub type Inhibitor = (String, String, String);

/// What delays a shutdown, and for how long at most, in microseconds.
#[must_use]
pub fn shutdown_delay(max_micros: u64, inhibitors: impl IntoIterator<Item = Inhibitor>) -> ShutdownDelay {
    let delays = |(what, _, mode): &Inhibitor| mode == "delay" && what.split(':').any(|what| what == "shutdown");
    let holders = inhibitors.into_iter().filter(delays).map(|(_, who, _)| who);
    let micros = max_micros.min(PHASE_MAX_MICROS);
    ShutdownDelay {
        max: SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)),
        holders: holders.collect::<BTreeSet<_>>().into_iter().collect(),
    }
}

/// From one moment to a later one; none: the later one was not.
fn span(from: u64, to: u64) -> Option<SignedDuration> {
    let micros = to.saturating_sub(from).min(PHASE_MAX_MICROS);
    (to > 0).then(|| SignedDuration::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_of_shutdowns_and_each_holder_is_named_once() {
        let row = |what: &str, who: &str, mode: &str| (what.to_owned(), who.to_owned(), mode.to_owned());
        let delay = shutdown_delay(
            30_000_000,
            [
                row("shutdown", "kubelet", "delay"),
                row("sleep:shutdown", "apt", "delay"),
                row("shutdown", "kubelet", "delay"),
                row("sleep", "ModemManager", "delay"),
                row("shutdown", "dpkg", "block"),
            ],
        );
        assert_eq!(delay.holders, ["apt", "kubelet"]);
        assert_eq!(delay.max, SignedDuration::from_secs(30));
        assert!(!delay.cuts_kubelet());
        let short = |who| shutdown_delay(5_000_000, [row("shutdown", who, "delay")]).cuts_kubelet();
        assert!(short("kubelet") && !short("apt"));
        assert!(shutdown_delay(u64::MAX, []).max <= SignedDuration::from_hours(24 * 30));
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "the fields that are compared with it are optional"
    )]
    fn millis(millis: i64) -> Option<SignedDuration> {
        Some(SignedDuration::from_millis(millis))
    }

    #[test]
    fn a_boot_of_a_machine_has_five_phases() {
        // "Startup finished in 8.5s (firmware) + 1.5s (loader) + 2s (kernel) + 3s (initrd) + 20s (userspace)".
        let moments = Moments {
            firmware: 10_000_000,
            loader: 1_500_000,
            initrd: 2_000_000,
            userspace: 5_000_000,
            finish: 25_000_000,
            soft_reboots: 0,
        };
        let report = report(moments, vec!["b.service".into(), "a.mount".into()], None);
        assert_eq!(
            [
                report.firmware,
                report.loader,
                report.kernel,
                report.initrd,
                report.userspace
            ],
            [
                millis(8_500),
                millis(1_500),
                millis(2_000),
                millis(3_000),
                millis(20_000)
            ]
        );
        assert_eq!(report.failed_units, ["a.mount", "b.service"]);
        assert!(report.is_finished());
    }

    #[test]
    fn a_virtual_machine_without_an_initrd_has_two_and_an_unfinished_boot_no_end() {
        let moments = Moments {
            userspace: 700_000,
            finish: 1_700_000,
            ..Moments::default()
        };
        let report = report(moments, Vec::new(), None);
        assert_eq!((report.kernel, report.userspace), (millis(700), millis(1_000)));
        assert_eq!((report.firmware, report.loader, report.initrd), (None, None, None));
        let soft = super::report(
            Moments {
                soft_reboots: 1,
                ..moments
            },
            Vec::new(),
            None,
        );
        assert_eq!((soft.kernel, soft.userspace), (None, millis(1_000)));
        let unfinished = super::report(Moments { finish: 0, ..moments }, Vec::new(), None);
        assert!(!unfinished.is_finished() && unfinished.kernel.is_some());
    }

    #[test]
    fn moments_that_no_clock_can_show_are_no_negative_and_no_endless_phases() {
        let moments = Moments {
            firmware: 5,
            loader: u64::MAX,
            initrd: u64::MAX,
            userspace: 7,
            finish: 3,
            soft_reboots: 0,
        };
        let report = report(moments, Vec::new(), None);
        assert_eq!(report.firmware, Some(SignedDuration::ZERO));
        assert_eq!(report.initrd, Some(SignedDuration::ZERO));
        assert_eq!(report.userspace, Some(SignedDuration::ZERO));
        assert_eq!(report.loader, Some(SignedDuration::from_hours(30 * 24)));
    }
}
