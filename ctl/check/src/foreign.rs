//! Texts of the kubelet, the API server and containers: programs of others, which give no code for what
//! they report. This is the only file that reads such texts; remedies follow from the types it returns.

use serde_json::Value;

/// A Secret or ConfigMap that the kubelet misses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingObject {
    pub(crate) kind: MissingKind,
    pub(crate) name: String,
}

/// Kinds of objects that a pod can miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingKind {
    Secret,
    ConfigMap,
}

/// The object that a message of the kubelet misses, such as `secret "nats" not found`.
pub(crate) fn missing_object(message: &str) -> Option<MissingObject> {
    if !message.contains("not found") {
        return None;
    }
    let kinds = [("secret", MissingKind::Secret), ("configmap", MissingKind::ConfigMap)];
    kinds.into_iter().find_map(|(word, kind)| {
        let (_, rest) = message.split_once(&format!("{word} \""))?;
        let (name, _) = rest.split_once('"')?;
        let name = name.to_owned();
        Some(MissingObject { kind, name })
    })
}

/// Whether a message of the kubelet misses the authority in a ConfigMap that is there.
pub(crate) fn misses_authority(message: &str) -> bool {
    message.contains("references non-existent config key: ca.crt")
}

/// Whether a message of the kubelet misses a file or directory of the host.
pub(crate) fn misses_host_path(message: &str) -> bool {
    message.contains("hostPath type check failed")
}

/// Whether Pod Security refused a pod, by the words of the API server.
pub(crate) fn is_pod_security(refusal: &str) -> bool {
    refusal.contains("PodSecurity")
}

/// The last of a container's lines that says why it ended: our own log, a refusal of arguments, a panic;
/// else the last one. Lines after them are advice (`try '--help'`, `RUST_BACKTRACE=1`).
pub(crate) fn last_words(message: &str) -> Option<String> {
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    let why = (0..lines.len()).rev().find_map(|at| {
        let (line, after) = lines.get(at..)?.split_first()?;
        logged(line)
            .or_else(|| refused(line, after))
            .or_else(|| panicked(line, after))
    });
    let last = || lines.iter().rfind(|line| !line.is_empty());
    why.or_else(|| last().map(|line| (*line).to_owned()))
}

/// The message and error of a line of our JSON log.
fn logged(line: &str) -> Option<String> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    match (text("message"), text("error")) {
        ("", "") => None,
        (message, "") => Some(message.to_owned()),
        ("", error) => Some(error.to_owned()),
        (message, error) => Some(format!("{message}: {error}")),
    }
}

/// Arguments that were refused: all up to an empty line, since missing arguments are on lines of their own.
fn refused(line: &str, after: &[&str]) -> Option<String> {
    let rest = after.iter().take_while(|line| !line.is_empty()).copied();
    line.starts_with("error:").then(|| joined(line, rest))
}

/// A panic: where, and with which words, which may be several lines.
fn panicked(line: &str, after: &[&str]) -> Option<String> {
    let (_, place) = line.split_once("panicked at ")?;
    let is_advice = |line: &str| line.starts_with("note: ") || line.starts_with("stack backtrace:");
    let words = after.iter().copied().take_while(|line| !is_advice(line));
    Some(joined(&format!("panicked at {place}"), words))
}

fn joined<'a>(first: &'a str, rest: impl Iterator<Item = &'a str>) -> String {
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(message: &str) -> String {
        last_words(message).unwrap_or_default()
    }

    #[test]
    fn a_missing_object_is_known_by_its_kind_and_name() {
        let missing = missing_object("MountVolume.SetUp failed for volume \"nats\" : secret \"nats-ca\" not found");
        let (kind, name) = (MissingKind::Secret, "nats-ca".to_owned());
        assert_eq!(missing, Some(MissingObject { kind, name }));
        let missing = missing_object("configmap \"bellwether-settings-5t2m\" not found");
        let (kind, name) = (MissingKind::ConfigMap, "bellwether-settings-5t2m".to_owned());
        assert_eq!(missing, Some(MissingObject { kind, name }));
        for other in ["secret \"nats\" is forbidden", "volume not found", ""] {
            assert_eq!(missing_object(other), None, "{other}");
        }
    }

    #[test]
    fn a_refused_argument_is_reported_and_not_the_advice_after_it() {
        let unknown = "error: unexpected argument '--slot' found\n\n  tip: a similar argument exists: '--slots'\n\n\
                       Usage: bellwether-scheduler [OPTIONS]\n\nFor more information, try '--help'.\n";
        assert_eq!(words(unknown), "error: unexpected argument '--slot' found");
        let missing = "error: the following required arguments were not provided:\n  --node-name <NODE_NAME>\n\n\
                       Usage: bellwether-rebooter\n\nFor more information, try '--help'.\n";
        assert_eq!(
            words(missing),
            "error: the following required arguments were not provided: --node-name <NODE_NAME>"
        );
    }

    #[test]
    fn a_panic_is_reported_with_its_words_and_not_the_advice_after_it() {
        let panic = "{\"level\":\"INFO\",\"message\":\"Service started\"}\n\n\
                     thread 'main' (7) panicked at src/run.rs:5:10:\nassertion failed\n  left: 1\n right: 2\n\
                     note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        assert_eq!(
            words(panic),
            "panicked at src/run.rs:5:10: assertion failed left: 1 right: 2"
        );
    }

    #[test]
    fn of_our_own_log_the_last_line_counts_whatever_follows() {
        let log = "{\"level\":\"INFO\",\"message\":\"Service started\"}\n\
                   {\"level\":\"ERROR\",\"message\":\"Service stopped\",\"error\":\"no port\"}\nterminated\n";
        assert_eq!(words(log), "Service stopped: no port");
    }

    #[test]
    fn of_other_texts_it_is_the_last_line() {
        assert_eq!(words("first\nlast\n\n"), "last");
        assert_eq!(words("{\"other\":1}"), "{\"other\":1}");
        assert_eq!(last_words(""), None);
    }
}
