//! Operators' orders on real parts: a policy that demands approvals, a node that is held or skipped, a reboot now outside
//! of the window; all of them survive the leader that took them. And orders that the Node carries as annotations.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use jiff::{SignedDuration, Timestamp};
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
    fleet
        .services
        .ctl_ok(&["approve", "--policy", "all", "--revoke"])
        .await?;
    fleet.services.ctl_ok(&["approve", &names[0]]).await?;
    // The other one by an annotation, whose time is that of the API server.
    let approve = ["annotate", "node", &names[2], "bellwether.dev/approve=patch day"];
    fleet.world.kubectl()?.run(&approve, "").await?;
    fleet
        .explained(&names[2], &["Approved: node", "kubectl-annotate", "patch day"])
        .await?;
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

/// When the attempt of a node began.
async fn began(fleet: &Fleet, node: &str) -> Result<Timestamp> {
    let attempt = fleet.attempt(node).await?.context("no attempt")?;
    let first = attempt.history.first().context("no phase")?;
    Ok(first.at)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_by_command_and_one_by_annotation_end_by_themselves() -> Result<()> {
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", "2");
    let fleet = Fleet::start(2, options).await?;
    let names: Vec<String> = fleet.world.hosts().iter().map(|host| host.name().to_owned()).collect();
    fleet.services.leader(&fleet.world).await?;
    // Long enough to be shown on busy cores.
    let lasts = SignedDuration::from_secs(20);
    let commanded = Timestamp::now();
    let hold = ["hold", &names[0], "--for", "20s", "--reason", "disks"];
    fleet.services.ctl_ok(&hold).await?;
    let until = Timestamp::now() + lasts;
    let annotations = [
        "bellwether.dev/hold=disks",
        &format!("bellwether.dev/hold-until={until}"),
    ];
    let kubectl = fleet.world.kubectl()?;
    let annotate = ["annotate", "node", &names[1], annotations[0], annotations[1]];
    kubectl.run(&annotate, "").await?;
    fleet
        .explained(
            &names[1],
            &["Order:", "annotation bellwether.dev/hold", "kubectl-annotate"],
        )
        .await?;
    fleet.upgrade_all()?;
    fleet.explained(&names[0], &["Held", "disks"]).await?;
    fleet
        .explained(
            &names[1],
            &[
                "Held",
                "by the annotation bellwether.dev/hold of kubectl-annotate",
                "disks",
            ],
        )
        .await?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    ensure!(
        began(&fleet, &names[0]).await? >= commanded + lasts,
        "{} starts early",
        names[0]
    );
    ensure!(began(&fleet, &names[1]).await? >= until, "{} starts early", names[1]);
    fleet.all_rolled(2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_node_is_left_alone_by_command_and_by_annotation() -> Result<()> {
    let options = ServicesOptions::default().set("BELLWETHER_SLOTS", "2");
    let fleet = Fleet::start(2, options).await?;
    let names: Vec<String> = fleet.world.hosts().iter().map(|host| host.name().to_owned()).collect();
    let kubectl = fleet.world.kubectl()?;
    let refused = async |args: &[&str], words: &[&str]| {
        let refused = fleet.services.ctl(args).await?;
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        let is_named = words.iter().all(|word| error.contains(word));
        ensure!(!refused.status.success() && is_named, "{error}");
        Ok(())
    };
    fleet.services.leader(&fleet.world).await?;
    refused(&["skip", &names[0]], &["needs no reboot"]).await?;
    fleet.services.ctl_ok(&["pause"]).await?;
    fleet.upgrade_all()?;
    for name in &names {
        fleet.explained(name, &["Paused"]).await?;
    }
    let given = fleet
        .services
        .ctl_ok(&["skip", &names[0], "--reason", "retired", "--as-name", "anna"])
        .await?;
    ensure!(given.contains("a need that begins later is served"), "{given}");
    kubectl
        .run(&["annotate", "node", &names[1], "bellwether.dev/skip=retired"], "")
        .await?;
    for (name, word) in [
        (&names[0], "by anna"),
        (&names[1], "by the annotation bellwether.dev/skip of kubectl-annotate"),
    ] {
        fleet.explained(name, &["Skipped", word, "retired"]).await?;
    }
    fleet.services.ctl_ok(&["resume"]).await?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    leader.process.kill9();
    fleet.services.leader(&fleet.world).await?;
    wait::steadily("no skipped node is touched", WHILE, async || {
        Ok(fleet.nodes.cordon_order().is_empty())
    })
    .await?;
    let ended = fleet.services.ctl_ok(&["release", &names[0]]).await?;
    ensure!(ended == "The skip has ended.\n", "{ended}");
    let remedy = format!("kubectl annotate node {} bellwether.dev/skip-", names[1]);
    refused(&["release", &names[1]], &[&remedy]).await?;
    kubectl
        .run(&["annotate", "node", &names[1], "bellwether.dev/skip-"], "")
        .await?;
    fleet.all_rolled(2).await
}
