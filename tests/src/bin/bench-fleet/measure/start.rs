//! From the start of a scheduler's process to its first decision, while no other replica runs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::bench::{Parts, first_decision};
use crate::table::{Table, seconds};

/// For the slowest of all starts.
const START_MAX: Duration = Duration::from_secs(3);

/// Enough to tell a slow start from an exception, few enough for a benchmark of minutes.
const STARTS: usize = 3;

/// How long a scheduler may take to stop.
const STOP_MAX: Duration = Duration::from_secs(20);

pub(crate) async fn measure(parts: &Parts, table: &mut Table) -> Result<()> {
    let (leader, standby) = (parts.leader()?, parts.standby()?);
    // In this order, so that no replica holds the Lease afterwards.
    standby.process.terminate(STOP_MAX).await?;
    leader.process.terminate(STOP_MAX).await?;
    let mut times = Vec::new();
    for number in 1..=STARTS {
        let before = parts.sample()?;
        let began = Instant::now();
        leader.process.restart()?;
        let time = first_decision(leader).await?.duration_since(began);
        // The new process counts from zero, so it is not in the earlier sample.
        let usage = parts.sample()?.since(&before);
        println!(
            "start {number}: {}; meanwhile, without the scheduler: {}",
            seconds(time),
            usage.line()
        );
        times.push(time);
        if number < STARTS {
            leader.process.terminate(STOP_MAX).await?;
        }
    }
    standby.process.restart()?;
    standby.wait_ready().await?;
    let slowest = times.iter().max().context("no start was timed")?;
    table.time(
        &format!("start of a scheduler to its first decision, slowest of {STARTS}"),
        *slowest,
        START_MAX,
    );
    Ok(())
}
