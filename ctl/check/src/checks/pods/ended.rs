//! How a container ended.

use k8s_openapi::api::core::v1::ContainerStateTerminated;

use crate::foreign;

/// The reason why a container ended: its last words, as far as they are kept with the pod
/// (`terminationMessagePolicy: FallbackToLogsOnError`), else its exit code.
pub(super) fn last_words(ended: &ContainerStateTerminated) -> String {
    let (reason, code) = (ended.reason.as_deref().unwrap_or_default(), ended.exit_code);
    let words = foreign::last_words(ended.message.as_deref().unwrap_or_default());
    match (words, reason) {
        (Some(words), "" | "Error" | "Completed") => words,
        // A process that is killed from outside does not know of it.
        (Some(words), reason) => format!("{reason}, exit code {code}: {words}"),
        (None, "") => format!("exit code {code}"),
        (None, reason) => format!("{reason}, exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(reason: &str, exit_code: i32, message: &str) -> String {
        last_words(&ContainerStateTerminated {
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            exit_code,
            ..ContainerStateTerminated::default()
        })
    }

    #[test]
    fn without_last_words_the_code_counts() {
        assert_eq!(ended("Error", 1, ""), "Error, exit code 1");
        assert_eq!(ended("", 3, ""), "exit code 3");
        assert_eq!(ended("Error", 1, "no port"), "no port");
    }

    #[test]
    fn a_killed_container_has_more_than_last_words() {
        let log = "{\"message\":\"Drain goes on\"}";
        assert_eq!(ended("OOMKilled", 137, log), "OOMKilled, exit code 137: Drain goes on");
    }
}
