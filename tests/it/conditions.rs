//! The conditions of Node objects: they state where a reboot is, whatever happens to the scheduler, leave those of other programs as
//! they are, and none is left behind.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, ensure};
use bellwether_proto::{Phase, mark, setting};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use rig::services::ServicesOptions;
use rig::wait;
use rig::world::{World, WorldOptions};
use serde_json::json;
use tokio::task::JoinSet;

use crate::fleet::{DEADLINE, Fleet};
use crate::policies;

const OURS: &str = mark::LIFECYCLE_REASON;

/// The conditions of a node beside those of its kubelet, as `TYPE=STATUS REASON`.
fn shown(node: &Node) -> BTreeSet<String> {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let of_reboots = conditions.filter(|condition| {
        condition.type_ == mark::REBOOT_REQUIRED || mark::LIFECYCLE_CONDITIONS.contains(&condition.type_.as_str())
    });
    of_reboots
        .map(|condition| {
            let reason = condition.reason.as_deref().unwrap_or_default();
            format!("{}={} {reason}", condition.type_, condition.status)
        })
        .collect()
}

fn of(type_: &str) -> String {
    format!("{type_}=True {OURS}")
}

fn required(reason: &str) -> String {
    format!("{}=True {reason}", mark::REBOOT_REQUIRED)
}

/// Waits until a node has these conditions and no others.
async fn has(world: &World, node: &str, expected: &[String]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().cloned().collect();
    wait::until_equal("the conditions of the node", DEADLINE, expected, async || {
        Ok(shown(&world.node(node).await?))
    })
    .await
}

/// All states that a node has been in, by the conditions.
struct States {
    observed: Arc<Mutex<Vec<BTreeSet<String>>>>,
    _task: JoinSet<()>,
}

impl States {
    fn watch(world: &World, node: &str) -> Self {
        let observed = Arc::<Mutex<Vec<BTreeSet<String>>>>::default();
        let config = watcher::Config::default().fields(&format!("metadata.name={node}"));
        let nodes = watcher(Api::<Node>::all(world.client()), config);
        let record = Arc::clone(&observed);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut nodes = std::pin::pin!(nodes.default_backoff().applied_objects());
            while let Some(node) = nodes.next().await {
                let Ok(node) = node else { continue };
                let mut observed = record.lock().unwrap_or_else(PoisonError::into_inner);
                let state = shown(&node);
                if observed.last() != Some(&state) {
                    observed.push(state);
                }
            }
        });
        Self { observed, _task: task }
    }

    /// Waits until the last state is one without a condition.
    async fn until_none(&self) -> Result<Vec<BTreeSet<String>>> {
        wait::until("the last state", DEADLINE, async || {
            let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            ensure!(
                observed.len() > 1 && observed.last().is_some_and(BTreeSet::is_empty),
                "{observed:?}"
            );
            Ok(observed)
        })
        .await
    }
}

/// Sets a condition as another program does.
async fn set(world: &World, node: &str, type_: &str, reason: &str) -> Result<()> {
    let at = format!("{:.0}", jiff::Timestamp::now());
    let condition = json!({ "type": type_, "status": "True", "reason": reason, "lastTransitionTime": at });
    let patch = json!({ "status": { "conditions": [condition] } }).to_string();
    let args = ["patch", "node", node, "--subresource=status", "-p", &patch];
    world.kubectl()?.run(&args, "").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_follow_each_node_though_schedulers_are_killed_and_none_is_left() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    world.block_drain(0).await?;
    let mut fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let (first, second) = (fleet.world.host(0)?, fleet.world.host(1)?);
    fleet.services.ctl_ok(&["pause", "--reason", "patch day"]).await?;
    first.upgrade_kernel("6.12.48")?;
    has(&fleet.world, first.name(), &[required("Paused")]).await?;
    second.upgrade_kernel("6.12.48")?;
    has(&fleet.world, second.name(), &[required("Paused")]).await?;
    let described = fleet.world.kubectl()?;
    let described = described.run(&["describe", "node", first.name()], "").await?;
    ensure!(described.contains("patch day"), "{described}");

    let states = States::watch(&fleet.world, second.name());
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.kill_leader_entering(Phase::Draining).await?;
    let draining = [of(mark::DRAIN_IN_PROGRESS), required("Draining")];
    has(&fleet.world, first.name(), &draining).await?;
    let waiting = [of(mark::MAINTENANCE_PLANNED), required("NoSlot")];
    has(&fleet.world, second.name(), &waiting).await?;

    fleet
        .services
        .ctl_ok(&["cancel", first.name(), "--reason", "a test"])
        .await?;
    fleet.kill_leader_entering(Phase::Draining).await?;
    fleet.kill_leader_entering(Phase::Uncordoning).await?;
    fleet.rebooted_once(std::slice::from_ref(&second)).await?;
    has(&fleet.world, second.name(), &[]).await?;
    has(
        &fleet.world,
        first.name(),
        &[of(mark::MAINTENANCE_PLANNED), required("CoolingDown")],
    )
    .await?;
    let states = states.until_none().await?;
    let all: BTreeSet<String> = states.iter().flatten().cloned().collect();
    for expected in [
        of(mark::DRAINED),
        of(mark::MAINTENANCE_IN_PROGRESS),
        required("Rebooting"),
    ] {
        ensure!(all.contains(&expected), "no {expected}: {states:?}");
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_of_another_program_stays_and_one_of_ours_is_no_claim() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let (claimed, stale) = (world.host(0)?, world.host(1)?);
    set(&world, claimed.name(), mark::MAINTENANCE_IN_PROGRESS, "Firmware").await?;
    set(&world, claimed.name(), mark::DRAINED, "Firmware").await?;
    // Of a leader that died.
    set(&world, stale.name(), mark::MAINTENANCE_IN_PROGRESS, OURS).await?;
    set(&world, stale.name(), mark::REBOOT_REQUIRED, "Rebooting").await?;
    // A claimed node takes a slot.
    let fleet = Fleet::start_in(world, ServicesOptions::default().set(setting::SLOTS, "2")).await?;
    has(&fleet.world, stale.name(), &[]).await?;
    let foreign = [
        format!("{}=True Firmware", mark::MAINTENANCE_IN_PROGRESS),
        format!("{}=True Firmware", mark::DRAINED),
    ];
    claimed.upgrade_kernel("6.12.48")?;
    let [maintenance, drained] = foreign.clone();
    has(
        &fleet.world,
        claimed.name(),
        &[maintenance, drained, required("Claimed")],
    )
    .await?;
    stale.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&stale)).await?;
    claimed.withdraw_need()?;
    has(&fleet.world, claimed.name(), &foreign).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_setting_those_that_are_there_are_removed_and_none_is_written() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let host = world.host(0)?;
    set(&world, host.name(), mark::REBOOT_REQUIRED, "WindowShut").await?;
    set(&world, host.name(), mark::MAINTENANCE_PLANNED, OURS).await?;
    // So that there is a reason to write.
    let never = json!({ "gates": { "conditions": [{ "type": mark::MAINTENANCE_IN_PROGRESS, "status": "True" }] } });
    policies::create(&world, "all", &never).await?;
    let options = ServicesOptions::default().set(setting::NODE_CONDITIONS, "false");
    let fleet = Fleet::start_in(world, options).await?;
    has(&fleet.world, host.name(), &[]).await?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    has(&fleet.world, host.name(), &[]).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    let written = leader
        .sum("bellwether_scheduler_node_conditions_total", "Written")
        .await?;
    assert!(
        (written - 1.0).abs() < f64::EPSILON,
        "{written} changes for one removal"
    );
    fleet.finish()
}
