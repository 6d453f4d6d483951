//! The installation keeps the promises of the manifests.

use anyhow::{Result, ensure};
use rig::findings::Findings;

use crate::artefacts::or_error;
use crate::cluster::Cluster;

/// The rights of each process, by the kernel: user, effective capabilities, no new privileges, seccomp filter, and AppArmor
/// label.
const RIGHTS: [(&str, &str); 4] = [
    (
        "sentinel",
        "65532 0000000000000000 1 2 cri-containerd.apparmor.d (enforce)",
    ),
    (
        "scheduler",
        "65532 0000000000000000 1 2 cri-containerd.apparmor.d (enforce)",
    ),
    (
        "drainer",
        "65532 0000000000000000 1 2 cri-containerd.apparmor.d (enforce)",
    ),
    ("rebooter", "0 0000000000000000 1 2 unconfined"),
];

/// The gatekeeper's, as the user of the NATS pod.
const GATEKEEPER: (&str, &str) = (
    "gatekeeper",
    "1000 0000000000000000 1 2 cri-containerd.apparmor.d (enforce)",
);

/// Looks at the processes of all services on all machines.
pub(crate) async fn rights(cluster: &Cluster) -> Result<()> {
    let mut text = String::from(RIGHTS_HEADING);
    for service in RIGHTS {
        // An agent on each machine; of the others two replicas, wherever they were placed.
        text += &rights_of(cluster, service, 2).await?;
    }
    cluster.keep("0-rights", &text)?;
    cluster
        .wait_findings("check", |found| {
            found.no_problem()?;
            // The NATS outside of the cluster asks for nothing.
            found.has("NatsOpen")?;
            found.has("NatsNotEncrypted")
        })
        .await?;
    cluster.keep("0-check", &or_error(cluster.reboots(&["check"]).await))?;
    cluster.photo("1-before", "node-1").await
}

/// Looks at the process beside NATS, once NATS is in the cluster.
pub(crate) async fn rights_of_gatekeeper(cluster: &Cluster) -> Result<()> {
    let text = RIGHTS_HEADING.to_owned() + &rights_of(cluster, GATEKEEPER, 1).await?;
    cluster.keep("5-rights", &text)?;
    cluster.wait_findings("check", Findings::in_order).await?;
    cluster.keep("5-check", &or_error(cluster.reboots(&["check"]).await))
}

const RIGHTS_HEADING: &str = "node, service: uid, capabilities, no new privileges, seccomp, AppArmor\n";

async fn rights_of(cluster: &Cluster, (service, wanted): (&str, &str), processes: usize) -> Result<String> {
    let mut text = String::new();
    let status = "/^(Uid|CapEff|NoNewPrivs|Seccomp):/ {printf \"%s \", $2}";
    let look = format!("awk '{status}' /proc/$pid/status; cat /proc/$pid/attr/current; echo");
    let found = of_all(cluster, &format!("bellwether-{service}"), &look).await?;
    for (name, line) in &found {
        text += &format!("{name}, {service}: {line}\n");
        ensure!(line == wanted, "{service} on {name} has {line}, not {wanted}");
    }
    ensure!(
        found.len() == processes,
        "{} processes of {service} were found instead of {processes}",
        found.len()
    );
    Ok(text)
}

/// Keeps the peak of memory of each program since its start: its process, and its container with
/// the pages of files that the kernel could take back.
pub(crate) async fn memory(cluster: &Cluster) -> Result<()> {
    let mut text = String::from("node, program: peak of the process, peak of the container, in KiB\n");
    let ours = RIGHTS.into_iter().chain([GATEKEEPER]);
    let ours = ours.map(|(service, _)| format!("bellwether-{service}"));
    for program in ours.chain(["nats-server".to_owned()]) {
        let look = "awk '/^VmHWM:/ {printf \"%d \", $2}' /proc/$pid/status; \
                    group=$(sed 's/^0:://' /proc/$pid/cgroup); \
                    echo $(($(cat /sys/fs/cgroup$group/memory.peak) / 1024))";
        for (name, line) in of_all(cluster, &program, look).await? {
            text += &format!("{name}, {program}: {line}\n");
        }
    }
    cluster.keep("7-memory", &text)
}

/// Runs a command for each process of a program, as `$pid`; returns its output, by machine.
async fn of_all(cluster: &Cluster, program: &str, command: &str) -> Result<Vec<(String, String)>> {
    let line = format!("for pid in $(pgrep -f ^/{program}); do {command}; done");
    let mut found = vec![];
    for machine in cluster.machines() {
        let printed = machine.run(&line).await?;
        let lines = printed.lines().filter(|line| !line.is_empty());
        found.extend(lines.map(|line| (machine.name(), line.to_owned())));
    }
    Ok(found)
}
