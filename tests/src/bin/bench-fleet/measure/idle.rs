//! Processor time and memory of the leading scheduler while no node needs a reboot.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::Args;
use crate::bench::Parts;
use crate::cpu;
use crate::table::Table;

/// Per cent of one core.
const LEADER_MAX: f64 = 2.0;

pub(crate) async fn measure(parts: &Parts, args: &Args, table: &mut Table) -> Result<()> {
    let (leader, standby) = (parts.leader()?.process.name(), parts.standby()?.process.name());
    let before = parts.sample()?;
    // The subject is this window of time itself: agents renew their reports, and no other thing happens.
    tokio::time::sleep(Duration::from_secs(args.idle.into())).await;
    let usage = parts.sample()?.since(&before);
    println!(
        "idle over {} s, per cent of one of {} cores: {}",
        args.idle,
        cpu::cores(),
        usage.line()
    );
    let nodes = args.nodes;
    table.at_most(
        &format!("idle scheduler that leads, {nodes} nodes"),
        usage.of(&leader)?,
        LEADER_MAX,
        "% of a core",
    );
    table.note(
        "idle scheduler that stands by",
        format!("{:.2} % of a core", usage.of(&standby)?),
    );
    for (role, service) in [("leads", parts.leader()?), ("stands by", parts.standby()?)] {
        let pid = service.process.pid().context("a scheduler does not run")?;
        let (now, most) = cpu::memory_mib(pid)?;
        table.note(
            &format!("resident memory of the scheduler that {role}"),
            format!("{now:.0} MiB, at most {most:.0} MiB"),
        );
    }
    Ok(())
}
