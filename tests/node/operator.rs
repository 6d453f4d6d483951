//! The cluster as its operator finds it: `kubectl reboots`, and photos of a moment for the artefacts.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::findings::Findings;
use rig::{tools, wait};
use serde::Deserialize;

use crate::artefacts::or_error;
use crate::cluster::{Cluster, DEADLINE};

/// Between two looks: each starts kubectl several times, on the processors that the machines need.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// The status of a node by the scheduler, as far as the story looks at it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    name: String,
    pub(crate) state: String,
    pub(crate) reboot_required: bool,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempt: Option<Attempt>,
}

/// Why a node waits.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) message: String,
}

/// A node's latest attempt.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attempt {
    pub(crate) phase: String,
    pub(crate) boot_id_before: String,
    pub(crate) boot_id_after: String,
}

impl Status {
    /// The code of the reason why it waits, if it does.
    pub(crate) fn waits_for(&self) -> Option<&str> {
        self.reason.as_ref().map(|reason| reason.code.as_str())
    }

    /// Whether its latest attempt is over, and well.
    pub(crate) fn is_done(&self) -> bool {
        self.state == "Idle" && self.attempt.as_ref().is_some_and(|attempt| attempt.phase == "Done")
    }
}

#[derive(Deserialize)]
struct Fleet {
    nodes: Vec<Status>,
}

impl Cluster {
    /// Runs `kubectl reboots` with these arguments, as an operator types it; returns its output.
    pub(crate) async fn reboots(&self, args: &[&str]) -> Result<String> {
        let output = self.reboots_output(args).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{text}{errors}");
        Ok(text)
    }

    /// The findings of `check` or `uninstall-check` now.
    pub(crate) async fn findings(&self, verb: &str) -> Result<Findings> {
        Findings::read(&self.reboots_output(&[verb, "--output=json"]).await?)
    }

    /// The same as `reboots`, however it ends.
    async fn reboots_output(&self, args: &[&str]) -> Result<Output> {
        let kubectl = tools::tool("kubectl")?;
        let folder = kubectl.parent().context("kubectl is in a folder")?;
        let path = std::env::var("PATH").unwrap_or_default();
        let output = tokio::process::Command::new(tools::binary("kubectl-reboots")?)
            .args(args)
            .env("PATH", format!("{}:{path}", folder.display()))
            .env("KUBECONFIG", self.control_plane.admin_kubeconfig())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        wait::within("kubectl reboots to end", DEADLINE, async { Ok(output.await?) }).await
    }

    /// The scheduler's status of a node.
    pub(crate) async fn status_of(&self, name: &str) -> Result<Status> {
        let fleet: Fleet = serde_json::from_str(&self.reboots(&["status", "--output", "json"]).await?)?;
        let node = fleet.nodes.into_iter().find(|node| node.name == name);
        node.with_context(|| format!("it does not know {name}"))
    }

    /// Waits for a status of a node; returns it.
    pub(crate) async fn wait_status(
        &self,
        name: &str,
        awaited: &str,
        holds: impl Fn(&Status) -> bool,
    ) -> Result<Status> {
        until(&format!("{name} {awaited}"), async || {
            let status = self.status_of(name).await?;
            ensure!(holds(&status), "{status:?}");
            Ok(status)
        })
        .await
    }

    /// Waits until `check` or `uninstall-check` finds this.
    pub(crate) async fn wait_findings(&self, verb: &str, holds: impl Fn(&Findings) -> Result<()>) -> Result<()> {
        until(&format!("{verb} to report it"), async || {
            holds(&self.findings(verb).await?)
        })
        .await
    }

    /// Keeps the output of an operator's commands at this moment of the story.
    pub(crate) async fn photo(&self, name: &str, node: &str) -> Result<()> {
        let mut text = String::new();
        for args in [
            &["get", "nodes", "-o", "wide"][..],
            &["get", "pods", "-A", "-o", "wide"],
        ] {
            let printed = or_error(self.kubectl.run(args, "").await);
            text += &format!("$ kubectl {}\n{printed}\n", args.join(" "));
        }
        for args in [&["status"][..], &["explain", node]] {
            let printed = or_error(self.reboots(args).await);
            text += &format!("$ kubectl reboots {}\n{printed}\n", args.join(" "));
        }
        self.keep(name, &text)
    }
}

/// Waits until a look of the operator succeeds.
async fn until<T>(awaited: &str, look: impl AsyncFn() -> Result<T>) -> Result<T> {
    wait::until(awaited, DEADLINE, async || {
        let result = look().await;
        if result.is_err() {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        result
    })
    .await
}
