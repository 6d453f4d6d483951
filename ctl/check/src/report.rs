//! Findings as a table for operators and as JSON for programs.

use std::cmp::Reverse;

use serde::Serialize;

use crate::finding::{Finding, Severity, Topic};
use crate::group::count;

/// Where the subject ends at the latest, so that one long name does not push all lines apart.
const SUBJECT_MAX: usize = 34;
/// Where subjects begin.
const INDENT: usize = 9;

/// As many findings of one topic as an operator reads: what is wrong in more places than that is mostly
/// wrong in all of them for one reason.
const TOPIC_MAX: usize = 12;

/// All findings of one examination.
#[derive(Debug, Clone)]
pub struct Report {
    findings: Vec<Finding>,
}

/// The form for programs: names may be added, never renamed.
#[derive(Serialize)]
struct Json<'a> {
    ok: usize,
    warnings: usize,
    problems: usize,
    findings: &'a [Finding],
}

impl Report {
    /// A report of these findings.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// True if nothing is broken or in the way.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.of(Severity::Problem) == 0
    }

    /// The findings, those of one topic in a row.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// A line for each finding, one more with what to do, and a line that sums up.
    #[must_use]
    pub fn table(&self) -> String {
        let topics = self.findings.chunk_by(|one, next| one.topic == next.topic);
        let findings: Vec<Finding> = topics.flat_map(shortened).collect();
        let widths = findings.iter().map(|it| it.subject.chars().count());
        let width = widths.filter(|width| *width <= SUBJECT_MAX).max().unwrap_or_default();
        let mut text = String::new();
        for finding in &findings {
            let Finding { subject, found, .. } = finding;
            let severity = match finding.severity {
                Severity::Ok => "ok",
                Severity::Warning => "warning",
                Severity::Problem => "problem",
            };
            text.push_str(&format!("{severity:<INDENT$}{subject:<width$}   {found}\n"));
            if let Some(remedy) = &finding.remedy {
                text.push_str(&format!("{:INDENT$}-> {remedy}\n", ""));
            }
        }
        text.push_str(&format!(
            "{} ok, {}, {}.\n",
            self.of(Severity::Ok),
            count(self.of(Severity::Warning), "warning"),
            count(self.of(Severity::Problem), "problem"),
        ));
        text
    }

    /// The same for programs, with all findings.
    ///
    /// # Errors
    ///
    /// Never for the present fields; the serialiser's type has an error.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(&Json {
            ok: self.of(Severity::Ok),
            warnings: self.of(Severity::Warning),
            problems: self.of(Severity::Problem),
            findings: &self.findings,
        })?;
        text.push('\n');
        Ok(text)
    }

    fn of(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|it| it.severity == severity).count()
    }
}

/// The findings of one topic as they are; of too many the worst, and how many more there are.
fn shortened(of_topic: &[Finding]) -> Vec<Finding> {
    let mut shown = of_topic.to_vec();
    // Each trace has a command of its own, and all of them have to go.
    if shown.len() <= TOPIC_MAX || shown.iter().any(|it| it.topic == Topic::Removal) {
        return shown;
    }
    shown.sort_by_key(|it| Reverse(it.severity));
    let rest = shown.split_off(TOPIC_MAX);
    shown.extend(rest.first().map(|worst| {
        let subject = format!("and {} more like it", rest.len());
        worst
            .topic
            .finding(worst.severity, worst.code, subject, "--output=json names all", None)
    }));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;

    fn report() -> Report {
        Report::new(vec![
            Topic::Kubernetes.ok("Kubernetes", "v1.36.3"),
            Topic::Pods.problem(
                Code::PodMissesObject,
                "pod rebooter-x7k2p",
                "secret\n\"nats\" not found",
                "kubectl create secret",
            ),
        ])
    }

    #[test]
    fn operators_get_a_line_for_each_and_the_remedy_below_it() {
        let expected = "\
ok       Kubernetes           v1.36.3
problem  pod rebooter-x7k2p   secret \"nats\" not found
         -> kubectl create secret
1 ok, 0 warnings, 1 problem.
";
        assert_eq!(report().table(), expected);
        assert!(!report().is_good());
    }

    #[test]
    fn of_a_topic_with_too_many_findings_the_worst_are_shown() {
        let mut findings: Vec<Finding> = (0..5000)
            .map(|n| Topic::Agents.warning(Code::AgentSilent, format!("w{n}"), "x", "y"))
            .collect();
        findings.push(Topic::Agents.problem(Code::AgentSilent, "the worst", "x", "y"));
        findings.push(Topic::Neighbours.ok("neighbours", "none"));
        let report = Report::new(findings);
        let table = report.table();
        for part in [
            "problem  the worst",
            "warning  and 4989 more like it",
            "ok       neighbours",
            "1 ok, 5000 warnings, 1 problem.",
        ] {
            assert!(table.contains(part), "`{part}`: {table}");
        }
        assert_eq!(table.matches("warning  w").count(), TOPIC_MAX - 1);
        assert!(report.json().unwrap().contains("w4999"), "programs get all");
    }

    #[test]
    fn every_trace_is_shown() {
        let traces: Vec<Finding> = (0..99)
            .map(|n| Topic::Removal.problem(Code::ObjectLeft, format!("t{n}"), "x", "y"))
            .collect();
        assert!(Report::new(traces).table().contains("t98"));
    }

    #[test]
    fn programs_get_names_that_stay() {
        let value: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        let expected = serde_json::json!({
            "ok": 1, "warnings": 0, "problems": 1,
            "findings": [
                { "severity": "ok", "topic": "kubernetes", "subject": "Kubernetes", "found": "v1.36.3", "remedy": null,
                  "code": "InOrder", "runbook": "docs/findings.md#inorder" },
                { "severity": "problem", "topic": "pods", "subject": "pod rebooter-x7k2p",
                  "found": "secret \"nats\" not found", "remedy": "kubectl create secret",
                  "code": "PodMissesObject", "runbook": "docs/findings.md#podmissesobject" },
            ],
        });
        assert_eq!(value, expected);
    }
}
