//! What is true of the host beside its need: when it booted, its newest kernel, its operating system.
//!
//! Read-only, and never an error: what the host does not show is not known, and that never
//! keeps a need from being reported.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use bellwether_chassis::HostArgs;
use jiff::Timestamp;

/// When the boot began, by the clock of the host as it is now: the kernel moves this time when the clock is set.
pub(crate) fn booted_at(host: &HostArgs) -> Option<Timestamp> {
    let text = fs::read_to_string(host.proc_root.join("stat")).ok()?;
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

/// The newest installed kernel, by the directories of modules; none if the host shows none.
pub(crate) fn newest_kernel(host: &HostArgs) -> Option<String> {
    let modules = host.locate(Path::new("/lib/modules")).ok()?;
    fs::read_dir(modules)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .max_by(|a, b| compare_versions(a, b).then_with(|| a.cmp(b)))
}

/// The operating system as it calls itself; empty if it does not say.
pub(crate) fn operating_system(host: &HostArgs) -> String {
    let text = host
        .locate(Path::new("/etc/os-release"))
        .and_then(fs::read_to_string)
        .unwrap_or_default();
    pretty_name(&text).unwrap_or_default()
}

/// Compares as operators read versions: runs of digits are numbers (6.8.0-9 is older than
/// 6.8.0-10), everything else is text.
fn compare_versions(a: &str, b: &str) -> Ordering {
    parts(a).cmp(parts(b))
}

/// One part of a version. A release is newer than its candidate (`6.9` and `6.9-rc1`), so text
/// sorts before a number.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Candidate,
    End,
    Text(&'a str),
    /// Without leading zeros, the longer number is the greater one, whatever its size.
    Number(usize, &'a str),
}

fn parts(version: &str) -> impl Iterator<Item = Part<'_>> {
    version
        .split(['.', '-', '+', '_', '~'])
        .flat_map(runs)
        .map(part)
        .chain([Part::End])
}

fn part(run: &str) -> Part<'_> {
    if run.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = run.trim_start_matches('0');
        Part::Number(digits.len(), digits)
    } else if run == "rc" {
        Part::Candidate
    } else {
        Part::Text(run)
    }
}

/// Runs of digits and runs of anything else, in turn.
fn runs(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let digits = rest.chars().next()?.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(run)
    })
}

fn pretty_name(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (older, newer) in [
            ("6.8.0-9-generic", "6.8.0-10-generic"),
            ("6.8.0-10-generic", "6.10.0-1-generic"),
            ("5.15.0", "6.1.0"),
            ("6.1.0-9-amd64", "6.1.0-40-amd64"),
            ("6.9.0-rc3", "6.9.0"),
            ("6.9.0", "6.9.1"),
            ("6.9", "6.9.1"),
            ("5.14.0-70.el9.x86_64", "5.14.0-162.6.1.el9_1.x86_64"),
            ("6.1.99999999999999999999998", "6.1.99999999999999999999999"),
        ] {
            assert_eq!(compare_versions(older, newer), Ordering::Less, "{older} < {newer}");
            assert_eq!(compare_versions(newer, older), Ordering::Greater, "{newer} > {older}");
        }
    }

    #[test]
    fn the_begin_of_the_boot_is_read_where_the_kernel_shows_one() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostArgs {
            host_root: directory.path().to_owned(),
            proc_root: directory.path().to_owned(),
        };
        assert_eq!(booted_at(&host), None);
        for (text, booted) in [
            ("cpu  1 2\nbtime 1767225600\nprocesses 7\n", Some(1_767_225_600)),
            ("cpu  1 2\nbtime soon\n", None),
            ("cpu  1 2\nbtime 99999999999999999999\n", None),
            ("cpu  1 2\n", None),
        ] {
            fs::write(directory.path().join("stat"), text).unwrap();
            assert_eq!(booted_at(&host).map(Timestamp::as_second), booted, "{text}");
        }
    }

    #[test]
    fn the_newest_directory_counts_and_files_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let host = HostArgs {
            host_root: directory.path().to_owned(),
            proc_root: directory.path().to_owned(),
        };
        assert_eq!(newest_kernel(&host), None);
        for version in ["6.8.0-9-generic", "6.8.0-10-generic"] {
            fs::create_dir_all(directory.path().join("lib/modules").join(version)).unwrap();
        }
        fs::write(directory.path().join("lib/modules/9.9.9"), "").unwrap();
        assert_eq!(newest_kernel(&host).as_deref(), Some("6.8.0-10-generic"));
    }

    #[test]
    fn the_name_of_the_system_comes_without_its_quotes() {
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
        assert_eq!(pretty_name(text).as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
        assert_eq!(pretty_name("ID=x"), None);
    }

    proptest! {
        #[test]
        fn three_numbers_are_ordered_as_their_tuple(a in any::<(u16, u16, u16)>(), b in any::<(u16, u16, u16)>()) {
            let text = |(x, y, z): (u16, u16, u16)| format!("{x}.{y}.0-{z}-generic");
            prop_assert_eq!(compare_versions(&text(a), &text(b)), a.cmp(&b));
        }

        #[test]
        fn the_order_is_total(a in "[0-9a-z.+-]{0,12}", b in "[0-9a-z.+-]{0,12}", c in "[0-9a-zé.-]{0,12}") {
            prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
            if compare_versions(&a, &b).is_le() && compare_versions(&b, &c).is_le() {
                prop_assert!(compare_versions(&a, &c).is_le());
            }
        }
    }
}
