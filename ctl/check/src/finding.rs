//! One finding: what was looked at, what was found, and what to do about it.

use serde::{Serialize, Serializer};

use crate::code::Code;
use crate::secrets::without_secrets;
use crate::text::one_line;

/// How bad it is; the worst is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing is broken by it, or it could not be looked at.
    Warning,
    /// Nodes are not rebooted because of it, or not safely.
    Problem,
}

/// What a finding is about. Topics may be added; none is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// The API server, and what could not be read from it.
    Kubernetes,
    /// Deployments and DaemonSets of the four services.
    Workloads,
    /// Their pods.
    Pods,
    /// The settings that they are given.
    Settings,
    /// Rights in Kubernetes.
    Rights,
    /// The leading scheduler.
    Leader,
    /// The keys that sign records.
    Keys,
    /// NATS.
    Nats,
    /// Versions of our own parts.
    Versions,
    /// Sentinel and rebooter of each node.
    Agents,
    /// Clocks of hosts.
    Clocks,
    /// Other tools that reboot or cordon nodes.
    Neighbours,
    /// Cordons of ours without an attempt.
    Leftovers,
    /// The removal of Bellwether.
    Removal,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which finding.
    pub code: Code,
    /// What it is about.
    pub topic: Topic,
    /// The object that was looked at.
    pub subject: String,
    /// What was found, on one line and without passwords.
    pub found: String,
    /// What to do, where there is something to do: a command if one does it.
    pub remedy: Option<String>,
}

/// The form for programs: names may be added, never renamed.
#[derive(Serialize)]
struct Json<'a> {
    severity: Severity,
    code: Code,
    topic: Topic,
    subject: &'a str,
    found: &'a str,
    remedy: Option<&'a str>,
    runbook: String,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = Json {
            severity: self.severity,
            code: self.code,
            topic: self.topic,
            subject: &self.subject,
            found: &self.found,
            remedy: self.remedy.as_deref(),
            runbook: self.code.runbook(),
        };
        form.serialize(serializer)
    }
}

impl Topic {
    pub(crate) fn ok(self, subject: impl Into<String>, found: impl AsRef<str>) -> Finding {
        self.finding(Severity::Ok, Code::InOrder, subject, found, None)
    }

    pub(crate) fn warning(
        self,
        code: Code,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Warning, code, subject, found, Some(remedy.into()))
    }

    pub(crate) fn problem(
        self,
        code: Code,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Severity::Problem, code, subject, found, Some(remedy.into()))
    }

    pub(crate) fn finding(
        self,
        severity: Severity,
        code: Code,
        subject: impl Into<String>,
        found: impl AsRef<str>,
        remedy: Option<String>,
    ) -> Finding {
        Finding {
            severity,
            code,
            topic: self,
            subject: subject.into(),
            // Other programs wrote much of it: over several lines, and with addresses as they were given.
            found: one_line(&without_secrets(found.as_ref())),
            remedy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_in_no_finding() {
        let finding = Topic::Pods.ok("pods", "not ready: nats: not connected to nats://anna:pw@nats:4222\n");
        assert_eq!(finding.found, "not ready: nats: not connected to nats://nats:4222");
    }
}
