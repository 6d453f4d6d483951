//! The questions of an operator to a cluster in which the story has failed.

use rig::vm;

use crate::artefacts::or_error;
use crate::cluster::{Cluster, NAMESPACES};
use crate::overlay;

/// The end of a machine's journal, also of the boots before.
const JOURNAL: &str = "journalctl --no-pager --boot=all --lines=400";

/// Keeps journals, logs, events and a photo. A part that does not answer is left out: the story's own
/// failure is the one to report.
pub(crate) async fn keep(cluster: &Cluster) {
    for machine in cluster.machines() {
        let journal = or_error(machine.run(JOURNAL).await);
        cluster
            .keep(&format!("failed-{}-journal", machine.name()), &journal)
            .ok();
    }
    let mut logs = String::new();
    for service in overlay::services().unwrap_or_default() {
        let label = format!("--selector=app.kubernetes.io/component={service}");
        for namespace in NAMESPACES {
            let args = ["logs", "--namespace", namespace, &label, "--prefix", "--tail=200"];
            logs += &or_error(cluster.kubectl.run(&args, "").await);
        }
    }
    cluster.keep("failed-services", &logs).ok();
    let events = ["get", "events", "-A", "--sort-by=.lastTimestamp"];
    let events = or_error(cluster.kubectl.run(&events, "").await);
    cluster.keep("failed-events", &events).ok();
    cluster.photo("failed-photo", &vm::name(1)).await.ok();
}
