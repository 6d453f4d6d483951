//! Probes that show nothing beside others that do: the host's need is known, or unknown for another reason.

use bellwether_proto::Problem;
use bellwether_proto::wire::{Agent, NodeStatus};

use super::{Trouble, problem};
use crate::code::Code;
use crate::finding::Severity;
use crate::part::SENTINEL;

/// A trouble for each probe with a problem, but for the one that the report of the host names itself.
pub(super) fn troubles(status: &NodeStatus) -> Vec<Trouble> {
    let Some(sentinel @ Agent { stale: false, .. }) = &status.sentinel else {
        return Vec::new();
    };
    let shown = status.probes.iter().filter_map(|probe| {
        let problem = Problem::from_wire(probe.problem.clone(), String::new())?;
        let text = problem.text();
        // With several probes the host's problem begins with the name of the probe.
        let is_named = !sentinel.problem.is_empty() && sentinel.problem.ends_with(&text);
        (!is_named).then(|| {
            let is_known = sentinel.problem.is_empty();
            let beside = if is_known {
                "; another probe requires a reboot"
            } else {
                ""
            };
            Trouble {
                severity: if is_known {
                    Severity::Warning
                } else {
                    problem::severity(problem.code)
                },
                code: problem::finding(problem.code, Code::HostNotProbed),
                agent: SENTINEL.component,
                found: format!("probe {} shows nothing: {text}", probe.name),
                problem: Some(problem.code),
                stale: false,
                mitigation: beside,
                remedy: None,
            }
        })
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{ProblemCode, wire};

    use super::*;

    fn status(host: &str, probes: &[(&str, &str)]) -> NodeStatus {
        let probe = |&(name, message): &(&str, &str)| wire::ProbeResult {
            name: name.to_owned(),
            problem: Some(Problem::new(ProblemCode::ProbeFailed, message).to_wire()),
            ..Default::default()
        };
        NodeStatus {
            sentinel: Some(Agent {
                problem: host.to_owned(),
                ..Default::default()
            }),
            probes: probes.iter().map(probe).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_probe_that_shows_nothing_beside_a_need_is_a_warning_that_names_it() {
        let [trouble] = &troubles(&status("", &[("dnf", "no result")]))[..] else {
            panic!("not one");
        };
        assert_eq!((trouble.severity, trouble.code), (Severity::Warning, Code::ProbeFailed));
        assert_eq!(trouble.found, "probe dnf shows nothing: no result");
    }

    #[test]
    fn the_probe_that_the_host_s_problem_is_of_is_named_once_and_the_others_beside_it() {
        let status = status("probe dnf: no result", &[("dnf", "no result"), ("zypper", "too old")]);
        let [trouble] = &troubles(&status)[..] else {
            panic!("not one");
        };
        assert_eq!(trouble.severity, Severity::Problem);
        assert!(trouble.found.contains("zypper"), "{trouble:?}");
    }

    #[test]
    fn a_stale_report_says_nothing_about_probes() {
        let mut status = status("", &[("dnf", "no result")]);
        status.sentinel.as_mut().unwrap().stale = true;
        assert_eq!(troubles(&status), []);
    }
}
