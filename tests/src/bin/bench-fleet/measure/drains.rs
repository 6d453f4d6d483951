//! Memory, connections and requests of one drainer with many drains in flight, and a free node beside them.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::NodeName;
use futures_util::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use rig::service::Service;
use rig::wait;
use rig::workload::NAMESPACE;

use crate::Args;
use crate::bench::Parts;
use crate::cpu;
use crate::load::{self, FREE};
use crate::table::{Table, seconds};

/// MiB.
const MEMORY_MAX: f64 = 150.0;
/// Requests of one blocked drain in a second.
const REQUESTS_MAX: f64 = 0.5;
/// From a budget's room to the eviction.
const NOTICE_MAX: Duration = Duration::from_secs(1);
/// Of a free node beside blocked drains, against the same alone: two short times on busy cores.
const BESIDE_MAX: f64 = 1.5;

/// Much longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// So many drains the first look at connections has.
const FEW: usize = 10;

pub(crate) async fn measure(parts: &Parts, args: &Args, drains: usize, table: &mut Table) -> Result<()> {
    let drainer = parts.services.drainers.first().context("no drainer")?;
    let (idle, _) = memory(drainer)?;
    table.note("resident memory without a drain", format!("{idle:.0} MiB"));
    let alone = fastest(parts, 0..FREE / 2).await?;

    let few = drains.min(FEW);
    block(parts, drainer, FREE..FREE + few, few).await?;
    table.note(
        &format!("connections to the API server, {few} drains"),
        connections(drainer)?.to_string(),
    );
    block(parts, drainer, FREE + few..FREE + drains, drains).await?;

    let before = (requests(parts)?, Instant::now());
    // The subject is this window of time itself: every drain waits for its budget.
    tokio::time::sleep(Duration::from_secs(args.idle.into())).await;
    let sent = requests(parts)? - before.0;
    let each = sent as f64 / before.1.elapsed().as_secs_f64() / drains as f64;
    table.at_most(
        &format!("requests of one of {drains} blocked drains"),
        each,
        REQUESTS_MAX,
        "/s",
    );
    table.note(
        &format!("connections to the API server, {drains} drains"),
        connections(drainer)?.to_string(),
    );

    let beside = fastest(parts, FREE / 2..FREE).await?;
    table.note("110 free pods gone after, alone", seconds(alone));
    table.note(&format!("the same beside {drains} blocked drains"), seconds(beside));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    table.at_most("beside against alone", ratio, BESIDE_MAX, "x");

    let noticed = notice(parts, FREE).await?;
    table.time("from a budget's room to the eviction", noticed, NOTICE_MAX);
    let (now, most) = memory(drainer)?;
    table.note(
        &format!("resident memory, {drains} drains, now"),
        format!("{now:.0} MiB"),
    );
    table.at_most(
        &format!("resident memory, {drains} drains, at most"),
        most,
        MEMORY_MAX,
        "MiB",
    );
    Ok(())
}

fn memory(drainer: &Service) -> Result<(f64, f64)> {
    cpu::memory_mib(drainer.process.pid().context("the drainer does not run")?)
}

/// Waits until these nodes are drained, each with an eviction that its budget has refused; so many drains are under way.
async fn block(parts: &Parts, drainer: &Service, nodes: std::ops::Range<usize>, under_way: usize) -> Result<()> {
    for node in nodes {
        parts.hosts.require_reboot(node).await?;
    }
    let wanted = u32::try_from(under_way)?;
    wait::until(&format!("{under_way} blocked drains"), DEADLINE, async || {
        let drains = drainer.metric("bellwether_drainer_drains_under_way").await?;
        let refused = drainer
            .metric("bellwether_drainer_evictions_total{answer=\"BudgetBlocked\"}")
            .await;
        let refused = refused.unwrap_or_default();
        ensure!(
            drains >= wanted.into() && refused >= wanted.into(),
            "{drains} drains, {refused} refused"
        );
        Ok(())
    })
    .await
}

/// The least time of these free nodes, one after the other: other programs of the machine only add to it.
async fn fastest(parts: &Parts, nodes: std::ops::Range<usize>) -> Result<Duration> {
    let mut fastest = Duration::MAX;
    for node in nodes {
        fastest = fastest.min(empty(parts, node).await?);
    }
    Ok(fastest)
}

/// Has a free node drained. Returns the time from its cordon to the end of its last pod.
async fn empty(parts: &Parts, node: usize) -> Result<Duration> {
    let name = parts.hosts.name(node)?.clone();
    let mut changes = changes(parts, &name).await?;
    let mut left: BTreeSet<String> = changes.pods;
    ensure!(left.len() == load::FULL, "{} pods on {name}", left.len());
    parts.hosts.require_reboot(node).await?;
    let gone_at = wait::within("the pods of a free node to be gone", DEADLINE, async {
        while !left.is_empty() {
            if let Event::Delete(pod) = changes.events.try_next().await?.context("the watch ended")? {
                left.remove(&pod.name_any());
            }
        }
        Ok(Instant::now())
    })
    .await?;
    let cordoned_at = parts.observer.cordoned_at(&name).context("it was not cordoned")?;
    Ok(gone_at.duration_since(cordoned_at))
}

/// Gives the budget of a blocked node room for one pod. Returns the time until a pod goes.
async fn notice(parts: &Parts, node: usize) -> Result<Duration> {
    let mut changes = changes(parts, parts.hosts.name(node)?).await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(parts.world.client(), NAMESPACE);
    let healthy = i32::try_from(changes.pods.len())?;
    let began = Instant::now();
    load::set_room(&budgets, node, healthy, 1).await?;
    wait::within("a pod to go", DEADLINE, async {
        loop {
            match changes.events.try_next().await?.context("the watch ended")? {
                Event::Apply(pod) if pod.metadata.deletion_timestamp.is_some() => return Ok(began.elapsed()),
                Event::Apply(_) | Event::Delete(_) | Event::Init | Event::InitApply(_) | Event::InitDone => (),
            }
        }
    })
    .await
}

/// The pods of a node, by name, and their changes from then on.
struct Changes {
    pods: BTreeSet<String>,
    events: futures_util::stream::BoxStream<'static, watcher::Result<Event<Pod>>>,
}

async fn changes(parts: &Parts, node: &NodeName) -> Result<Changes> {
    let on_node = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut events = watcher::watcher(Api::<Pod>::all(parts.world.client()), on_node).boxed();
    let mut pods = BTreeSet::new();
    loop {
        match events.try_next().await?.context("the watch ended")? {
            Event::InitApply(pod) => drop(pods.insert(pod.name_any())),
            Event::InitDone => return Ok(Changes { pods, events }),
            Event::Init | Event::Apply(_) | Event::Delete(_) => (),
        }
    }
}

/// The requests of the drainer that the API server has answered so far, watches included.
fn requests(parts: &Parts) -> Result<usize> {
    let log = fs::read_to_string(parts.world.control_plane.audit_log()).context("no audit log")?;
    let of_drainer = log.lines().filter(|line| {
        line.contains("\"username\":\"system:serviceaccount:bellwether:drainer\"")
            && line.contains("\"stage\":\"ResponseComplete\"")
    });
    Ok(of_drainer.count())
}

/// The connections of the drainer to the API server that stand now.
fn connections(drainer: &Service) -> Result<usize> {
    let pid = drainer.process.pid().context("the drainer does not run")?;
    let folder = format!("/proc/{pid}/fd");
    let mut sockets = BTreeSet::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
        let link = fs::read_link(entry?.path()).unwrap_or_default();
        let link = link.to_string_lossy();
        let inode = link.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        sockets.extend(inode.map(str::to_owned));
    }
    let port = api_port(drainer)?;
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).context("no table of connections")?;
    Ok(count_connections(&table, port, &sockets))
}

/// The established connections to this port among these sockets.
fn count_connections(table: &str, port: u16, sockets: &BTreeSet<String>) -> usize {
    let remote = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(2).is_some_and(|address| address.ends_with(&remote))
            && fields.get(3) == Some(&"01")
            && fields.get(9).is_some_and(|inode| sockets.contains(*inode))
    };
    table.lines().filter(is_one).count()
}

/// The port of the API server, as the drainer's access names it.
fn api_port(drainer: &Service) -> Result<u16> {
    let program = drainer.process.program();
    let path = program.env.get("KUBECONFIG").context("the drainer has no access")?;
    let access = fs::read_to_string(path).context("no access")?;
    let address = access
        .split("https://127.0.0.1:")
        .nth(1)
        .context("no address of the API server")?;
    let digits: String = address.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().context("no port of the API server")
}

#[cfg(test)]
mod tests {
    use super::count_connections;

    #[test]
    fn only_established_connections_of_the_process_to_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
            1: 0100007F:9C41 0100007F:1F90 06 00000000:00000000 00:00000000 00000000     0        0 12 1\n   \
            2: 0100007F:9C42 0100007F:1F91 01 00000000:00000000 00:00000000 00000000     0        0 13 1\n   \
            3: 0100007F:9C43 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 14 1\n";
        let sockets = ["11", "12", "13"].map(str::to_owned).into();
        assert_eq!(count_connections(table, 0x1F90, &sockets), 1);
    }
}
