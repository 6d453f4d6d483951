//! The version of Kubernetes.

use crate::check::Check;
use crate::code::Code;
use crate::failure::Failure;
use crate::finding::{Finding, Topic};
use crate::version::Version;

pub(crate) const CHECK: Check = Check {
    name: "kubernetes",
    needs_kubernetes: false,
    find: |facts| findings(&facts.kubernetes_version),
};

/// The oldest version of Kubernetes that Bellwether is tested against.
const TESTED_MIN: (u64, u64) = (1, 33);

const SUBJECT: &str = "Kubernetes";

pub(crate) fn findings(version: &Result<String, Failure>) -> Vec<Finding> {
    let reported = match version {
        Ok(reported) => reported,
        Err(failure) => {
            let found = format!("not reached: {}", failure.message);
            let remedy = "kubectl version    # another cluster: --context, --kubeconfig";
            return vec![Topic::Kubernetes.problem(Code::KubernetesUnreachable, SUBJECT, found, remedy)];
        }
    };
    let (major, minor) = TESTED_MIN;
    vec![match Version::read(reported) {
        Some(version) if (version.major, version.minor) < TESTED_MIN => Topic::Kubernetes.problem(
            Code::KubernetesTooOld,
            SUBJECT,
            format!("{reported} is too old: Bellwether is tested against {major}.{minor} and newer"),
            format!("upgrade the control plane to {major}.{minor} or newer; until then: kubectl reboots pause --reason \"old Kubernetes\""),
        ),
        Some(_) => Topic::Kubernetes.ok(SUBJECT, reported),
        None => Topic::Kubernetes.warning(
            Code::KubernetesVersionUnknown,
            SUBJECT,
            format!("its version `{reported}` is not understood"),
            "kubectl version",
        ),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn of(version: &str) -> Finding {
        findings(&Ok(version.to_owned())).remove(0)
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
        let failure = Failure::unread("The connection to the server 10.0.0.1:6443 was refused");
        let finding = findings(&Err(failure)).remove(0);
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.found.contains("10.0.0.1:6443 was refused"), "{finding:?}");
    }
}
