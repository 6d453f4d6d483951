//! Since when each probe requires a reboot, where its host does not show that.
//!
//! The first report of a need in a boot dates it, over restarts of the sentinel too. A need that was there when a probe first
//! looked in a boot may be that of the boot before: it is undated.

use std::collections::BTreeMap;

use bellwether_proto::{ProbeNeed, ProbeOutcome, ProbeReport};
use jiff::Timestamp;

use crate::look::{Finding, Probed};

/// What is known of each probe in this boot, by its name. As many entries as probes.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    known: BTreeMap<String, Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The probe has required no reboot before in this boot.
    cleared: bool,
    /// The need that lasts.
    need: Option<Dated>,
}

#[derive(Debug, Clone, Copy)]
struct Dated {
    since: Timestamp,
    undated: bool,
}

impl Dates {
    /// Takes over what a sentinel before this one has reported in this boot.
    pub(crate) fn handle_previous(&mut self, results: Vec<ProbeReport>) {
        for result in results {
            let known = match result.outcome {
                // That of a need lasts: it was clear if the need is dated.
                ProbeOutcome::Required(ProbeNeed {
                    since,
                    undated,
                    reasons: _,
                    kernel_change: _,
                }) => Known {
                    cleared: !undated,
                    need: Some(Dated { since, undated }),
                },
                ProbeOutcome::NotRequired => Known {
                    cleared: true,
                    need: None,
                },
                ProbeOutcome::Unknown(_) => continue,
            };
            self.known.entry(result.name).or_insert(known);
        }
    }

    /// Dates the need of each probe.
    pub(crate) fn date(&mut self, probes: Vec<Probed>, now: Timestamp) -> Vec<ProbeReport> {
        let mut results = Vec::with_capacity(probes.len());
        for Probed { name, kind, sight } in probes {
            let known = self.known.entry(name.clone()).or_default();
            let outcome = match sight.finding {
                Finding::Required(shown) => {
                    let dated = match (shown.since, known.need) {
                        (Some(since), _) => Dated { since, undated: false },
                        (None, Some(dated)) => dated,
                        (None, None) => Dated {
                            since: now,
                            undated: !known.cleared,
                        },
                    };
                    known.need = Some(dated);
                    ProbeOutcome::Required(ProbeNeed {
                        since: dated.since,
                        reasons: shown.reasons,
                        undated: dated.undated,
                        kernel_change: shown.kernel_change,
                    })
                }
                Finding::NotRequired => {
                    *known = Known {
                        cleared: true,
                        need: None,
                    };
                    ProbeOutcome::NotRequired
                }
                // Unknown is not the end of a need.
                Finding::Unknown(problem) => ProbeOutcome::Unknown(problem),
            };
            results.push(ProbeReport {
                name,
                kind: kind.to_owned(),
                outcome,
            });
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{Problem, ProblemCode};

    use super::*;
    use crate::look::Shown;

    const REQUIRED: Finding = Finding::Required(Shown {
        since: None,
        reasons: Vec::new(),
        kernel_change: None,
    });

    #[test]
    fn a_need_that_was_there_at_the_first_look_of_a_boot_is_undated_and_a_later_one_is_not() {
        let mut dates = Dates::default();
        assert_eq!(date(&mut dates, REQUIRED, 10), Some((10, true)));
        assert_eq!(date(&mut dates, REQUIRED, 20), Some((10, true)));
        assert_eq!(date(&mut dates, Finding::NotRequired, 30), None);
        assert_eq!(date(&mut dates, REQUIRED, 40), Some((40, false)));
    }

    #[test]
    fn a_probe_that_could_not_look_neither_ends_a_need_nor_clears_the_boot() {
        let mut dates = Dates::default();
        assert_eq!(date(&mut dates, unknown(), 5), None);
        assert_eq!(date(&mut dates, REQUIRED, 10), Some((10, true)));
        assert_eq!(date(&mut dates, unknown(), 15), None);
        assert_eq!(date(&mut dates, REQUIRED, 20), Some((10, true)));
    }

    #[test]
    fn a_restart_keeps_the_date_and_what_was_clear() {
        let restarted = |findings: &[Finding]| {
            let mut before = Dates::default();
            let mut results = Vec::new();
            for finding in findings {
                results = before.date(vec![probed(finding.clone())], at(10));
            }
            let mut after = Dates::default();
            after.handle_previous(results);
            date(&mut after, REQUIRED, 99)
        };
        assert_eq!(restarted(&[REQUIRED]), Some((10, true)));
        assert_eq!(restarted(&[Finding::NotRequired, REQUIRED]), Some((10, false)));
        assert_eq!(restarted(&[Finding::NotRequired]), Some((99, false)));
        assert_eq!(restarted(&[unknown()]), Some((99, true)));
    }

    #[test]
    fn what_the_host_shows_counts() {
        let mut dates = Dates::default();
        for (second, since) in [(10, 3), (20, 15)] {
            let shown = Shown {
                since: Some(at(since)),
                reasons: Vec::new(),
                kernel_change: None,
            };
            let dated = date(&mut dates, Finding::Required(shown), second);
            assert_eq!(dated, Some((since, false)));
        }
    }

    fn date(dates: &mut Dates, finding: Finding, second: i64) -> Option<(i64, bool)> {
        match &dates.date(vec![probed(finding)], at(second))[0].outcome {
            ProbeOutcome::Required(need) => Some((need.since.as_second(), need.undated)),
            ProbeOutcome::NotRequired | ProbeOutcome::Unknown(_) => None,
        }
    }

    fn probed(finding: Finding) -> Probed {
        Probed {
            name: "dnf".to_owned(),
            kind: "command",
            sight: finding.into(),
        }
    }

    fn unknown() -> Finding {
        Finding::Unknown(Problem::new(ProblemCode::ProbeFailed, "no result"))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
