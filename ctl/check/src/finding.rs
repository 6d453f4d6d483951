//! One finding: what was looked at, what was found, and what to do about it.

use serde::Serialize;

use crate::secrets::without_secrets;
use crate::text::one_line;

/// As many names as a person reads; the rest are counted.
const NAMES_MAX: usize = 4;

/// How bad it is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is broken by it, or it could not be looked at.
    Warning,
    /// Nodes are not rebooted because of it, or not safely.
    Problem,
}

/// What a finding is about: for programs, which may add to this list and never rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Topic {
    Kubernetes,
    Workloads,
    Pods,
    Settings,
    Rights,
    Leader,
    Nats,
    Versions,
    Agents,
    Clocks,
    Neighbours,
    Leftovers,
    Removal,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) topic: Topic,
    pub(crate) subject: String,
    pub(crate) found: String,
    /// What to do, where there is something to do: a command if one does it.
    pub(crate) remedy: Option<String>,
}

impl Topic {
    pub(crate) fn ok(self, subject: impl Into<String>, found: impl AsRef<str>) -> Finding {
        self.finding(Severity::Ok, subject, found, None)
    }

    pub(crate) fn warning(
        self,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Warning, subject, found, Some(remedy.into()))
    }

    pub(crate) fn problem(
        self,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Problem, subject, found, Some(remedy.into()))
    }

    pub(crate) fn finding(
        self,
        severity: Severity,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: Option<String>,
    ) -> Finding {
        Finding {
            severity,
            topic: self,
            subject: subject.into(),
            // Much of it was written by others: over several lines, and with addresses as they were given.
            found: one_line(&without_secrets(found.as_ref())),
            remedy,
        }
    }
}

/// Things of which the same is true, in the order in which they came: a fleet of a thousand
/// nodes with one mistake is one finding.
#[derive(Debug)]
pub(crate) struct Groups<K>(Vec<(K, Vec<String>)>);

impl<K: PartialEq> Groups<K> {
    pub(crate) fn add(&mut self, key: K, name: &str) {
        self.add_like(key, name, PartialEq::eq);
    }
}

impl<K> Groups<K> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds to the first group whose key is alike: that one stands for all.
    pub(crate) fn add_like(&mut self, key: K, name: &str, alike: impl Fn(&K, &K) -> bool) {
        match self.0.iter_mut().find(|(known, _)| alike(known, &key)) {
            Some((_, names)) => names.push(name.to_owned()),
            None => self.0.push((key, vec![name.to_owned()])),
        }
    }
}

impl<K> IntoIterator for Groups<K> {
    type Item = (K, Vec<String>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A text without what differs from node to node: ids, ports, processes. Each word with a digit is `#`.
pub(crate) fn shape(text: &str) -> String {
    let mut shape = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        if word.contains(|letter: char| letter.is_ascii_digit()) {
            shape.push('#');
            shape.push_str(word.trim_start_matches(char::is_alphanumeric));
        } else {
            shape.push_str(word);
        }
    }
    shape
}

/// `a, b, c, d and 9 more`.
pub(crate) fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_MAX).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_named_by_the_first_few() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }

    #[test]
    fn texts_that_differ_in_ids_alone_have_one_shape() {
        let denied =
            |sender: &str, pid: u32| format!("denied; sender=\":{sender}\" (uid=0 pid={pid} comm=\"rebooter\")");
        assert_eq!(shape(&denied("1.205", 4711)), shape(&denied("1.9", 12)));
        assert_eq!(shape("dial 10.0.0.7:4222: refused"), "dial #.#.#.#:#: refused");
        assert_ne!(shape("no bus"), shape("no logind"));
        assert_eq!(shape(""), "");
    }

    #[test]
    fn a_password_is_in_no_finding() {
        let finding = Topic::Pods.ok("pods", "not ready: nats: not connected to nats://anna:pw@nats:4222\n");
        assert_eq!(finding.found, "not ready: nats: not connected to nats://nats:4222");
    }

    #[test]
    fn what_is_the_same_is_found_once() {
        let mut groups = Groups::new();
        for (key, name) in [("x", "1"), ("y", "2"), ("x", "3")] {
            groups.add(key, name);
        }
        let groups: Vec<_> = groups.into_iter().collect();
        assert_eq!(
            groups,
            [("x", vec!["1".to_owned(), "3".to_owned()]), ("y", vec!["2".to_owned()])]
        );
    }
}
