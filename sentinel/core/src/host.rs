//! What the files of a host say: text in, facts out.
//!
//! The host's own programs wrote it, and any program that is root there. So nothing is an error: what is not as it should be is not
//! known. No fact has control characters, since operators read them on a terminal.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;

/// When the boot began, by the text of `/proc/stat`.
#[must_use]
pub fn booted_at(stat: &str) -> Option<Timestamp> {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    Timestamp::from_second(seconds.trim().parse().ok()?).ok()
}

/// The newest kernel of these names of directories in `/lib/modules`.
#[must_use]
pub fn newest_kernel(names: impl IntoIterator<Item = String>) -> Option<String> {
    let newest = names
        .into_iter()
        .max_by(|a, b| compare_versions(a, b).then_with(|| a.cmp(b)));
    newest.map(|name| plain(&name))
}

/// How the operating system calls itself in the text of `/etc/os-release`; none if it does not say.
#[must_use]
pub fn operating_system(os_release: &str) -> Option<String> {
    let value = os_release
        .lines()
        .find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    Some(plain(value.trim_matches(['"', '\''])))
}

/// The packages in the text of the list beside the sentinel file: each once, in the order of the list. The contract cuts
/// long names and lists when the report is encoded, and counts what it leaves out.
#[must_use]
pub fn packages(list: &str) -> Vec<String> {
    let mut known = BTreeSet::new();
    let names = list.lines().map(|line| plain(line.trim()));
    names
        .filter(|name| !name.is_empty() && known.insert(name.clone()))
        .collect()
}

/// Without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// Compares as operators read versions: runs of digits are numbers (6.8.0-9 is older than
/// 6.8.0-10), everything else is text.
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
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
        for (text, booted) in [
            ("cpu  1 2\nbtime 1767225600\nprocesses 7\n", Some(1_767_225_600)),
            ("cpu  1 2\nbtime soon\n", None),
            ("cpu  1 2\nbtime 99999999999999999999\n", None),
            ("cpu  1 2\n", None),
        ] {
            assert_eq!(booted_at(text).map(Timestamp::as_second), booted, "{text}");
        }
    }

    #[test]
    fn the_name_of_the_system_comes_without_its_quotes() {
        let text = "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n";
        assert_eq!(operating_system(text).as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
        assert_eq!(operating_system("ID=x"), None);
    }

    #[test]
    fn a_long_list_is_read_whole_so_that_the_report_counts_what_it_leaves_out() {
        let text: String = (0..500).map(|number| format!("package-{number}\n")).collect();
        assert_eq!(packages(&text).len(), 500);
    }

    #[test]
    fn no_fact_can_steer_the_terminal_of_an_operator() {
        assert_eq!(packages("\u{1b}[2Jlinux\u{9b}31m\n\u{7}\n"), ["[2Jlinux31m"]);
        assert_eq!(operating_system("PRETTY_NAME=a\u{1b}[31mb").as_deref(), Some("a[31mb"));
        let names = ["6.8.0-9".to_owned(), "6.9\u{1b}]0;x\u{7}".to_owned()];
        assert_eq!(newest_kernel(names).as_deref(), Some("6.9]0;x"));
    }

    proptest! {
        #[test]
        fn packages_are_distinct_and_in_order(text in "([a-z]{0,2} ?\n){0,300}") {
            let packages = packages(&text);
            let mut lines = text.lines().map(str::trim);
            // Each one is found further down than the one before: the order of first appearance.
            prop_assert!(packages.iter().all(|package| lines.any(|line| line == package)));
            let distinct: BTreeSet<_> = packages.iter().collect();
            prop_assert_eq!(distinct.len(), packages.len());
        }

        #[test]
        fn any_text_gives_facts_without_control_characters(text in any::<String>()) {
            prop_assert!(booted_at(&text).is_none() || text.contains("btime "));
            let mut facts = packages(&text);
            facts.extend(operating_system(&format!("PRETTY_NAME={text}")));
            facts.extend(newest_kernel([text]));
            prop_assert!(!facts.concat().chars().any(char::is_control), "{facts:?}");
        }

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
