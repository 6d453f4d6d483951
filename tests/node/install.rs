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

/// Looks at the processes of all services on all machines.
pub(crate) async fn rights(cluster: &Cluster) -> Result<()> {
    let mut text = String::from("node, service: uid, capabilities, no new privileges, seccomp, AppArmor\n");
    for (service, wanted) in RIGHTS {
        let status = "/^(Uid|CapEff|NoNewPrivs|Seccomp):/ {printf \"%s \", $2}";
        let look = format!("awk '{status}' /proc/$pid/status; cat /proc/$pid/attr/current; echo");
        let found = of_all(cluster, &format!("bellwether-{service}"), &look).await?;
        for (name, line) in &found {
            text += &format!("{name}, {service}: {line}\n");
            ensure!(line == wanted, "{service} on {name} has {line}, not {wanted}");
        }
        // An agent on each machine; of the others two replicas, wherever they were placed.
        ensure!(found.len() == 2, "{} processes of {service} were found", found.len());
    }
    cluster.keep("0-rights", &text)?;
    cluster.wait_findings("check", Findings::in_order).await?;
    cluster.keep("0-check", &or_error(cluster.reboots(&["check"]).await))?;
    cluster.photo("1-before", "node-1").await
}

/// Keeps the peak of memory of each program since its start: its process, and its container with
/// the pages of files that the kernel could take back.
pub(crate) async fn memory(cluster: &Cluster) -> Result<()> {
    let mut text = String::from("node, program: peak of the process, peak of the container, in KiB\n");
    let ours = RIGHTS.map(|(service, _)| format!("bellwether-{service}"));
    for program in ours.into_iter().chain(["nats-server".to_owned()]) {
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
