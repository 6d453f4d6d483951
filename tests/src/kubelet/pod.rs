//! The pods' side: started, ready, restarted by a reboot, ended.
//!
//! Annotations on a pod slow things down or break them, so that tests can have the troubles that
//! real pods make.

use std::time::{Duration, Instant};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::node::seconds_time;

/// How a pod ends: a time such as `5s` (never beyond its grace period), or `stuck` for never.
pub const TERMINATION: &str = "rig.bellwether.dev/termination";
/// How long a pod runs before it is ready, such as `3s`; again after each reboot of its host.
pub const READY_AFTER: &str = "rig.bellwether.dev/ready-after";
/// Ends the pod's containers at once, with this phase: `Succeeded` or `Failed`.
pub const FINISHES: &str = "rig.bellwether.dev/finishes";

/// Most real programs heed SIGTERM well within a second.
const TERMINATION_DEFAULT: Duration = Duration::from_millis(150);

/// The stand-in's knowledge of a pod beside its object.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The boot that its containers run in.
    boot_id: String,
    started: Option<Instant>,
    restarts: u32,
    terminating_since: Option<Instant>,
    /// Its containers have ended.
    dead: bool,
}

/// The next act of a kubelet for the pod.
#[derive(Debug)]
pub(super) enum Action {
    Report { phase: String, ready: bool, restarts: u32 },
    End,
}

impl Memory {
    /// The next act for the pod, if there is one, on a host in this boot.
    pub(super) fn next(&mut self, pod: &Pod, boot_id: &str) -> Option<Action> {
        let rebooted = !self.boot_id.is_empty() && self.boot_id != boot_id;
        let started = match self.started {
            Some(started) if !rebooted => started,
            Some(_) | None => Instant::now(),
        };
        self.started = Some(started);
        self.restarts += u32::from(rebooted);
        boot_id.clone_into(&mut self.boot_id);

        if pod.metadata.deletion_timestamp.is_some() {
            let since = *self.terminating_since.get_or_insert_with(Instant::now);
            // No container survives a reboot, however stuck it was.
            self.dead |= rebooted || termination(pod).is_some_and(|takes| since.elapsed() >= takes);
            if !self.dead {
                return None;
            }
            // As kubelets do: first the status reports that the containers have ended, then the object goes.
            if !reported(pod).is_some_and(|(phase, ..)| matches!(&*phase, "Succeeded" | "Failed")) {
                let (phase, ready, restarts) = ("Succeeded".to_owned(), false, self.restarts);
                return Some(Action::Report { phase, ready, restarts });
            }
            // Again and again, until the object is gone: a request may fail, or wait for another one.
            return Some(Action::End);
        }

        let finishes = pod.annotations().get(FINISHES).cloned();
        let delay = pod.annotations().get(READY_AFTER).and_then(|text| seconds(text));
        let ready = finishes.is_none() && started.elapsed() >= delay.unwrap_or_default();
        let phase = finishes.unwrap_or_else(|| "Running".to_owned());
        let reported = reported(pod);
        let wanted = (phase, ready, self.restarts);
        (reported.as_ref() != Some(&wanted)).then(|| {
            let (phase, ready, restarts) = wanted;
            Action::Report { phase, ready, restarts }
        })
    }
}

impl Action {
    pub(super) async fn perform(self, client: Client, pod: &Pod) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(client, &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        match self {
            Self::Report { phase, ready, restarts } => {
                let uid = &pod.metadata.uid;
                let status = json!({
                    // Never writes to a namesake that has come meanwhile.
                    "metadata": { "uid": uid },
                    "status": status(pod, &phase, ready, restarts),
                });
                let params = PatchParams::default();
                pods.patch_status(&name, &params, &Patch::Strategic(status)).await?;
            }
            Self::End => {
                let preconditions = Preconditions {
                    uid: pod.metadata.uid.clone(),
                    resource_version: None,
                };
                let params = DeleteParams::default().grace_period(0).preconditions(preconditions);
                pods.delete(&name, &params).await?;
            }
        }
        Ok(())
    }
}

/// How long the pod takes to end; none if it never does.
fn termination(pod: &Pod) -> Option<Duration> {
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
    let grace = Duration::from_secs(grace.unsigned_abs());
    match pod.annotations().get(TERMINATION).map(String::as_str) {
        Some("stuck") => None,
        Some(text) => Some(seconds(text).unwrap_or_default().min(grace)),
        None => Some(TERMINATION_DEFAULT.min(grace)),
    }
}

/// Reads `5s`, `1.5s` or `200ms`.
fn seconds(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (text.strip_suffix('s')?, 1.0),
    };
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()
}

/// The status in the object: phase, ready, restarts.
fn reported(pod: &Pod) -> Option<(String, bool, u32)> {
    let status = pod.status.as_ref()?;
    let conditions = status.conditions.iter().flatten();
    let ready = conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "True");
    let containers = status.container_statuses.iter().flatten();
    let restarts = containers.map(|it| it.restart_count).max().unwrap_or(0);
    Some((status.phase.clone()?, ready, restarts.unsigned_abs()))
}

fn status(pod: &Pod, phase: &str, ready: bool, restarts: u32) -> Value {
    let now = seconds_time();
    let truth = |value: bool| if value { "True" } else { "False" };
    let condition =
        |kind: &str, value: bool| json!({ "type": kind, "status": truth(value), "lastTransitionTime": now });
    let state = match phase {
        "Succeeded" => json!({ "running": null, "terminated": { "exitCode": 0, "finishedAt": now } }),
        "Failed" => json!({ "running": null, "terminated": { "exitCode": 1, "finishedAt": now } }),
        _ => json!({ "running": { "startedAt": now } }),
    };
    let spec = pod.spec.as_ref();
    let containers = spec.into_iter().flat_map(|spec| &spec.containers);
    let containers = containers.map(|container| {
        json!({
            "name": container.name,
            "image": container.image,
            "imageID": "",
            "ready": ready,
            "started": phase == "Running",
            "restartCount": restarts,
            "state": state,
        })
    });
    let start_time = pod.status.as_ref().and_then(|status| status.start_time.clone());
    let start_time = start_time.map_or_else(|| json!(now), |time| json!(time));
    json!({
        "phase": phase,
        "startTime": start_time,
        "hostIP": "127.0.0.1",
        "conditions": [
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": containers.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Action, Memory, READY_AFTER, TERMINATION, seconds};
    use k8s_openapi::api::core::v1::Pod;
    use std::time::Duration;

    #[test]
    fn times_are_read_as_written() {
        assert_eq!(seconds("5s"), Some(Duration::from_secs(5)));
        assert_eq!(seconds("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(seconds("5"), None);
    }

    #[test]
    fn a_reboot_restarts_containers_and_makes_them_unready_for_a_while() {
        let pod = pod(READY_AFTER, "60s");
        let mut memory = Memory::default();
        memory.next(&pod, "boot-1");
        let action = memory.next(&pod, "boot-2");
        assert!(matches!(
            action,
            Some(Action::Report {
                ready: false,
                restarts: 1,
                ..
            })
        ));
    }

    #[test]
    fn a_stuck_pod_ends_with_a_reboot_only() {
        let mut pod = pod(TERMINATION, "stuck");
        let mut memory = Memory::default();
        memory.next(&pod, "boot-1");
        pod.metadata.deletion_timestamp = serde_json::from_str("\"2026-01-01T00:00:00Z\"").expect("a time");
        assert!(memory.next(&pod, "boot-1").is_none());
        let action = memory.next(&pod, "boot-2");
        assert!(
            matches!(action, Some(Action::Report { ready: false, .. })),
            "{action:?}"
        );
        pod.status = serde_json::from_str("{\"phase\":\"Succeeded\"}").ok();
        assert!(matches!(memory.next(&pod, "boot-2"), Some(Action::End)));
    }

    fn pod(annotation: &str, value: &str) -> Pod {
        let mut pod = Pod::default();
        let entry = (annotation.to_owned(), value.to_owned());
        pod.metadata.annotations = Some([entry].into());
        pod
    }
}
