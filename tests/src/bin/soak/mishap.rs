//! Mishaps: parts are killed (-9) and stopped (SIGSTOP) at random, by a seed, each on a course of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;
use rig::process::Process;
use tokio::time::{Instant, sleep};

/// What mishaps happen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Drainer,
    Scheduler,
    Nats,
    ApiServer,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drainer => "drainer",
            Self::Scheduler => "scheduler",
            Self::Nats => "NATS",
            Self::ApiServer => "API server",
        })
    }
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Kill,
    Stop,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill -9",
            Self::Stop => "SIGSTOP",
        })
    }
}

/// Times in milliseconds.
struct Habits {
    /// Between the end of a mishap and the next one.
    pause: RangeInclusive<u64>,
    /// From a kill to the start.
    down: RangeInclusive<u64>,
    /// From a stop to its end.
    stopped: RangeInclusive<u64>,
}

impl Target {
    fn habits(self) -> Habits {
        let (pause, down, stopped) = match self {
            // Beyond the ack wait of a command, which is 15 s.
            Self::Drainer => (5_000..=14_000, 0..=4_000, 1_000..=22_000),
            // Beyond the Lease of the soak, which is 3 s.
            Self::Scheduler => (12_000..=30_000, 0..=6_000, 1_000..=9_000),
            Self::Nats => (18_000..=45_000, 0..=6_000, 1_000..=9_000),
            // Its start alone keeps two cores busy for seconds.
            Self::ApiServer => (30_000..=70_000, 0..=4_000, 1_000..=7_000),
        };
        Habits { pause, down, stopped }
    }
}

/// How often each mishap happened.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<BTreeMap<(Target, Kind), usize>>);

impl Tally {
    fn add(&self, target: Target, kind: Kind) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((target, kind)).or_default() += 1;
    }

    /// All that happened, with its count.
    pub(crate) fn counts(&self) -> BTreeMap<(Target, Kind), usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One course of mishaps.
pub(crate) struct Course<'a> {
    target: Target,
    /// One of them is chosen for each mishap.
    processes: Vec<&'a Process>,
    rng: Rng,
    tally: &'a Tally,
    began: Instant,
}

impl<'a> Course<'a> {
    pub(crate) fn new(target: Target, processes: Vec<&'a Process>, seed: u64, tally: &'a Tally) -> Self {
        // Each course has its own numbers, so that the delays of one do not change another.
        let own = match target {
            Target::Drainer => 1,
            Target::Scheduler => 2,
            Target::Nats => 3,
            Target::ApiServer => 4,
        };
        Self {
            target,
            processes,
            rng: Rng::with_seed(seed.wrapping_mul(4).wrapping_add(own)),
            tally,
            began: Instant::now(),
        }
    }

    /// Lets mishaps happen until `end`; returns once the last one is over. Both kinds come in turn with a random begin, so
    /// that a short run has both.
    pub(crate) async fn run(mut self, end: Instant) -> Result<()> {
        let habits = self.target.habits();
        let mut kind = if self.rng.bool() { Kind::Kill } else { Kind::Stop };
        loop {
            let pause = Duration::from_millis(self.rng.u64(habits.pause.clone()));
            if Instant::now() + pause >= end {
                return Ok(());
            }
            sleep(pause).await;
            let lasts = match kind {
                Kind::Kill => habits.down.clone(),
                Kind::Stop => habits.stopped.clone(),
            };
            let lasts = Duration::from_millis(self.rng.u64(lasts));
            let chosen = self.rng.usize(..self.processes.len().max(1));
            let process = self.processes.get(chosen).context("a course without a process")?;
            println!(
                "{:7.1} s  {kind} {} for {:.1} s",
                self.began.elapsed().as_secs_f64(),
                process.name(),
                lasts.as_secs_f64()
            );
            self.tally.add(self.target, kind);
            match kind {
                Kind::Kill => process.kill9(),
                Kind::Stop => process.pause()?,
            }
            sleep(lasts).await;
            match kind {
                Kind::Kill => process.restart()?,
                Kind::Stop => process.resume()?,
            }
            kind = match kind {
                Kind::Kill => Kind::Stop,
                Kind::Stop => Kind::Kill,
            };
        }
    }
}
