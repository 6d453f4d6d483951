//! Operators' orders on real parts: a policy that demands approvals, a node that is held, a reboot now outside of the
//! window; all of them survive the leader that took them.

use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::Phase;
use rig::services::ServicesOptions;
use rig::wait;
use serde_json::json;

use crate::fleet::Fleet;
use crate::policies;

/// Long enough for a scheduler to start an attempt that it should not start.
const WHILE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn approvals_holds_and_a_reboot_now_are_stored_and_followed() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default()).await?;
    let names: Vec<String> = fleet.world.hosts().iter().map(|host| host.name().to_owned()).collect();
    let freeze = json!({ "from": "2020-01-01", "to": "2199-12-31", "reason": "year-end freeze" });
    policies::create(
        &fleet.world,
        "all",
        &json!({ "approval": "Manual", "blackouts": [freeze] }),
    )
    .await?;
    // The scheduler knows the policy before the first node needs a reboot.
    fleet.explained(&names[0], &["Policy:", "all"]).await?;
    fleet.upgrade_all()?;
    for name in &names {
        fleet.explained(name, &["NotApproved", "Also:", "WindowShut"]).await?;
    }
    // Orders that could have no effect are refused with the remedy.
    let refused = fleet.services.ctl(&["approve", "--policy", "al"]).await?;
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(
        !refused.status.success() && error.contains("kubectl get rebootpolicies"),
        "{error}"
    );
    // A reboot now needs no approval and no window.
    let given = fleet
        .services
        .ctl_ok(&["now", &names[1], "--reason", "CVE", "--as-name", "anna"])
        .await?;
    ensure!(given.contains(&format!("node {}, by anna", names[1])), "{given}");
    fleet.rebooted_once(&[fleet.world.host(1)?]).await?;
    let status = fleet.services.ctl_ok(&["status"]).await?;
    ensure!(
        !status.contains("To be rebooted now"),
        "the order ends with its reboot: {status}"
    );
    // A held node stays where it is, though its policy is approved and nothing else is in the way.
    fleet
        .services
        .ctl_ok(&["hold", &names[0], "--for", "2h", "--reason", "disks"])
        .await?;
    fleet.services.ctl_ok(&["approve", "--policy", "all"]).await?;
    let api = policies::api(fleet.world.client());
    api.delete("all", &Default::default()).await?;
    policies::create(&fleet.world, "all", &json!({ "approval": "Manual" })).await?;
    fleet.explained(&names[0], &["Held", "disks"]).await?;
    fleet.in_phase(&names[2], Phase::Done).await?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    leader.process.kill9();
    fleet.services.leader(&fleet.world).await?;
    wait::steadily("the held node is not touched", WHILE, async || {
        Ok(fleet.nodes.cordons(&names[0]) == 0)
    })
    .await?;
    fleet.services.ctl_ok(&["release", &names[0]]).await?;
    fleet.all_rolled(1).await
}
