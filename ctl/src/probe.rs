//! What each probe of a node's sentinel shows, as text and as JSON.

use bellwether_check::text::{between, instant, one_line};
use bellwether_proto::{KernelChange, Problem, wire};
use jiff::Timestamp;
use serde::Serialize;

/// A probe, in one line.
pub(crate) fn line(probe: &wire::ProbeResult, now: Timestamp) -> String {
    let name = if probe.name == probe.kind {
        probe.name.clone()
    } else {
        format!("{} ({})", probe.name, probe.kind)
    };
    let shown = match (problem(probe), &probe.need) {
        (Some(problem), _) => format!("{}: {}", problem.code, problem.message),
        (None, None) => "requires no reboot".to_owned(),
        (None, Some(need)) => {
            let by = if need.reasons.is_empty() {
                String::new()
            } else {
                format!(" by {}", need.reasons.join(", "))
            };
            let since = instant(need.since).map_or_else(String::new, |since| format!(" for {}", between(since, now)));
            let undated = if need.undated {
                ", or since before the last boot"
            } else {
                ""
            };
            let kernel = KernelChange::from_wire(need.kernel_change).map_or("", |change| match change {
                KernelChange::Compatible => "; the kernel is another build, to which modules fit",
                KernelChange::Version => "; the kernel is of another version",
            });
            format!("requires a reboot{since}{undated}{by}{kernel}")
        }
    };
    one_line(&format!("{name}: {shown}"))
}

fn problem(probe: &wire::ProbeResult) -> Option<Problem> {
    Problem::from_wire(probe.problem.clone(), String::new())
}

/// A probe for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe<'a> {
    name: &'a str,
    kind: &'a str,
    result: &'static str,
    since: Option<Timestamp>,
    undated: bool,
    reasons: &'a [String],
    kernel_change: Option<&'static str>,
    problem: Option<Reported>,
}

#[derive(Serialize)]
struct Reported {
    code: String,
    message: String,
}

impl<'a> From<&'a wire::ProbeResult> for Probe<'a> {
    fn from(probe: &'a wire::ProbeResult) -> Self {
        let problem = problem(probe);
        let need = probe.need.as_ref().filter(|_| problem.is_none());
        Self {
            name: &probe.name,
            kind: &probe.kind,
            result: match (&problem, need) {
                (Some(_), _) => "Unknown",
                (None, Some(_)) => "Required",
                (None, None) => "NotRequired",
            },
            since: need.and_then(|need| instant(need.since)),
            undated: need.is_some_and(|need| need.undated),
            reasons: need.map(|need| need.reasons.as_slice()).unwrap_or_default(),
            kernel_change: need
                .and_then(|need| KernelChange::from_wire(need.kernel_change))
                .map(KernelChange::as_str),
            problem: problem.map(|problem| Reported {
                code: problem.code.to_string(),
                message: problem.message,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::to_timestamp;
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn probes() -> [wire::ProbeResult; 4] {
        let probe = |name: &str, kind: &str| wire::ProbeResult {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..Default::default()
        };
        let need = |reasons: &[&str], undated| wire::ProbeNeed {
            since: Some(to_timestamp("2026-11-22T11:00:00Z".parse().unwrap())),
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
            undated,
            kernel_change: KernelChange::to_wire(reasons.first().map(|_| KernelChange::Version)),
        };
        let failed = wire::Problem {
            code: wire::ProblemCode::ProbeFailed.into(),
            message: "no result\nof dnf".to_owned(),
        };
        [
            probe("file", "file"),
            wire::ProbeResult {
                need: Some(need(&["linux-base", "libc6"], false)),
                ..probe("kernel", "kernel")
            },
            wire::ProbeResult {
                need: Some(need(&[], true)),
                ..probe("zypper", "command")
            },
            wire::ProbeResult {
                problem: Some(failed),
                // Counts for nothing beside a problem.
                need: Some(need(&["old"], false)),
                ..probe("dnf", "command")
            },
        ]
    }

    #[test]
    fn each_result_has_its_line() {
        assert_eq!(
            probes().map(|probe| line(&probe, now())),
            [
                "file: requires no reboot",
                "kernel: requires a reboot for 60m by linux-base, libc6; the kernel is of another version",
                "zypper (command): requires a reboot for 60m, or since before the last boot",
                "dnf (command): ProbeFailed: no result of dnf",
            ]
        );
    }

    #[test]
    fn programs_get_result_and_code() {
        let [_, kernel, _, dnf] = probes();
        assert_eq!(
            serde_json::to_value(Probe::from(&kernel)).unwrap(),
            json!({
                "name": "kernel", "kind": "kernel", "result": "Required", "since": "2026-11-22T11:00:00Z",
                "undated": false, "reasons": ["linux-base", "libc6"], "kernelChange": "Version", "problem": null,
            })
        );
        assert_eq!(
            serde_json::to_value(Probe::from(&dnf)).unwrap(),
            json!({
                "name": "dnf", "kind": "command", "result": "Unknown", "since": null, "undated": false, "reasons": [],
                "kernelChange": null,
                "problem": { "code": "ProbeFailed", "message": "no result\nof dnf" },
            })
        );
    }
}
