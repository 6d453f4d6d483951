//! The policies that the demo runs under: applied for real, and the outcome if they let no node reboot now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bellwether_proto::wire::NodeStatus;
use rig::services::Services;
use rig::wait;
use rig::world::World;
use serde_json::Value;
use tokio::process::Command;

use crate::heading;

/// A scheduler reads a policy within seconds.
const JUDGEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Shows what the policies of a file mean; returns its text.
///
/// # Errors
/// The file cannot be read, or a policy has a mistake.
pub(crate) async fn read(file: &Path) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("--policy: cannot read {}", file.display()))?;
    heading(&format!("kubectl reboots policy check {}", file.display()));
    let check = Command::new(rig::tools::binary("kubectl-reboots")?)
        .args(["policy", "check"])
        .arg(file)
        .kill_on_drop(true)
        .output()
        .await?;
    println!("{}", String::from_utf8_lossy(&check.stdout));
    let errors = String::from_utf8_lossy(&check.stderr);
    ensure!(
        check.status.success(),
        "--policy: correct the mistakes in {} first. {}",
        file.display(),
        errors.trim()
    );
    Ok(text)
}

/// Applies the policies, before a scheduler runs: from its first decision on they govern the nodes.
pub(crate) async fn apply(world: &World, policies: &str) -> Result<()> {
    let applied = world
        .kubectl()?
        .run(&["apply", "--validate=strict", "-f", "-"], policies)
        .await;
    println!(
        "{}",
        applied.context("--policy: the API server refuses the file")?.trim_end()
    );
    Ok(())
}

/// Shows the scheduler's judgement of the policies.
///
/// # Errors
/// The scheduler refuses one of them.
pub(crate) async fn show(world: &World) -> Result<()> {
    let kubectl = world.kubectl()?;
    wait::until("the scheduler to judge the policies", JUDGEMENT_TIMEOUT, async || {
        let listed: Value = serde_json::from_str(&kubectl.run(&["get", "rebootpolicies", "-o", "json"], "").await?)?;
        let policies = listed.get("items").and_then(Value::as_array).context("a list")?;
        ensure!(
            policies.iter().all(|policy| accepted(policy).is_some()),
            "it has not judged all of them"
        );
        Ok(())
    })
    .await?;
    heading("kubectl get rebootpolicies");
    println!("{}", kubectl.run(&["get", "rebootpolicies"], "").await?);
    let listed: Value = serde_json::from_str(&kubectl.run(&["get", "rebootpolicies", "-o", "json"], "").await?)?;
    let policies = listed.get("items").and_then(Value::as_array).context("a list")?;
    let refused: Vec<&str> = policies
        .iter()
        .filter_map(accepted)
        .filter(|condition| condition.get("status").and_then(Value::as_str) != Some("True"))
        .filter_map(|condition| condition.get("message")?.as_str())
        .collect();
    if !refused.is_empty() {
        bail!(
            "--policy: the scheduler refuses a policy, and would reboot none of its nodes: {}",
            refused.join("; ")
        );
    }
    Ok(())
}

/// The condition by which the scheduler judges a policy.
fn accepted(policy: &Value) -> Option<&Value> {
    let conditions = policy.pointer("/status/conditions")?.as_array()?;
    let is_accepted = |condition: &&Value| condition.get("type").and_then(Value::as_str) == Some("Accepted");
    conditions.iter().find(is_accepted)
}

/// Shows why the nodes that are left do not reboot.
pub(crate) async fn outcome(world: &World, services: &Services, left: &[NodeStatus]) -> Result<()> {
    let (all, first) = (world.hosts().len(), left.first().context("a node that is left")?);
    heading(&format!("kubectl reboots explain {}", first.node));
    println!("{}", services.ctl_ok(&["explain", &first.node]).await?);
    heading("Outcome");
    println!(
        "{} of {all} nodes have rebooted. No attempt is under way, and the others wait:",
        all - left.len()
    );
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for node in left {
        let reason = node.reason.as_ref();
        let texts = reason.map_or(("", "no reason"), |reason| {
            (reason.code.as_str(), reason.message.as_str())
        });
        reasons.entry(texts).or_default().push(&node.node);
    }
    for ((code, message), nodes) in reasons {
        println!("  {code}: {message}\n    {}", nodes.join(", "));
    }
    println!();
    Ok(())
}
