//! Findings that are known and still to be fixed, each with its reason. The list may only shrink: an
//! exception without its finding is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::Finding;
use super::source::numbered;
use crate::cache;

/// One a line: `<check> <file>: <reason>`, for a circle `circles <file> -> <file>: <reason>`.
const FILE: &str = "xtask/tidy-exceptions.txt";

/// The findings that are excepted, each with the number of its line.
#[derive(Debug)]
pub(super) struct Exceptions(BTreeMap<String, usize>);

impl Exceptions {
    pub(super) fn read() -> Result<Self> {
        let text = fs::read_to_string(cache::workspace().join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(&text).context(FILE)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for (number, line) in numbered(text).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (key, reason) = line.split_once(": ").unwrap_or((line, ""));
            ensure!(!reason.trim().is_empty(), "line {number}: {key} has no reason");
            let double = all.insert(key.to_owned(), number);
            ensure!(double.is_none(), "line {number}: {key} is there twice");
        }
        Ok(Self(all))
    }

    /// Whether the finding with this key is excepted.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Takes the excepted ones out of the findings, and adds each exception that has no finding.
    pub(super) fn apply(&self, findings: Vec<Finding>) -> Vec<String> {
        let keys: BTreeSet<String> = findings.iter().map(|finding| finding.key.clone()).collect();
        let mut left: Vec<String> = findings
            .into_iter()
            .filter(|finding| !self.has(&finding.key))
            .map(|finding| finding.message)
            .collect();
        for (key, number) in self.0.iter().filter(|(key, _)| !keys.contains(*key)) {
            left.push(format!("{FILE}:{number}: {key} is fixed: remove the exception"));
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::Exceptions;
    use crate::tidy::Finding;

    fn finding(key: &str) -> Finding {
        Finding {
            key: key.to_owned(),
            message: format!("found: {key}"),
        }
    }

    #[test]
    fn an_exception_excepts_its_own_finding_only() {
        let exceptions = Exceptions::parse("# why\nlength a/b.rs: split later\n").unwrap();
        let left = exceptions.apply(vec![finding("length a/b.rs"), finding("length a/c.rs")]);
        assert_eq!(left, ["found: length a/c.rs"]);
    }

    #[test]
    fn an_exception_without_its_finding_is_refused() {
        let exceptions = Exceptions::parse("length a/b.rs: split later\n").unwrap();
        let left = exceptions.apply(vec![]);
        assert!(left[0].contains("length a/b.rs is fixed"), "{left:?}");
    }

    #[test]
    fn an_exception_needs_a_reason_and_stands_there_once() {
        for text in ["length a/b.rs\n", "length a/b.rs: \n", "length a: x\nlength a: y\n"] {
            assert!(Exceptions::parse(text).is_err(), "{text:?}");
        }
    }
}
