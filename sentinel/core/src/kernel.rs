//! Whether a kernel is installed that the host does not run yet.
//!
//! Only kernels of the flavour that runs are compared: a host of `6.8.0-1010-aws` never boots a newer `-generic` one by
//! itself. The flavour is the words of a version: `6.8.0-10-generic` has generic, `5.14.0-70.el9.x86_64` has el and x.

use std::cmp::Ordering;

use bellwether_proto::{KernelChange, Problem, ProblemCode};
use jiff::Timestamp;

use crate::host::{compare_versions, plain};
use crate::look::{Finding, Shown};

/// An installed kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its version, the name of its directory of modules.
    pub version: String,
    /// When it was installed; none if the host does not show that.
    pub at: Option<Timestamp>,
}

/// Whether a newer kernel of the flavour that runs is installed.
#[must_use]
pub fn finding(running: &str, installed: impl IntoIterator<Item = Installed>) -> Finding {
    let flavour = words(running);
    let newest = installed
        .into_iter()
        .filter(|kernel| words(&kernel.version) == flavour)
        .max_by(|a, b| compare_versions(&a.version, &b.version).then_with(|| a.version.cmp(&b.version)));
    match newest {
        None => Finding::Unknown(Problem::new(
            ProblemCode::ProbeFailed,
            format!(
                "no kernel like {} is in /lib/modules: is the host's folder mounted?",
                plain(running)
            ),
        )),
        Some(kernel) if compare_versions(&kernel.version, running) == Ordering::Greater => Finding::Required(Shown {
            since: kernel.at,
            reasons: vec![format!("kernel {}", plain(&kernel.version))],
            kernel_change: Some(KernelChange::Version),
        }),
        Some(_) => Finding::NotRequired,
    }
}

/// The words of a version, without that of a candidate.
fn words(version: &str) -> Vec<&str> {
    let runs = version.split(|letter: char| !letter.is_alphabetic());
    runs.filter(|word| !word.is_empty() && *word != "rc").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_kernel_of_the_same_flavour_is_a_need() {
        for (running, installed) in [
            ("6.8.0-9-generic", "6.8.0-10-generic"),
            ("5.14.0-70.el9.x86_64", "5.14.0-162.6.1.el9_1.x86_64"),
            ("6.6.57.1-7.azl3", "6.6.64.2-1.azl3"),
            ("6.4.0-150600.23.25-default", "6.4.0-150600.23.30-default"),
            ("6.9.0-rc3", "6.9.0"),
        ] {
            let Finding::Required(shown) = look(running, &[running, installed]) else {
                panic!("{running} and {installed}: no need")
            };
            assert_eq!(shown.reasons, [format!("kernel {installed}")]);
            assert_eq!(shown.since, Some(at(2)));
        }
    }

    #[test]
    fn a_newer_kernel_of_another_flavour_is_none() {
        for (running, other) in [
            ("6.8.0-1010-aws", "6.11.0-9-generic"),
            ("5.14.0-70.el9.x86_64", "5.14.0-162.el9.x86_64+debug"),
            ("6.10.1-arch1-1", "6.12.1-lts"),
            ("6.8.0", "6.9.0-rt"),
        ] {
            assert_eq!(
                look(running, &[running, other]),
                Finding::NotRequired,
                "{running}, {other}"
            );
        }
    }

    #[test]
    fn an_older_kernel_is_no_need_and_none_of_the_flavour_is_a_problem() {
        assert_eq!(look("6.8.0-10-generic", &["6.8.0-9-generic"]), Finding::NotRequired);
        for installed in [&[][..], &["6.8.0-9-aws"]] {
            assert!(matches!(look("6.8.0-10-generic", installed), Finding::Unknown(_)));
        }
    }

    fn look(running: &str, installed: &[&str]) -> Finding {
        let kernels = installed.iter().zip(1..).map(|(version, second)| Installed {
            version: (*version).to_owned(),
            at: Some(at(second)),
        });
        finding(running, kernels)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
