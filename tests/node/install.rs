//! What was installed is what the manifests promise.

use anyhow::{Context as _, Result, ensure};

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
    for machine in cluster.machines() {
        for (service, wanted) in RIGHTS {
            let status = "/^(Uid|CapEff|NoNewPrivs|Seccomp):/ {printf \"%s \", $2}";
            let look = format!(
                "for pid in $(pgrep -f ^/bellwether-{service}); do \
                 awk '{status}' /proc/$pid/status; cat /proc/$pid/attr/current; echo; done"
            );
            let found = machine.run(&look).await?;
            let first = found.lines().find(|line| !line.is_empty());
            let first = first.with_context(|| format!("{service} does not run on {}", machine.name()))?;
            text += &format!("{}, {service}: {first}\n", machine.name());
            ensure!(
                first == wanted,
                "{service} on {} has {first}, not {wanted}",
                machine.name()
            );
        }
    }
    cluster.keep("0-rights", &text)?;
    let check = cluster.reboots(&["check"]).await;
    cluster.keep("0-check", &check.unwrap_or_else(|error| error.to_string()))?;
    cluster.photo("1-before", "node-1").await
}
