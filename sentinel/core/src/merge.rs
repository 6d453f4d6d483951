//! One need from the results of all probes.
//!
//! A need of one probe is a need of the host, whatever the others show. Without one, a probe that could not look leaves
//! the host's need unknown: only all probes together say no.

use bellwether_proto::{ProbeOutcome, ProbeReport, Problem};
use jiff::Timestamp;

/// The need of a host, as its probes show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The latest begin that the host shows; without one, the latest that the sentinel has noted.
    pub since: Timestamp,
    /// The earliest begin of all.
    pub first_since: Timestamp,
    /// What asks for the reboot, each once.
    pub reasons: Vec<String>,
    /// No probe with a need knows whether it began in this boot.
    pub undated: bool,
}

/// Whether the host needs a reboot; none: it does not.
///
/// # Errors
/// No probe requires a reboot, and this is the first problem of one that could not look.
pub fn merge(results: &[ProbeReport]) -> Result<Option<Need>, Problem> {
    let needs = results.iter().filter_map(|result| match &result.outcome {
        ProbeOutcome::Required(need) => Some(need),
        ProbeOutcome::NotRequired | ProbeOutcome::Unknown(_) => None,
    });
    let mut merged: Option<Need> = None;
    for need in needs {
        let Some(all) = &mut merged else {
            merged = Some(Need {
                since: need.since,
                first_since: need.since,
                reasons: need.reasons.clone(),
                undated: need.undated,
            });
            continue;
        };
        // What the host shows counts more than what the sentinel has noted.
        if all.undated == need.undated {
            all.since = all.since.max(need.since);
        } else if all.undated {
            all.since = need.since;
        }
        all.undated &= need.undated;
        all.first_since = all.first_since.min(need.since);
        for reason in &need.reasons {
            if !all.reasons.contains(reason) {
                all.reasons.push(reason.clone());
            }
        }
    }
    if merged.is_some() {
        return Ok(merged);
    }
    let problem = results.iter().find_map(|result| match &result.outcome {
        ProbeOutcome::Unknown(problem) => Some((result, problem)),
        ProbeOutcome::NotRequired | ProbeOutcome::Required(_) => None,
    });
    match problem {
        None => Ok(None),
        Some((_, problem)) if results.len() == 1 => Err(problem.clone()),
        Some((result, problem)) => Err(Problem::new(
            problem.code,
            format!("probe {}: {}", result.name, problem.message),
        )),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{ProbeNeed, ProblemCode};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_need_of_one_probe_counts_whatever_the_others_show() {
        let merged = merge(&[problem("a"), required("b", 5, false, &["linux"]), clear("c")]);
        assert_eq!(merged.unwrap().unwrap().reasons, ["linux"]);
    }

    #[test]
    fn without_a_need_a_probe_that_could_not_look_leaves_it_unknown() {
        let error = merge(&[clear("a"), problem("b"), problem("c")]).unwrap_err();
        assert_eq!(
            (error.code, &*error.message),
            (ProblemCode::ProbeFailed, "probe b: denied")
        );
        assert_eq!(merge(&[problem("a")]).unwrap_err().message, "denied");
        assert_eq!(merge(&[clear("a"), clear("b")]), Ok(None));
    }

    #[test]
    fn the_latest_begin_that_the_host_shows_counts_and_the_earliest_of_all_is_the_age() {
        let need = |results: &[ProbeReport]| {
            let need = merge(results).unwrap().unwrap();
            (need.since.as_second(), need.first_since.as_second(), need.undated)
        };
        let (old, new) = (required("a", 5, false, &[]), required("b", 9, false, &[]));
        let (noted, later) = (required("c", 7, true, &[]), required("d", 20, true, &[]));
        assert_eq!(need(&[old.clone(), new.clone()]), (9, 5, false));
        assert_eq!(need(&[noted.clone(), later.clone()]), (20, 7, true));
        assert_eq!(need(&[old, later]), (5, 5, false));
        assert_eq!(need(&[noted, new]), (9, 7, false));
    }

    #[test]
    fn a_reason_of_two_probes_is_named_once() {
        let merged = merge(&[
            required("a", 1, false, &["x", "y"]),
            required("b", 1, false, &["y", "z"]),
        ]);
        assert_eq!(merged.unwrap().unwrap().reasons, ["x", "y", "z"]);
    }

    proptest! {
        #[test]
        fn the_order_of_the_probes_changes_no_decision(
            mut kinds in proptest::collection::vec((0..4_u8, 0..50_i64), 0..8),
        ) {
            let decision = |kinds: &[(u8, i64)]| {
                let results: Vec<_> = kinds.iter().map(|(kind, second)| match kind {
                    0 => clear("a"),
                    1 => problem("a"),
                    2 => required("a", *second, false, &[]),
                    _ => required("a", *second, true, &[]),
                }).collect();
                merge(&results).map_err(|problem| problem.code)
            };
            let before = decision(&kinds);
            kinds.reverse();
            prop_assert_eq!(decision(&kinds), before);
        }
    }

    fn result(name: &str, outcome: ProbeOutcome) -> ProbeReport {
        ProbeReport {
            name: name.to_owned(),
            kind: "file".to_owned(),
            outcome,
        }
    }

    fn clear(name: &str) -> ProbeReport {
        result(name, ProbeOutcome::NotRequired)
    }

    fn problem(name: &str) -> ProbeReport {
        result(
            name,
            ProbeOutcome::Unknown(Problem::new(ProblemCode::ProbeFailed, "denied")),
        )
    }

    fn required(name: &str, since: i64, undated: bool, reasons: &[&str]) -> ProbeReport {
        let need = ProbeNeed {
            since: Timestamp::from_second(since).unwrap(),
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
            undated,
            kernel_change: None,
        };
        result(name, ProbeOutcome::Required(need))
    }
}
