//! What one look at a host shows.

use bellwether_proto::{KernelChange, Problem};
use jiff::Timestamp;

/// What the probes and the files of a host show now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What each probe shows, in the order of the setting.
    pub probes: Vec<Probed>,
    /// When the boot began, by the host's clock as it is now; none if the host does not show that.
    pub booted_at: Option<Timestamp>,
    /// The newest kernel that is installed.
    pub kernel_installed: Option<String>,
    /// The operating system.
    pub os: String,
}

impl Look {
    /// Whether a reboot is required; none: unknown. As [`crate::merge()`] decides.
    #[must_use]
    pub fn required(&self) -> Option<bool> {
        let mut all_known = true;
        for probed in &self.probes {
            match &probed.sight.finding {
                Finding::Required(_) => return Some(true),
                Finding::Unknown(_) => all_known = false,
                Finding::NotRequired => (),
            }
        }
        all_known.then_some(false)
    }
}

/// What one probe shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// The name of the probe.
    pub name: String,
    /// How it looks.
    pub kind: &'static str,
    /// What it shows.
    pub sight: Sight,
}

/// What one look of a probe shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Whether it requires a reboot.
    pub finding: Finding,
    /// Services of the host whose restart would do: no need.
    pub services: Vec<String>,
}

impl From<Finding> for Sight {
    fn from(finding: Finding) -> Self {
        let services = Vec::new();
        Self { finding, services }
    }
}

/// What a probe shows. A problem is neither yes nor no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A reboot is required.
    Required(Shown),
    /// No reboot is required.
    NotRequired,
    /// It could not look.
    Unknown(Problem),
}

impl Finding {
    /// What two places show together: a need of one is a need, and without one a problem of one is a problem.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Required(mut one), Self::Required(other)) => {
                one.since = one.since.max(other.since);
                one.kernel_change = one.kernel_change.or(other.kernel_change);
                for reason in other.reasons {
                    if !one.reasons.contains(&reason) {
                        one.reasons.push(reason);
                    }
                }
                Self::Required(one)
            }
            (Self::Required(shown), Self::NotRequired | Self::Unknown(_))
            | (Self::NotRequired | Self::Unknown(_), Self::Required(shown)) => Self::Required(shown),
            (Self::Unknown(problem), Self::NotRequired | Self::Unknown(_))
            | (Self::NotRequired, Self::Unknown(problem)) => Self::Unknown(problem),
            (Self::NotRequired, Self::NotRequired) => Self::NotRequired,
        }
    }
}

/// A need as the host shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Since when; none if the host does not show that.
    pub since: Option<Timestamp>,
    /// What asks for the reboot, such as packages.
    pub reasons: Vec<String>,
    /// How the kernel that the reboot would start differs; none: not known.
    pub kernel_change: Option<KernelChange>,
}

#[cfg(test)]
mod tests {
    use bellwether_proto::ProblemCode;

    use super::*;

    #[test]
    fn a_need_of_one_place_counts_before_a_problem_of_another_and_a_problem_before_nothing() {
        let problem = || Finding::Unknown(Problem::new(ProblemCode::ProbeFailed, "denied"));
        let all = [Finding::NotRequired, problem(), required(3, &["a"])];
        for (one, first) in all.iter().enumerate() {
            for (other, second) in all.iter().enumerate() {
                assert_eq!(first.clone().and(second.clone()), all[one.max(other)]);
            }
        }
        let both = required(3, &["a", "b"]).and(required(7, &["b", "c"]));
        assert_eq!(both, required(7, &["a", "b", "c"]));
    }

    #[test]
    fn the_look_and_the_report_agree_on_whether_a_reboot_is_required() {
        let problem = || Finding::Unknown(Problem::new(ProblemCode::ProbeFailed, "denied"));
        for (findings, required) in [
            (vec![], Some(false)),
            (vec![Finding::NotRequired], Some(false)),
            (vec![Finding::NotRequired, problem()], None),
            (vec![problem(), required(3, &[]), Finding::NotRequired], Some(true)),
        ] {
            let probes = findings.into_iter().map(|finding| Probed {
                name: "a".to_owned(),
                kind: "file",
                sight: finding.into(),
            });
            let look = Look {
                probes: probes.collect(),
                booted_at: None,
                kernel_installed: None,
                os: String::new(),
            };
            assert_eq!(look.required(), required);
            let results = crate::dates::Dates::default().date(look.probes, Timestamp::UNIX_EPOCH);
            assert_eq!(crate::merge(&results).ok().map(|need| need.is_some()), required);
        }
    }

    fn required(since: i64, reasons: &[&str]) -> Finding {
        Finding::Required(Shown {
            since: Some(Timestamp::from_second(since).unwrap()),
            reasons: reasons.iter().map(|&reason| reason.to_owned()).collect(),
            kernel_change: None,
        })
    }
}
