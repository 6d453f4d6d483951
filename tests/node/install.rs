//! What was installed is what the manifests promise.

use anyhow::{Result, ensure};

use rig::vm::Vm;

use crate::cluster::Cluster;

/// Who runs as whom: user, effective capabilities, no new privileges, seccomp filter, and AppArmor
/// label, by the kernel's word.
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
        let mut processes = 0;
        for machine in cluster.machines() {
            let name = machine.name();
            let status = "/^(Uid|CapEff|NoNewPrivs|Seccomp):/ {printf \"%s \", $2}";
            let look = format!("awk '{status}' /proc/$pid/status; cat /proc/$pid/attr/current; echo");
            let found = of_each(machine, service, &look).await?;
            for line in found.lines().filter(|line| !line.is_empty()) {
                processes += 1;
                text += &format!("{name}, {service}: {line}\n");
                ensure!(line == wanted, "{service} on {name} has {line}, not {wanted}");
            }
        }
        // An agent on each machine; of the others two replicas, wherever they were placed.
        ensure!(processes == 2, "{processes} processes of {service} were found");
    }
    cluster.keep("0-rights", &text)?;
    let check = cluster.reboots(&["check"]).await;
    cluster.keep("0-check", &check.unwrap_or_else(|error| error.to_string()))?;
    cluster.photo("1-before", "node-1").await
}

/// Keeps what each service has needed at most since it was started: its process, and its container
/// with the pages of files that the kernel could take back.
pub(crate) async fn memory(cluster: &Cluster) -> Result<()> {
    let mut text = String::from("node, service: peak of the process, peak of the container, in KiB\n");
    for machine in cluster.machines() {
        for (service, _) in RIGHTS {
            let look = "awk '/^VmHWM:/ {printf \"%d \", $2}' /proc/$pid/status; \
                        group=$(sed 's/^0:://' /proc/$pid/cgroup); \
                        echo $(($(cat /sys/fs/cgroup$group/memory.peak) / 1024))";
            let found = of_each(machine, service, look).await?;
            for line in found.lines() {
                text += &format!("{}, {service}: {line}\n", machine.name());
            }
        }
    }
    cluster.keep("3-memory", &text)
}

/// Runs a command for each process of a service on a machine, as `$pid`.
async fn of_each(machine: &Vm, service: &str, command: &str) -> Result<String> {
    let line = format!("for pid in $(pgrep -f ^/bellwether-{service}); do {command}; done");
    machine.run(&line).await
}
