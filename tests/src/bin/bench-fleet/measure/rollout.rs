//! A rollout: many nodes need a reboot at the same moment.
//!
//! Its ideal is the time of a scheduler that loses none: as many rounds as the slots demand, each of the two seconds
//! for which a drain holds a cordon before it counts, the host's time down, and the soak.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{NodeName, Phase};

use crate::Args;
use crate::bench::{DOWN, Parts, SOAK};
use crate::table::{Table, seconds};

/// How long a node carries our cordon before a drain may call it drained (D49 in docs/drain-rules.md).
const SETTLE: Duration = Duration::from_secs(2);

/// The rollout may take so many times its ideal.
const IDEAL_TIMES_MAX: f64 = 1.1;

/// The phases of an attempt that ends as Done, in their order.
const PHASES: [Phase; 6] = [
    Phase::Draining,
    Phase::Rebooting,
    Phase::Verifying,
    Phase::Uncordoning,
    Phase::Soaking,
    Phase::Done,
];

pub(crate) async fn measure(parts: &Parts, args: &Args, table: &mut Table) -> Result<()> {
    parts.wait_known().await?;
    let count = usize::try_from(args.rollout)?;
    let first = parts.hosts.count() - count;
    let rounds = args.rollout.div_ceil(args.slots.get());
    let ideal = (SETTLE + DOWN + SOAK) * rounds;
    let before = parts.sample()?;
    let mut nodes: Vec<NodeName> = Vec::with_capacity(count);
    let began = Instant::now();
    for index in first..parts.hosts.count() {
        parts.hosts.require_reboot(index).await?;
        nodes.push(parts.hosts.name(index)?.clone());
    }
    parts
        .observer
        .rebooted(&nodes, ideal * 3 + Duration::from_secs(60))
        .await?;
    let usage = parts.sample()?.since(&before);
    println!("rollout of {count} nodes: {}", usage.line());

    let phases: Vec<Vec<(Phase, Instant)>> = nodes.iter().map(|node| last_attempt(parts, node)).collect();
    let ended = phases.iter().filter_map(|phases| Some(phases.last()?.1)).max();
    let took = ended.context("no node was rebooted")?.duration_since(began);
    println!("mean time of each phase: {}", means(&phases)?.join(", "));
    let most = parts.observer.most_cordoned();
    let slots = usize::try_from(args.slots.get())?;
    ensure!(most <= slots, "{most} nodes were cordoned at once under {slots} slots");
    table.note(
        &format!("rollout of {count} nodes, {slots} slots"),
        format!("{}, ideal {}", seconds(took), seconds(ideal)),
    );
    let times = took.as_secs_f64() / ideal.as_secs_f64();
    table.at_most("rollout against its ideal", times, IDEAL_TIMES_MAX, "x");
    Ok(())
}

/// The phases of the node's last attempt: it may have been rebooted before.
fn last_attempt(parts: &Parts, node: &NodeName) -> Vec<(Phase, Instant)> {
    let mut phases = parts.observer.phases(node);
    let start = phases.iter().rposition(|(phase, _)| *phase == Phase::Draining);
    phases.drain(..start.unwrap_or(0));
    phases
}

fn means(attempts: &[Vec<(Phase, Instant)>]) -> Result<Vec<String>> {
    let steps = PHASES.windows(2).map(|step| {
        let [phase, next] = step else {
            return Ok(String::new());
        };
        let times = attempts.iter().map(|phases| {
            let at = |wanted: &Phase| phases.iter().find(|(phase, _)| phase == wanted).map(|(_, at)| *at);
            let (from, to) = (at(phase), at(next));
            Some(to?.duration_since(from?))
        });
        let sum: Option<Duration> = times.sum();
        let sum = sum.context("an attempt skipped a phase")?;
        let mean = sum / u32::try_from(attempts.len())?.max(1);
        Ok(format!("{} {}", phase.as_str(), seconds(mean)))
    });
    steps.collect()
}
