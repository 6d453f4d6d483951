//! What helps against the trouble of a pod.

use bellwether_proto::readiness::{NotReady, ReadinessCode};
use serde_json::Value;

use crate::facts::Facts;
use crate::object::{COMPONENT, containers, items, kind, label, name, namespace, text};
use crate::checks::settings::{NATS_CA, NATS_CREDENTIALS, NATS_PASSWORD, NATS_URL, environment};
use crate::checks::workloads::PARTS;

/// The Secret that `deploy/components/nats-existing` and `nats-password` mount.
const SECRET: &str = "bellwether-nats";

/// What helps, in general; in particular it depends on the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    Logs,
    PreviousLogs,
    Describe,
    /// Make a Secret or ConfigMap of this name.
    Make(&'static str, String),
    /// NATS does not know who it is.
    Credentials,
    Say(&'static str),
}

impl Cure {
    pub(super) fn of_mount(message: &str) -> Self {
        if message.contains("hostPath type check failed") {
            return Self::Say(
                "make it on the host (for /run/dbus: install and start dbus), or patch the volume in your overlay",
            );
        }
        Self::of_missing(message).unwrap_or(Self::Describe)
    }

    /// For a message that misses a Secret or ConfigMap, such as `secret "nats" not found`.
    pub(super) fn of_missing(message: &str) -> Option<Self> {
        if !message.contains("not found") {
            return None;
        }
        ["secret", "configmap"].into_iter().find_map(|kind| {
            let (_, rest) = message.split_once(&format!("{kind} \""))?;
            let (name, _) = rest.split_once('"')?;
            Some(Self::Make(kind, name.to_owned()))
        })
    }

    /// The remedy for the parts that a service reports as not ready, by their codes; the most certain first.
    pub(super) fn of_readiness(parts: &[NotReady]) -> Self {
        let has = |code| parts.iter().any(|part| part.code == Some(code));
        if has(ReadinessCode::NatsAuthRefused) {
            Self::Credentials
        } else if has(ReadinessCode::NatsTlsFailed) {
            Self::Say(
                "if NATS runs: put the authority of NATS's certificate into the Secret as ca.crt, \
                 and BELLWETHER_NATS_CA into the settings, as deploy/components/nats-existing says",
            )
        } else if has(ReadinessCode::JetStreamUnavailable) {
            Self::Say(
                "enable JetStream on the server and for this account; its user needs the rights of proto/README.md",
            )
        } else {
            Self::Logs
        }
    }

    /// The words or the command for this pod.
    pub(super) fn remedy(&self, pod: &Value, facts: &Facts) -> String {
        let (namespace, who) = (namespace(pod), name(pod));
        match self {
            Self::Logs => format!("kubectl -n {namespace} logs {who} --tail=20"),
            Self::PreviousLogs => format!("kubectl -n {namespace} logs {who} --previous --tail=20"),
            Self::Describe => format!("kubectl -n {namespace} describe pod {who}"),
            Self::Make("secret", name) => {
                let files = match files(name, pod, facts).as_slice() {
                    [] => "--from-file=KEY=YOUR-FILE    # for each file that the pod mounts".to_owned(),
                    files => files.join(" "),
                };
                format!("kubectl -n {namespace} create secret generic {name} {files}")
            }
            Self::Make(_, name) => format!("kubectl apply -k OVERLAY    # it generates the ConfigMap {name}"),
            Self::Credentials if has_none(pod, facts) => {
                "NATS asks for credentials: add deploy/components/nats-existing, or nats-password, to your overlay"
                    .to_owned()
            }
            Self::Credentials => {
                let restart = restart(pod, facts);
                format!("renew the credentials in the Secret `{SECRET}`, then {restart}")
            }
            Self::Say(remedy) => (*remedy).to_owned(),
        }
    }
}

/// The files of a Secret that the settings name, as arguments: those below where the pod mounts it.
fn files(secret: &str, pod: &Value, facts: &Facts) -> Vec<String> {
    let volumes = items(pod, "/spec/volumes").iter();
    let volumes: Vec<&str> = volumes
        .filter(|it| text(it, "/secret/secretName") == secret)
        .map(|it| text(it, "/name"))
        .collect();
    let mounts = || {
        let all = containers(pod).iter().flat_map(|it| items(it, "/volumeMounts"));
        all.filter(|it| volumes.contains(&text(it, "/name")))
            .map(|it| text(it, "/mountPath").trim_end_matches('/'))
    };
    let told = environment(pod, facts.beside(pod));
    let paths = [NATS_CREDENTIALS, NATS_PASSWORD, NATS_CA]
        .into_iter()
        .filter_map(|key| told.get(key).copied().flatten());
    let keys = paths.filter_map(|path| mounts().find_map(|mount| path.strip_prefix(mount)?.strip_prefix('/')));
    keys.map(|key| format!("--from-file={key}=YOUR-FILE")).collect()
}

/// Whether the settings are known, and name no file of credentials or of a password.
fn has_none(pod: &Value, facts: &Facts) -> bool {
    let told = environment(pod, facts.beside(pod));
    let known = told.get(NATS_URL).copied().flatten().is_some();
    known
        && ![NATS_CREDENTIALS, NATS_PASSWORD]
            .iter()
            .any(|key| told.contains_key(key))
}

/// A service reads its credentials once, when it starts.
fn restart(pod: &Value, facts: &Facts) -> String {
    let (namespace, component) = (namespace(pod), label(pod, COMPONENT));
    let part = PARTS.iter().find(|part| part.component == component);
    match part.and_then(|part| facts.workload(part)) {
        Some(workload) => {
            let kind = kind(workload).to_lowercase();
            format!("kubectl -n {namespace} rollout restart {kind}/{}", name(workload))
        }
        None => format!("kubectl -n {namespace} delete pod {}", name(pod)),
    }
}

#[cfg(test)]
#[path = "cure_tests.rs"]
mod tests;
