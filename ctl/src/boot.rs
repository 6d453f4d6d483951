//! What a node shows of the boot that runs, as lines of `explain` and as JSON.

use bellwether_check::text::one_line;
use bellwether_proto::{ShutdownDelay, from_duration, wire};
use serde::Serialize;

/// Labels and values about a boot; `before` are the units that had failed before it, if that is known.
pub(crate) fn lines(boot: &wire::BootReport, before: Option<&[String]>) -> Vec<(&'static str, String)> {
    let phases = phases(boot);
    let taken = phases
        .iter()
        .filter_map(|(name, seconds)| Some(format!("{name} {:.1}s", (*seconds)?)));
    let taken = taken.collect::<Vec<_>>().join(", ");
    let total: f64 = phases.iter().filter_map(|(_, seconds)| *seconds).sum();
    let text = if boot.userspace.is_some() {
        format!("took {total:.1}s: {taken}")
    } else if taken.is_empty() {
        "not finished".to_owned()
    } else {
        format!("not finished: {taken}")
    };
    let mut lines = vec![("Boot", text)];
    if !boot.failed_units.is_empty() {
        let name = |unit: &String| match before {
            Some(before) if !before.contains(unit) => format!("{unit} (not before the reboot)"),
            Some(_) | None => unit.clone(),
        };
        let units: Vec<_> = boot.failed_units.iter().map(name).collect();
        lines.push(("Failed units", one_line(&units.join(", "))));
    }
    if let Some(delay) = delay(boot) {
        let by = if delay.holders.is_empty() {
            "no program delays it".to_owned()
        } else {
            format!("delayed by {}", delay.holders.join(", "))
        };
        lines.push(("Shutdown", one_line(&format!("{by}, for {:#} at most", delay.max))));
    }
    lines
}

/// What delays a shutdown of the host, if that is known.
fn delay(boot: &wire::BootReport) -> Option<ShutdownDelay> {
    ShutdownDelay::from_wire(boot.shutdown_delay.clone()?).ok()
}

/// The phases in their order, in seconds.
fn phases(boot: &wire::BootReport) -> [(&'static str, Option<f64>); 5] {
    let seconds = |phase: Option<_>| Some(from_duration(phase?)?.as_secs_f64());
    [
        ("firmware", seconds(boot.firmware)),
        ("loader", seconds(boot.loader)),
        ("kernel", seconds(boot.kernel)),
        ("initrd", seconds(boot.initrd)),
        ("userspace", seconds(boot.userspace)),
    ]
}

/// A boot for programs. A phase that is not known is `null`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Boot<'a> {
    finished: bool,
    firmware_seconds: Option<f64>,
    loader_seconds: Option<f64>,
    kernel_seconds: Option<f64>,
    initrd_seconds: Option<f64>,
    userspace_seconds: Option<f64>,
    failed_units: &'a [String],
    shutdown_delay_seconds: Option<f64>,
    shutdown_delayed_by: &'a [String],
}

impl<'a> From<&'a wire::BootReport> for Boot<'a> {
    fn from(boot: &'a wire::BootReport) -> Self {
        let [firmware, loader, kernel, initrd, userspace] = phases(boot).map(|(_, seconds)| seconds);
        Self {
            finished: boot.userspace.is_some(),
            firmware_seconds: firmware,
            loader_seconds: loader,
            kernel_seconds: kernel,
            initrd_seconds: initrd,
            userspace_seconds: userspace,
            failed_units: &boot.failed_units,
            shutdown_delay_seconds: delay(boot).map(|delay| delay.max.as_secs_f64()),
            shutdown_delayed_by: boot
                .shutdown_delay
                .as_ref()
                .map(|delay| delay.holders.as_slice())
                .unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn boot() -> wire::BootReport {
        let millis = |millis: i32| {
            Some(prost_types::Duration {
                seconds: i64::from(millis / 1000),
                nanos: millis % 1000 * 1_000_000,
            })
        };
        wire::BootReport {
            firmware: None,
            loader: None,
            kernel: millis(2_000),
            initrd: millis(3_250),
            userspace: millis(20_500),
            failed_units: vec!["a.mount".to_owned(), "smartd.service".to_owned()],
            shutdown_delay: Some(wire::ShutdownDelay {
                max: millis(30_000),
                holders: vec!["kubelet".to_owned()],
            }),
        }
    }

    #[test]
    fn phases_and_failed_units_are_shown() {
        assert_eq!(
            lines(&boot(), None),
            [
                (
                    "Boot",
                    "took 25.8s: kernel 2.0s, initrd 3.2s, userspace 20.5s".to_owned()
                ),
                ("Failed units", "a.mount, smartd.service".to_owned()),
                ("Shutdown", "delayed by kubelet, for 30s at most".to_owned()),
            ]
        );
        let before = ["a.mount".to_owned()];
        assert_eq!(
            lines(&boot(), Some(&before))[1].1,
            "a.mount, smartd.service (not before the reboot)"
        );
        assert_eq!(
            serde_json::to_value(Boot::from(&boot())).unwrap(),
            json!({
                "finished": true, "firmwareSeconds": null, "loaderSeconds": null, "kernelSeconds": 2.0,
                "initrdSeconds": 3.25, "userspaceSeconds": 20.5, "failedUnits": ["a.mount", "smartd.service"],
                "shutdownDelaySeconds": 30.0, "shutdownDelayedBy": ["kubelet"],
            })
        );
    }

    #[test]
    fn a_boot_that_has_not_ended_is_shown_as_such() {
        let boot = wire::BootReport {
            userspace: None,
            failed_units: Vec::new(),
            shutdown_delay: None,
            ..boot()
        };
        assert_eq!(
            lines(&boot, None),
            [("Boot", "not finished: kernel 2.0s, initrd 3.2s".to_owned())]
        );
        assert_eq!(
            lines(&wire::BootReport::default(), None),
            [("Boot", "not finished".to_owned())]
        );
    }
}
