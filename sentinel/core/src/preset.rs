//! What the result of a command on the host means: text in, finding out.
//!
//! A unit of the host runs the command and writes its output with a last line `exit=NUMBER`; the sentinel runs nothing.
//! Whatever is not the one exit code, or the words, by which a command requires a reboot or requires none, is a problem:
//! a missing tool, a time-out, an error.

use std::time::Duration;

use bellwether_proto::{KernelChange, Problem, ProblemCode};
use jiff::{SignedDuration, Timestamp};

use crate::host::plain;
use crate::look::{Finding, Shown, Sight};

/// The exit code of a shell whose command was not found.
const NOT_FOUND: i32 = 127;

/// The exit code of `timeout` for a command that took too long.
const TIMED_OUT: i32 = 124;

/// How many characters of the output a problem quotes: its last words.
const QUOTE_MAX: usize = 200;

/// How far in the future the time of a result may be: the clock may be set a little between two looks.
const CLOCK_DIFFERENCE_MAX: SignedDuration = SignedDuration::from_mins(10);

/// A command whose exit codes and words are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// `dnf needs-restarting -r`, of dnf 4 and 5.
    Dnf,
    /// `zypper needs-rebooting`.
    Zypper,
    /// `needrestart -b -k -l`.
    Needrestart,
    /// `rpm-ostree status --pending-exit-77`.
    RpmOstree,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 4] = [Self::Dnf, Self::Zypper, Self::Needrestart, Self::RpmOstree];

    /// Its name in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Needrestart => "needrestart",
            Self::RpmOstree => "rpm-ostree",
        }
    }

    /// What the written result of the command means.
    #[must_use]
    pub fn finding(self, result: &str) -> Finding {
        let Some((output, exit)) = split(result) else {
            return problem("the result has no last line exit=NUMBER: is it written by the unit of docs/probes.md?");
        };
        let decided = match (self, exit) {
            // dnf exits with 1 also when it fails, so its words have to say it too.
            (Self::Dnf, 1) if output.contains("Reboot is required") => Some(required(starred(output))),
            (Self::Dnf | Self::Zypper | Self::RpmOstree, 0) => Some(Finding::NotRequired),
            (Self::Zypper, 102) => Some(required(vec!["zypper needs-rebooting".to_owned()])),
            (Self::RpmOstree, 77) => Some(required(vec!["rpm-ostree: a deployment is pending".to_owned()])),
            (Self::Needrestart, 0) => needrestart(output),
            (Self::Dnf | Self::Zypper | Self::Needrestart | Self::RpmOstree, _) => None,
        };
        decided.unwrap_or_else(|| self.unclear(output, exit))
    }

    /// What the written result shows.
    #[must_use]
    pub fn sight(self, result: &str) -> Sight {
        let services = match self {
            Self::Needrestart => services(result),
            Self::Dnf | Self::Zypper | Self::RpmOstree => Vec::new(),
        };
        let finding = self.finding(result);
        Sight { finding, services }
    }

    fn unclear(self, output: &str, exit: i32) -> Finding {
        let name = self.as_str();
        match exit {
            NOT_FOUND => problem(&format!("the command of preset {name} was not found on the host")),
            TIMED_OUT => problem(&format!("the command of preset {name} took too long on the host")),
            _ => problem(&format!(
                "the command of preset {name} ended with {exit} and its output means neither yes nor no: {}",
                last_words(output)
            )),
        }
    }
}

/// Why a result that was written then does not count now, if so.
#[must_use]
pub fn too_old(written: Timestamp, now: Timestamp, max_age: Duration) -> Option<Problem> {
    let age = now.duration_since(written);
    let message = if age > SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX) {
        format!("the result is of {written}: does the host's timer still run?")
    } else if age < -CLOCK_DIFFERENCE_MAX {
        format!("the result is of {written}, which is later than now: was the clock set?")
    } else {
        return None;
    };
    Some(Problem::new(ProblemCode::ProbeFailed, message))
}

/// Output and exit code.
fn split(result: &str) -> Option<(&str, i32)> {
    let result = result.trim_end();
    let (output, last) = result.rsplit_once('\n').unwrap_or(("", result));
    Some((output, last.strip_prefix("exit=")?.parse().ok()?))
}

/// By the kernel state of needrestart's batch output: 1 is current, 2 and 3 are pending, and 0 is unknown.
fn needrestart(output: &str) -> Option<Finding> {
    let kernel_change = match batch(output, "KSTA").next()? {
        "1" => return Some(Finding::NotRequired),
        "2" => KernelChange::Compatible,
        "3" => KernelChange::Version,
        _ => return None,
    };
    let kernel = batch(output, "KEXP").next();
    let kernel = kernel.map_or_else(|| "kernel".to_owned(), |version| format!("kernel {}", plain(version)));
    Some(Finding::Required(Shown {
        since: None,
        reasons: vec![kernel],
        kernel_change: Some(kernel_change),
    }))
}

/// The services that needrestart's batch output names.
fn services(output: &str) -> Vec<String> {
    let names = batch(output, "SVC").map(plain);
    names.filter(|name| !name.is_empty()).collect()
}

/// The values of this name in needrestart's batch output.
fn batch<'a>(output: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("NEEDRESTART-"));
    let values = lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(':'));
    values.map(str::trim)
}

/// The entries of a list with stars: the packages in dnf's output.
fn starred(output: &str) -> Vec<String> {
    let entries = output.lines().filter_map(|line| line.trim().strip_prefix("* "));
    entries.map(|entry| plain(entry.trim())).collect()
}

fn last_words(output: &str) -> String {
    let text = plain(&output.lines().map(str::trim).collect::<Vec<_>>().join(" "));
    let surplus = text.chars().count().saturating_sub(QUOTE_MAX);
    text.chars().skip(surplus).collect()
}

fn required(reasons: Vec<String>) -> Finding {
    Finding::Required(Shown {
        since: None,
        reasons,
        kernel_change: None,
    })
}

fn problem(message: &str) -> Finding {
    Finding::Unknown(Problem::new(ProblemCode::ProbeFailed, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DNF: &str = "Core libraries or services have been updated since boot-up:\n  * glibc\n  * kernel\n\nReboot is \
                       required to fully utilize these updates.\nMore information: https://example.com\nexit=1\n";

    #[test]
    fn each_command_requires_a_reboot_by_its_own_sign_only() {
        for (preset, result, reasons) in [
            (Preset::Dnf, DNF, &["glibc", "kernel"][..]),
            (
                Preset::Zypper,
                "Reboot is suggested\nexit=102\n",
                &["zypper needs-rebooting"],
            ),
            (Preset::RpmOstree, "exit=77", &["rpm-ostree: a deployment is pending"]),
            (
                Preset::Needrestart,
                "NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-9\nNEEDRESTART-KEXP: 6.1.0-10\nNEEDRESTART-KSTA: 3\nexit=0",
                &["kernel 6.1.0-10"],
            ),
            (Preset::Needrestart, "NEEDRESTART-KSTA: 2\nexit=0", &["kernel"]),
        ] {
            let Finding::Required(shown) = preset.finding(result) else {
                panic!("{preset:?}: {result}")
            };
            assert_eq!(shown.reasons, reasons);
            for other in Preset::ALL.into_iter().filter(|other| *other != preset) {
                let finding = other.finding(result);
                assert!(!matches!(finding, Finding::Required(_)), "{other:?}: {result}");
            }
        }
    }

    #[test]
    fn needrestart_tells_how_the_kernel_changes_and_which_services_a_restart_would_do_for() {
        for (state, change) in [("2", KernelChange::Compatible), ("3", KernelChange::Version)] {
            let Finding::Required(shown) = Preset::Needrestart.finding(&format!("NEEDRESTART-KSTA: {state}\nexit=0"))
            else {
                panic!("no need: {state}")
            };
            assert_eq!(shown.kernel_change, Some(change));
        }
        let result = "NEEDRESTART-VER: 3.6\nNEEDRESTART-KSTA: 1\nNEEDRESTART-SVC: ssh.service\nNEEDRESTART-SVC: \n\
                      NEEDRESTART-SVC: systemd-manager\u{1b}[2J\nNEEDRESTART-SESS: me @ session #7\nexit=0";
        let sight = Preset::Needrestart.sight(result);
        assert_eq!(sight.finding, Finding::NotRequired);
        assert_eq!(sight.services, ["ssh.service", "systemd-manager[2J"]);
        for other in [Preset::Dnf, Preset::Zypper, Preset::RpmOstree] {
            assert_eq!(other.sight(result).services, Vec::<String>::new());
        }
        // An output that was cut at its begin, or a tool that failed: unknown, whatever services are left of it.
        let sight = Preset::Needrestart.sight("T-SVC: a\nNEEDRESTART-SVC: b\nexit=0");
        assert!(matches!(sight.finding, Finding::Unknown(_)) && sight.services == ["b"]);
    }

    #[test]
    fn each_command_requires_none_by_its_own_sign() {
        for (preset, result) in [
            (Preset::Dnf, "Reboot should not be necessary.\nexit=0\n"),
            (Preset::Zypper, "exit=0"),
            (Preset::RpmOstree, "State: idle\nexit=0"),
            (Preset::Needrestart, "NEEDRESTART-KSTA: 1\nNEEDRESTART-SVC: ssh\nexit=0"),
        ] {
            assert_eq!(preset.finding(result), Finding::NotRequired, "{result}");
        }
    }

    #[test]
    fn a_missing_tool_a_time_out_and_an_error_are_problems_of_every_command() {
        for preset in Preset::ALL {
            for (result, words) in [
                ("sh: 1: not found\nexit=127\n", "not found"),
                ("exit=124", "too long"),
                ("Error: no such command\nexit=1", "no such command"),
                ("Traceback\nexit=2", "Traceback"),
                ("exit=-1", "ended with -1"),
                ("Reboot is required\n", "no last line"),
                ("exit=", "no last line"),
                ("", "no last line"),
            ] {
                let Finding::Unknown(problem) = preset.finding(result) else {
                    panic!("{preset:?}: {result}")
                };
                assert_eq!(problem.code, ProblemCode::ProbeFailed);
                assert!(problem.message.contains(words), "{preset:?}: {}", problem.message);
            }
        }
        for result in ["NEEDRESTART-KSTA: 0\nexit=0", "NEEDRESTART-VER: 3.6\nexit=0"] {
            assert!(
                matches!(Preset::Needrestart.finding(result), Finding::Unknown(_)),
                "{result}"
            );
        }
    }

    #[test]
    fn a_result_counts_for_its_time_only() {
        let hour = Duration::from_secs(3600);
        let at = |second| Timestamp::from_second(second).unwrap();
        for (written, now, counts) in [
            (0, 3600, true),
            (0, 3601, false),
            (600, 0, true),
            (601, 0, false),
            (0, 31_536_000, false),
            (31_536_000, 0, false),
        ] {
            assert_eq!(too_old(at(written), at(now), hour).is_none(), counts, "{written} {now}");
        }
    }

    proptest! {
        #[test]
        fn any_result_gives_one_short_line_without_control_characters(text in any::<String>(), exit in -3..130_i32) {
            for preset in Preset::ALL {
                match preset.finding(&format!("{text}\nexit={exit}")) {
                    Finding::Unknown(problem) => {
                        prop_assert!(problem.message.chars().count() < QUOTE_MAX + 100);
                        prop_assert!(!problem.message.chars().any(char::is_control));
                    }
                    Finding::Required(shown) => prop_assert!(!shown.reasons.concat().chars().any(char::is_control)),
                    Finding::NotRequired => (),
                }
            }
        }
    }
}
