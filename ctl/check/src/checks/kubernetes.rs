//! The cluster's version.

use crate::finding::{Finding, Topic};
use crate::object::text;
use crate::checks::versions::Version;
use crate::facts::Answer;

/// The oldest version of Kubernetes that Bellwether is tested against.
const TESTED_MIN: (u64, u64) = (1, 33);

const SUBJECT: &str = "Kubernetes";

pub(crate) fn findings(version: &Answer) -> Vec<Finding> {
    if let Some(trouble) = &version.trouble {
        let remedy = "kubectl version    # another cluster: --context, --kubeconfig";
        return vec![Topic::Kubernetes.problem(SUBJECT, format!("not reached: {trouble}"), remedy)];
    }
    let told = version
        .objects
        .first()
        .map_or("", |it| text(it, "/serverVersion/gitVersion"));
    let (major, minor) = TESTED_MIN;
    vec![match Version::read(told) {
        Some(version) if (version.major, version.minor) < TESTED_MIN => Topic::Kubernetes.problem(
            SUBJECT,
            format!("{told} is too old: Bellwether is tested against {major}.{minor} and newer"),
            format!("upgrade the control plane to {major}.{minor} or newer; until then: kubectl reboots pause --reason \"old Kubernetes\""),
        ),
        Some(_) => Topic::Kubernetes.ok(SUBJECT, told),
        None => Topic::Kubernetes.warning(SUBJECT, format!("its version `{told}` is not understood"), "kubectl version"),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::finding::Severity;
    use super::*;

    fn of(version: &str) -> Finding {
        let answer = Answer {
            objects: vec![json!({
                "clientVersion": { "gitVersion": "v1.36.3" },
                "serverVersion": { "major": "1", "minor": "30+", "gitVersion": version },
            })],
            trouble: None,
        };
        findings(&answer).remove(0)
    }

    #[test]
    fn old_kubernetes_is_a_problem_that_names_both_versions() {
        let finding = of("v1.32.9-gke.1728000");
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.found.contains("v1.32.9-gke.1728000 is too old"), "{finding:?}");
        assert!(finding.found.contains("1.33 and newer"), "{finding:?}");
        for good in ["v1.33.0", "v1.36.3", "v2.0.0"] {
            assert_eq!(of(good).severity, Severity::Ok, "{good}");
        }
    }

    #[test]
    fn a_cluster_that_does_not_answer_is_a_problem_in_kubectls_words() {
        let answer = Answer {
            objects: vec![json!({ "clientVersion": {} })],
            trouble: Some("The connection to the server 10.0.0.1:6443 was refused".to_owned()),
        };
        let finding = findings(&answer).remove(0);
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.found.contains("10.0.0.1:6443 was refused"), "{finding:?}");
    }
}
