//! From a need to the cordon: how long after its sentinel's report a node is unschedulable, while slots are free.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bellwether_proto::NodeName;
use rig::wait;
use tokio::time::{MissedTickBehavior, interval};

use crate::Args;
use crate::bench::{DOWN, Parts};
use crate::table::{Table, seconds};

/// For 99 of 100 needs.
const CORDON_MAX: Duration = Duration::from_millis(300);

/// A short time down, so that slots are free again soon.
const DOWN_HERE: Duration = Duration::from_secs(1);

/// Longer than an attempt takes with that (two seconds of drain, one down, one of soak): so many needs as there are
/// slots come in this time, and each finds a free slot.
const ATTEMPT: Duration = Duration::from_millis(5000);

/// Much longer than any need may take.
const CORDON_WAIT: Duration = Duration::from_secs(30);

/// Much longer than the attempts that are still running at the end.
const DONE_WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn measure(parts: &Parts, args: &Args, table: &mut Table) -> Result<()> {
    parts.wait_known().await?;
    parts.hosts.stay_down_for(DOWN_HERE);
    let before = parts.sample()?;
    let mut ticks = interval(ATTEMPT / args.slots.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut needs: Vec<(NodeName, Instant)> = Vec::new();
    for index in 0..usize::try_from(args.needs)? {
        ticks.tick().await;
        let at = parts.hosts.require_reboot(index).await?;
        needs.push((parts.hosts.name(index)?.clone(), at));
    }
    let mut times = Vec::new();
    for (node, at) in &needs {
        let awaited = format!("{node} to be cordoned");
        let cordoned = wait::until(&awaited, CORDON_WAIT, async || {
            parts.observer.cordoned_at(node).context("it is schedulable")
        });
        times.push(cordoned.await?.duration_since(*at));
    }
    let usage = parts.sample()?.since(&before);
    let nodes: Vec<NodeName> = needs.into_iter().map(|(node, _)| node).collect();
    parts.observer.rebooted(&nodes, DONE_WAIT).await?;
    parts.hosts.stay_down_for(DOWN);

    times.sort();
    let median = percentile(&times, 50).context("no need was timed")?;
    let p99 = percentile(&times, 99).context("no need was timed")?;
    println!("{} single needs: {}", args.needs, usage.line());
    table.note("need to cordon, median", seconds(median));
    table.time(&format!("need to cordon, p99 of {}", args.needs), p99, CORDON_MAX);
    Ok(())
}

/// The smallest value that so many per cent of the sorted values do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::percentile;

    #[test]
    fn the_99th_percentile_of_200_values_is_the_third_largest() {
        let values: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&values, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(values.get(..1).unwrap(), 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 99), None);
    }
}
