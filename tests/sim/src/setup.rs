//! The parameters of one run, drawn from its seed.
//!
//! Each seed enables its own part of the mishaps: a run with all of them at once would seldom come far, and a run
//! with three of them shows these three in depth.

use std::num::NonZeroU32;

use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;

use crate::moment::{MINUTE, Ms, SECOND};
use crate::random::{Lag, Random};

/// What the caller fixes; the rest is drawn from the seed.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Number of nodes.
    pub nodes: Option<usize>,
    /// Number of slots.
    pub slots: Option<u32>,
    /// Number of mishaps.
    pub steps: Option<usize>,
    /// The largest fleet that the seed may choose.
    pub nodes_max: Option<usize>,
    /// The story that the run plays instead of random mishaps.
    pub plot: Option<Plot>,
    /// Names of rules that are counted and do not end a run.
    pub ignored: Vec<String>,
}

impl Options {
    /// The flags of `cargo xtask sim` that fix the same, each after a space.
    #[must_use]
    pub fn flags(&self) -> String {
        let plot = self.plot.map(|plot| match plot {
            Plot::Blocked => "blocked",
            Plot::Flapping => "flapping",
        });
        let flags = [
            ("nodes", self.nodes.map(|value| value.to_string())),
            ("nodes-max", self.nodes_max.map(|value| value.to_string())),
            ("slots", self.slots.map(|value| value.to_string())),
            ("steps", self.steps.map(|value| value.to_string())),
            ("plot", plot.map(str::to_owned)),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        given.map(|(flag, value)| format!(" --{flag} {value}")).collect()
    }
}

/// A fixed course of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plot {
    /// So many nodes that one slot could be busy with them for ever have drains that never end; one node is free.
    Blocked,
    /// A host whose preflight, need and cordon change all the time.
    Flapping,
}

/// The ways of messages, each with delays of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    NodesToLeader,
    ReportsToLeader,
    EventsToLeader,
    Commands,
    PodsToDrainer,
    NodeToDrainer,
    Hints,
    Nats,
    Api,
}

const WAYS: usize = 9;

/// What can happen to a run. See `act::mishap` for what each one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mishap {
    NeedBegins,
    NeedRenewed,
    NeedClears,
    NeedWillSurvive,
    ProbeFails,
    SentinelSilent,
    SentinelRestarts,
    PreflightFails,
    RebooterSilent,
    RebooterRestarts,
    BudgetBlocks,
    PodSticks,
    HostReboots,
    HostIgnores,
    HostStaysDown,
    HostComesBackLate,
    HostGoesDownSlowly,
    NodeComesBackNotReady,
    ReadyFlaps,
    LeaderCrashes,
    LeaderChanges,
    LeaderStalls,
    LeaderClockJumps,
    HostClockJumps,
    DrainerCrashes,
    DrainersAway,
    CommandComesTwice,
    ApiAway,
    NatsAway,
    NodeDeleted,
    NodeReplaced,
    OperatorCordons,
    OperatorUncordons,
    OperatorStripsMark,
    OperatorStripsAndUncordons,
    OperatorCancels,
    OperatorPauses,
}

pub(crate) const MISHAPS: [Mishap; 37] = [
    Mishap::NeedBegins,
    Mishap::NeedRenewed,
    Mishap::NeedClears,
    Mishap::NeedWillSurvive,
    Mishap::ProbeFails,
    Mishap::SentinelSilent,
    Mishap::SentinelRestarts,
    Mishap::PreflightFails,
    Mishap::RebooterSilent,
    Mishap::RebooterRestarts,
    Mishap::BudgetBlocks,
    Mishap::PodSticks,
    Mishap::HostReboots,
    Mishap::HostIgnores,
    Mishap::HostStaysDown,
    Mishap::HostComesBackLate,
    Mishap::HostGoesDownSlowly,
    Mishap::NodeComesBackNotReady,
    Mishap::ReadyFlaps,
    Mishap::LeaderCrashes,
    Mishap::LeaderChanges,
    Mishap::LeaderStalls,
    Mishap::LeaderClockJumps,
    Mishap::HostClockJumps,
    Mishap::DrainerCrashes,
    Mishap::DrainersAway,
    Mishap::CommandComesTwice,
    Mishap::ApiAway,
    Mishap::NatsAway,
    Mishap::NodeDeleted,
    Mishap::NodeReplaced,
    Mishap::OperatorCordons,
    Mishap::OperatorUncordons,
    Mishap::OperatorStripsMark,
    Mishap::OperatorStripsAndUncordons,
    Mishap::OperatorCancels,
    Mishap::OperatorPauses,
];

/// The parameters of one run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The seed: of these parameters, and of all that happens.
    pub seed: u64,
    /// Number of nodes.
    pub nodes: usize,
    /// How many of them are part of the control plane.
    pub control_plane: usize,
    /// What the scheduler may do.
    pub policy: Policy,
    /// Number of mishaps.
    pub steps: usize,
    /// The fixed course, if there is one.
    pub plot: Option<Plot>,
    /// Time between two mishaps, on average.
    pub(crate) gap: Ms,
    pub(crate) drainers: usize,
    pub(crate) refresh: Ms,
    pub(crate) pods_max: usize,
    /// Of a thousand nodes, how many need a reboot from the start.
    pub(crate) needy: u32,
    pub(crate) mishaps: Vec<Mishap>,
    lags: [Lag; WAYS],
    /// Of a thousand acknowledgements and replies of NATS, how many are lost.
    pub(crate) lost_acks: u32,
    /// Of a thousand hints and progress events, how many are lost.
    pub(crate) lost_hints: u32,
    pub(crate) ignored: Vec<String>,
}

impl Setup {
    /// The parameters of this seed, with what the options fix.
    #[must_use]
    pub fn new(seed: u64, options: &Options) -> Self {
        let random = &mut Random::new(!seed);
        let size = match random.between(0, 999) {
            0..=759 => random.between(3, 6),
            760..=969 => random.between(7, 16),
            970..=997 => random.between(17, 80),
            _ => random.between(81, 500),
        };
        let drawn = usize::try_from(size)
            .expect("a number of nodes")
            .min(options.nodes_max.unwrap_or(500));
        let nodes = options.nodes.unwrap_or(drawn).max(1);
        let slots_max = i64::try_from((nodes / 2).clamp(1, 20)).unwrap_or(20);
        let drawn = if random.chance(400) {
            1
        } else {
            random.between(1, slots_max)
        };
        let slots = options.slots.unwrap_or_else(|| u32::try_from(drawn).unwrap_or(1));
        let slots = NonZeroU32::new(slots).unwrap_or(NonZeroU32::MIN);
        let control_plane = usize::try_from(random.between(0, 3)).unwrap_or(0).min(nodes);
        let mut mishaps: Vec<Mishap> = MISHAPS.into_iter().filter(|_| random.chance(350)).collect();
        if !mishaps.contains(&Mishap::NeedBegins) {
            mishaps.push(Mishap::NeedBegins);
        }
        let calm = random.chance(100);
        let mut setup = Self {
            seed,
            nodes,
            control_plane,
            policy: policy(random, slots),
            steps: options
                .steps
                .unwrap_or_else(|| usize::try_from(random.between(5, 60)).unwrap_or(5)),
            plot: options.plot,
            gap: random.between(5 * SECOND, 4 * MINUTE),
            drainers: usize::try_from(random.between(1, 3)).unwrap_or(1),
            refresh: random.between(2 * MINUTE, 10 * MINUTE),
            pods_max: usize::try_from(random.between(0, 3)).unwrap_or(0),
            needy: u32::try_from(random.between(200, 1_000)).unwrap_or(500),
            mishaps,
            lags: std::array::from_fn(|_| lag(random, calm)),
            lost_acks: random.pick(&[0, 0, 20, 100]),
            lost_hints: random.pick(&[0, 50, 300]),
            ignored: options.ignored.clone(),
        };
        if let Some(plot) = options.plot {
            setup.play(plot, options);
        }
        setup
    }

    /// Fixes the parameters that a plot needs.
    fn play(&mut self, plot: Plot, options: &Options) {
        self.mishaps.clear();
        self.control_plane = 0;
        self.policy = Policy {
            slots: self.policy.slots,
            ..Policy::default()
        };
        match plot {
            Plot::Blocked => {
                self.steps = options.steps.unwrap_or(60);
                self.gap = 60 * MINUTE;
                self.pods_max = 1;
                self.refresh = 10 * MINUTE;
                self.needy = 1_000;
            }
            Plot::Flapping => {
                self.steps = options.steps.unwrap_or(120);
                self.gap = 30 * SECOND;
                self.mishaps = vec![
                    Mishap::NeedClears,
                    Mishap::NeedBegins,
                    Mishap::PreflightFails,
                    Mishap::OperatorUncordons,
                    Mishap::OperatorStripsAndUncordons,
                    Mishap::HostReboots,
                ];
            }
        }
    }

    pub(crate) fn lag(&self, way: Way) -> Lag {
        self.lags[way as usize]
    }
}

fn policy(random: &mut Random, slots: NonZeroU32) -> Policy {
    let minutes =
        |random: &mut Random, low, high| SignedDuration::from_millis(random.between(low * MINUTE, high * MINUTE));
    if random.chance(150) {
        return Policy {
            slots,
            ..Policy::default()
        };
    }
    Policy {
        slots,
        drain_timeout: minutes(random, 1, 8),
        reboot_start_timeout: minutes(random, 1, 3),
        reboot_timeout: minutes(random, 4, 12),
        verify_timeout: minutes(random, 2, 6),
        uncordon_timeout: minutes(random, 1, 3),
        soak: SignedDuration::from_secs(random.between(5, 60)),
        retry_delay: minutes(random, 2, 12),
        ..Policy::default()
    }
}

fn lag(random: &mut Random, calm: bool) -> Lag {
    let slow = if calm { 0 } else { random.pick(&[0, 5, 30, 100]) };
    Lag {
        usual: random.pick(&[2, 10, 50, 400]),
        worst: random.pick(&[500, 3_000, 15_000]),
        slow,
    }
}
