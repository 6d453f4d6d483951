//! The fleet while it rolls: a table that is drawn again and again on a terminal, a line for each change elsewhere.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bellwether_proto::Phase;
use bellwether_proto::wire::fleet_service_client::FleetServiceClient;
use bellwether_proto::wire::{ListNodesRequest, NodeState, NodeStatus};
use rig::services::Services;
use rig::world::World;
use tonic::transport::Channel;

/// Often enough to see every state that lasts.
const INTERVAL: Duration = Duration::from_millis(200);

/// Longer than the scheduler needs to begin the next attempt, so that a fleet that stands still for this long waits for
/// something that the demo does not bring.
const STILL: Duration = Duration::from_secs(10);

/// Shows the fleet until every node has rebooted and needs nothing more, or, if that counts as an end, until it stands
/// still. Returns the nodes that are left then.
pub(crate) async fn until_done(
    world: &World,
    services: &Services,
    deadline: Duration,
    may_stand_still: bool,
) -> Result<Vec<NodeStatus>> {
    let started = Instant::now();
    let leader = services.leader(world).await?;
    let port = leader.api_port.context("a scheduler serves an API")?;
    let mut api = FleetServiceClient::connect(format!("http://127.0.0.1:{port}")).await?;
    let mut view = View::new();
    let mut moved = started;
    loop {
        let nodes = nodes(&mut api).await?;
        view.show(started.elapsed(), &nodes)?;
        let rolled = world
            .hosts()
            .iter()
            .all(|host| host.reboots() > 0 && !host.needs_reboot());
        if rolled && nodes.iter().all(|node| node.state() == NodeState::Idle) {
            println!();
            return Ok(Vec::new());
        }
        if !stands_still(&nodes) {
            moved = Instant::now();
        } else if may_stand_still && moved.elapsed() > STILL {
            println!();
            return Ok(nodes
                .into_iter()
                .filter(|node| node.state() != NodeState::Idle)
                .collect());
        }
        if started.elapsed() > deadline {
            bail!("not all nodes were rebooted within {deadline:?}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Some node waits, and none is in an attempt.
fn stands_still(nodes: &[NodeStatus]) -> bool {
    let is_in = |state: NodeState| nodes.iter().any(|node| node.state() == state);
    is_in(NodeState::Waiting) && !is_in(NodeState::InProgress)
}

async fn nodes(api: &mut FleetServiceClient<Channel>) -> Result<Vec<NodeStatus>> {
    Ok(api.list_nodes(ListNodesRequest {}).await?.into_inner().nodes)
}

struct View {
    terminal: bool,
    lines: usize,
    printed: BTreeMap<String, String>,
}

impl View {
    fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            lines: 0,
            printed: BTreeMap::new(),
        }
    }

    fn show(&mut self, elapsed: Duration, nodes: &[NodeStatus]) -> Result<()> {
        let seconds = elapsed.as_secs_f64();
        let mut out = std::io::stdout().lock();
        if self.terminal {
            // Back to the first line, and away with what stands there.
            if self.lines > 0 {
                write!(out, "\x1b[{}A\x1b[J", self.lines)?;
            }
            writeln!(out, "{seconds:5.1} s")?;
            for node in nodes {
                writeln!(out, "{}", line(node))?;
            }
            self.lines = nodes.len() + 1;
        } else {
            for node in nodes {
                let line = line(node);
                if self.printed.insert(node.node.clone(), line.clone()).as_ref() != Some(&line) {
                    writeln!(out, "{seconds:5.1} s  {line}")?;
                }
            }
        }
        Ok(out.flush()?)
    }
}

fn line(node: &NodeStatus) -> String {
    let ready = if node.ready { "Ready" } else { "NotReady" };
    let status = if node.unschedulable {
        format!("{ready},SchedulingDisabled")
    } else {
        ready.to_owned()
    };
    let phase = node
        .attempt
        .as_ref()
        .and_then(|attempt| Phase::from_wire(attempt.phase));
    let state = match node.state() {
        NodeState::Idle if phase == Some(Phase::Done) => "Done",
        NodeState::Idle => "Idle",
        NodeState::Waiting => "Waiting",
        NodeState::InProgress => phase.map_or("InProgress", Phase::as_str),
        NodeState::Failed => "Failed",
        NodeState::Unknown | NodeState::Unspecified => "Unknown",
    };
    let reason = node
        .reason
        .as_ref()
        .map(|reason| reason.message.as_str())
        .unwrap_or_default();
    let line = format!(
        "{:<10} {status:<26} {state:<12} {:<9} {reason}",
        node.node, node.kernel_running
    );
    line.trim_end().to_owned()
}
