//! Take-over: how long no replica leads after the leader was stopped in order, and after it was killed.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rig::wait;

use crate::bench::{LEASE_DURATION, Parts, first_decision};
use crate::table::{Table, seconds};

/// From the signal to the other replica's hold of the Lease.
const ORDERLY_MAX: Duration = Duration::from_secs(1);

/// How much later than the end of a dead leader's Lease the other replica may hold it.
const KILLED_AFTER_LEASE_MAX: Duration = Duration::from_secs(1);

/// Enough to meet the Lease at different ages.
const TIMES: usize = 3;

/// How long a scheduler may take to stop.
const STOP_MAX: Duration = Duration::from_secs(20);

/// Much longer than any take-over may last.
const TAKEOVER_WAIT: Duration = Duration::from_secs(90);

/// Two instants after the end of the leader.
struct TakeOver {
    /// The other replica holds the Lease.
    held: Duration,
    /// The other replica has decided for the first time.
    decided: Duration,
}

pub(crate) async fn measure(parts: &Parts, table: &mut Table) -> Result<()> {
    let mut orderly = Vec::new();
    let mut killed = Vec::new();
    for number in 1..=TIMES {
        for (how, all) in [("stopped in order", &mut orderly), ("killed", &mut killed)] {
            let in_order = how == "stopped in order";
            let one = take_over(parts, in_order).await?;
            println!(
                "take-over {number}, leader {how}: Lease after {}, decision after {}",
                seconds(one.held),
                seconds(one.decided)
            );
            all.push(one);
        }
    }
    let slowest = |all: &[TakeOver], of: fn(&TakeOver) -> Duration| all.iter().map(of).max();
    let held = |take_over: &TakeOver| take_over.held;
    let decided = |take_over: &TakeOver| take_over.decided;
    for (how, all, limit) in [
        ("an orderly stop", &orderly, ORDERLY_MAX),
        ("a kill", &killed, LEASE_DURATION + KILLED_AFTER_LEASE_MAX),
    ] {
        let time = slowest(all, held).context("no take-over was timed")?;
        table.time(&format!("take-over after {how}, slowest of {TIMES}"), time, limit);
        let time = slowest(all, decided).context("no take-over was timed")?;
        table.note(
            &format!("first decision after {how}, slowest of {TIMES}"),
            seconds(time),
        );
    }
    Ok(())
}

/// Ends the leader and times the other replica; starts the ended one again as the standby.
async fn take_over(parts: &Parts, in_order: bool) -> Result<TakeOver> {
    parts.wait_known().await?;
    let (leader, standby) = (parts.leader()?, parts.standby()?);
    standby.wait_ready().await?;
    let began = Instant::now();
    let stop = async {
        if in_order {
            leader.process.terminate(STOP_MAX).await?;
        } else {
            leader.process.kill9();
        }
        Ok(())
    };
    let name = standby.process.name();
    let held = wait::until("the standby to hold the Lease", TAKEOVER_WAIT, async || {
        let holder = parts.observer.holder().filter(|(_, holder)| *holder == name);
        holder.map(|(since, _)| since).context("it does not")
    });
    let ((), held, decided) = tokio::try_join!(stop, held, first_decision(standby))?;
    leader.process.restart()?;
    leader.wait_ready().await?;
    Ok(TakeOver {
        held: held.duration_since(began),
        decided: decided.duration_since(began),
    })
}
