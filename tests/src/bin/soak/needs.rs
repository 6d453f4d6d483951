//! Needs: each host gets a newer kernel again and again, a while after it has rebooted for the last one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use rig::host::Host;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::witness::Witness;

const TICK: Duration = Duration::from_millis(250);

/// Between a reboot and the next need of its host, in seconds. The first ones come within the half of it.
const WHILE: std::ops::RangeInclusive<u64> = 15..=50;

/// The hosts' needs.
pub(crate) struct Needs {
    hosts: BTreeMap<String, Need>,
    rng: Rng,
}

struct Need {
    host: Arc<Host>,
    /// How many there were.
    made: usize,
    /// When the next one comes; none while one is to be served.
    next: Option<Instant>,
}

impl Needs {
    pub(crate) fn new(hosts: Vec<Arc<Host>>, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let of = |host: Arc<Host>| {
            let next = Instant::now() + Duration::from_secs(rng.u64(0..=WHILE.end() / 2));
            let need = Need {
                host: Arc::clone(&host),
                made: 0,
                next: Some(next),
            };
            (host.name().to_owned(), need)
        };
        Self {
            hosts: hosts.into_iter().map(of).collect(),
            rng,
        }
    }

    /// Makes needs until `end`, and counts the reboots, for as long as the future lives.
    pub(crate) async fn run(&mut self, witness: &Witness, end: Instant) -> Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            for (name, need) in &mut self.hosts {
                let reboots = need.host.reboots();
                if reboots > need.made {
                    let made = need.made;
                    witness
                        .judge()
                        .violate(format!("{name} rebooted {reboots} times for {made} needs"));
                }
                match need.next {
                    None if reboots == need.made => {
                        need.next = Some(Instant::now() + Duration::from_secs(self.rng.u64(WHILE)));
                    }
                    Some(next) if next <= Instant::now() && next < end && need.host.is_heard() => {
                        need.made += 1;
                        need.next = None;
                        need.host.upgrade_kernel(&format!("6.12.{}", 48 + need.made))?;
                    }
                    None | Some(_) => {}
                }
            }
        }
    }

    /// How many needs there were, and how many reboots.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let needs = self.hosts.values().map(|need| need.made).sum();
        let reboots = self.hosts.values().map(|need| need.host.reboots()).sum();
        (needs, reboots)
    }
}
