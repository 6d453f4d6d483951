//! What helps against the trouble of a pod.

use bellwether_proto::readiness::{NotReady, ReadinessCode};
use bellwether_proto::setting::{NATS_CA, NATS_CREDENTIALS, NATS_PASSWORD, NATS_TOKEN, NATS_URL};
use k8s_openapi::api::core::v1::Pod;

use crate::code::Code;
use crate::environment;
use crate::facts::Facts;
use crate::foreign::{self, MissingKind, MissingObject};
use crate::object::{name, namespace};

/// The Secret that `deploy/components/nats-existing` and `nats-password` mount.
const SECRET: &str = "bellwether-nats";

/// Services read such files at each try to connect; kubelets bring a changed object into a pod within about a minute.
const BY_ITSELF: &str = "; the pod then connects by itself within two minutes";

/// What helps, in general; in particular it depends on the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    /// Read its log.
    Logs,
    /// Read the log of the container before.
    PreviousLogs,
    /// Describe the pod.
    Describe,
    /// Make the object that it misses.
    Make(MissingObject),
    /// See why no gatekeeper has published the authority.
    AwaitAuthority,
    /// Make the file or directory that it misses on the host.
    MakeOnHost,
    /// Name an image that can be pulled.
    NameImage,
    /// Give it credentials that NATS accepts.
    Credentials,
    /// Let it trust the certificate of NATS.
    TrustNats,
    /// Give it a file of credentials that it can use.
    CredentialsFile,
    /// Give it a file with an authority that it can use.
    AuthorityFile,
    /// Enable JetStream.
    EnableJetStream,
    /// See why NATS stores nothing.
    LookAtStore,
}

impl Cure {
    /// For a warning of the kubelet about a pod that has not started.
    pub(super) fn of_mount(message: &str) -> (Code, Self) {
        if foreign::misses_host_path(message) {
            return (Code::PodMissesHostPath, Self::MakeOnHost);
        }
        if foreign::misses_authority(message) {
            return (Code::AuthorityNotPublished, Self::AwaitAuthority);
        }
        match Self::of_missing(message) {
            Some(cure) => (Code::PodMissesObject, cure),
            None => (Code::PodNotStarted, Self::Describe),
        }
    }

    /// For a message of the kubelet that misses a Secret or ConfigMap.
    pub(super) fn of_missing(message: &str) -> Option<Self> {
        foreign::missing_object(message).map(Self::Make)
    }

    /// For the parts that a service reports as not ready, by their codes; the most certain first.
    pub(super) fn of_readiness(parts: &[NotReady]) -> (Code, Self) {
        let has = |code| parts.iter().any(|part| part.code == Some(code));
        if has(ReadinessCode::NatsCredentialsUnusable) {
            (Code::NatsCredentialsUnusable, Self::CredentialsFile)
        } else if has(ReadinessCode::NatsAuthorityUnusable) {
            (Code::NatsAuthorityUnusable, Self::AuthorityFile)
        } else if has(ReadinessCode::NatsAuthRefused) {
            (Code::NatsAuthRefused, Self::Credentials)
        } else if has(ReadinessCode::NatsTlsFailed) {
            (Code::NatsTlsFailed, Self::TrustNats)
        } else if has(ReadinessCode::JetStreamUnavailable) {
            (Code::JetStreamUnavailable, Self::EnableJetStream)
        } else if has(ReadinessCode::WritesNotStored) {
            (Code::WritesNotStored, Self::LookAtStore)
        } else if has(ReadinessCode::NatsUnreachable) || has(ReadinessCode::NatsConnectionLost) {
            (Code::NatsUnreachable, Self::Logs)
        } else {
            (Code::PodNotReady, Self::Logs)
        }
    }

    /// The words or the command for this pod.
    pub(super) fn remedy(&self, pod: &Pod, facts: &Facts) -> String {
        let (namespace, name) = (namespace(&pod.metadata), name(&pod.metadata));
        match self {
            Self::Logs => format!("kubectl -n {namespace} logs {name} --tail=20"),
            Self::PreviousLogs => format!("kubectl -n {namespace} logs {name} --previous --tail=20"),
            Self::Describe => format!("kubectl -n {namespace} describe pod {name}"),
            Self::Make(missing) => make(missing, namespace, pod, facts),
            Self::AwaitAuthority => {
                let control = &facts.namespaces.control;
                format!(
                    "see whether NATS and its gatekeeper run: kubectl -n {control} logs -c gatekeeper -l \
                     app.kubernetes.io/name=nats --tail=20"
                )
            }
            Self::MakeOnHost => {
                "make it on the host (for /run/dbus: install and start dbus), or patch the volume in your overlay"
                    .to_owned()
            }
            Self::NameImage => {
                "name an image that this cluster can pull under `images:` of your overlay, and apply it".to_owned()
            }
            Self::Credentials if has_none(pod, facts) => {
                "NATS asks for credentials: add deploy/components/nats-existing, or nats-password, to your overlay"
                    .to_owned()
            }
            Self::Credentials if setting(NATS_TOKEN, pod, facts).is_some() => {
                "see the log of NATS, and of what checks tokens for it: it has to know the ServiceAccount of this pod, \
                 and the audience of its token"
                    .to_owned()
            }
            Self::Credentials => format!("renew the credentials in the Secret `{SECRET}`{BY_ITSELF}"),
            Self::CredentialsFile => match setting(NATS_TOKEN, pod, facts) {
                Some(path) => format!(
                    "see that the pod mounts a projected ServiceAccount token as {path}{BY_ITSELF}: \
                     kubectl -n {namespace} describe pod {name}"
                ),
                None => format!(
                    "put the right file into the Secret `{SECRET}` of the namespace {namespace}, under the key that the \
                     path ends with{BY_ITSELF}"
                ),
            },
            Self::AuthorityFile => {
                let path = setting(NATS_CA, pod, facts).unwrap_or("the file that BELLWETHER_NATS_CA names");
                format!(
                    "put the authority of NATS's certificate (PEM) into the Secret or ConfigMap that the pod mounts for \
                     {path}{BY_ITSELF}: kubectl -n {namespace} describe pod {name}"
                )
            }
            Self::TrustNats => "if NATS runs: put the authority of NATS's certificate into the Secret as ca.crt, \
                 and BELLWETHER_NATS_CA into the settings, as deploy/components/nats-existing says"
                .to_owned(),
            Self::LookAtStore => {
                "see the volume, the limits and the log of NATS: nats server report jetstream, nats stream report; \
                 after a full disk restart NATS, which stores nothing before"
                    .to_owned()
            }
            Self::EnableJetStream => {
                "enable JetStream on the server and for this account; its user needs the rights of proto/README.md"
                    .to_owned()
            }
        }
    }
}

fn make(missing: &MissingObject, namespace: &str, pod: &Pod, facts: &Facts) -> String {
    let name = &missing.name;
    match missing.kind {
        MissingKind::ConfigMap => format!("kubectl apply -k OVERLAY    # it generates the ConfigMap {name}"),
        MissingKind::Secret => {
            let files = match files(name, pod, facts).as_slice() {
                [] => "--from-file=KEY=YOUR-FILE    # for each file that the pod mounts".to_owned(),
                files => files.join(" "),
            };
            format!("kubectl -n {namespace} create secret generic {name} {files}")
        }
    }
}

/// The files of a Secret that the settings name, as arguments: those below where the pod mounts it.
fn files(secret: &str, pod: &Pod, facts: &Facts) -> Vec<String> {
    let Some(spec) = &pod.spec else { return vec![] };
    let of_secret = spec.volumes.iter().flatten().filter(|volume| {
        let source = volume.secret.as_ref();
        source.and_then(|source| source.secret_name.as_deref()) == Some(secret)
    });
    let volumes: Vec<&str> = of_secret.map(|volume| volume.name.as_str()).collect();
    let mounts = || {
        let all = spec.containers.iter().flat_map(|it| it.volume_mounts.iter().flatten());
        all.filter(|mount| volumes.contains(&mount.name.as_str()))
            .map(|mount| mount.mount_path.trim_end_matches('/'))
    };
    let environment = environment::of_pod(pod, facts);
    let paths = [NATS_CREDENTIALS, NATS_PASSWORD, NATS_CA]
        .into_iter()
        .filter_map(|key| environment.get(key).copied().flatten());
    let keys = paths.filter_map(|path| mounts().find_map(|mount| path.strip_prefix(mount)?.strip_prefix('/')));
    keys.map(|key| format!("--from-file={key}=YOUR-FILE")).collect()
}

/// The value of this setting, if it is known.
fn setting<'a>(key: &str, pod: &'a Pod, facts: &'a Facts) -> Option<&'a str> {
    environment::of_pod(pod, facts).get(key).copied().flatten()
}

/// Whether the settings are known, and name no file of credentials, a password or a token.
fn has_none(pod: &Pod, facts: &Facts) -> bool {
    let environment = environment::of_pod(pod, facts);
    let known = environment.get(NATS_URL).copied().flatten().is_some();
    known
        && ![NATS_CREDENTIALS, NATS_PASSWORD, NATS_TOKEN]
            .iter()
            .any(|key| environment.contains_key(key))
}

#[cfg(test)]
#[path = "cure_tests.rs"]
mod tests;
