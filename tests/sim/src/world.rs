//! The world of one run: all parts together, the agenda, and the story.

use std::collections::BTreeMap;

use bellwether_proto::{BootId, NodeName};
use jiff::Timestamp;

use crate::agenda::Agenda;
use crate::bus::Bus;
use crate::cluster::Cluster;
use crate::happening::Happening;
use crate::host::Host;
use crate::job::{Job, JobId};
use crate::leader::Leader;
use crate::moment::{Ms, instant};
use crate::random::Random;
use crate::referee::Referee;
use crate::setup::{Setup, Way};

/// A drainer's process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Drainer {
    pub(crate) is_up: bool,
}

/// All of one run.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) random: Random,
    pub(crate) agenda: Agenda<Happening>,
    pub(crate) now: Ms,
    pub(crate) names: Vec<NodeName>,
    pub(crate) bus: Bus,
    pub(crate) cluster: Cluster,
    pub(crate) hosts: Vec<Host>,
    pub(crate) leaders: Vec<Leader>,
    pub(crate) leaders_started: u32,
    /// Error of the clock of each leader from now on.
    pub(crate) leader_skew: Ms,
    pub(crate) drainers: Vec<Drainer>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) jobs_started: JobId,
    /// The API server does not answer until then.
    pub(crate) api_away_until: Ms,
    pub(crate) needs_begun: u64,
    pub(crate) boots: u64,
    pub(crate) mishaps_left: usize,
    /// Since when no mishap happens any more.
    pub(crate) quiet_since: Option<Ms>,
    pub(crate) referee: Referee,
    pub(crate) story: Option<Vec<String>>,
    pub(crate) happenings: u64,
}

/// Adds a line to the story, if there is one. Costs nothing otherwise.
macro_rules! tell {
    ($world:expr, $($text:tt)*) => {
        if let Some(story) = &mut $world.story {
            story.push(format!("{} {}", $crate::moment::clock_face($world.now), format_args!($($text)*)));
        }
    };
}
pub(crate) use tell;

impl World {
    pub(crate) fn new(setup: Setup, story: bool) -> Self {
        let nodes = setup.nodes;
        let mut world = Self {
            random: Random::new(setup.seed),
            agenda: Agenda::new(),
            now: 0,
            names: (0..nodes)
                .map(|node| format!("n{node}").parse().expect("a node name"))
                .collect(),
            bus: Bus::new(nodes),
            cluster: Cluster::new(nodes),
            hosts: Vec::with_capacity(nodes),
            leaders: Vec::new(),
            leaders_started: 0,
            leader_skew: 0,
            drainers: vec![Drainer { is_up: true }; setup.drainers],
            jobs: BTreeMap::new(),
            jobs_started: 0,
            api_away_until: 0,
            needs_begun: 0,
            boots: 0,
            mishaps_left: setup.steps,
            quiet_since: None,
            referee: Referee::new(&setup),
            story: story.then(Vec::new),
            happenings: 0,
            setup,
        };
        for _ in 0..nodes {
            let boot = world.next_boot();
            world.hosts.push(Host::new(boot));
        }
        world
    }

    pub(crate) fn next_boot(&mut self) -> BootId {
        self.boots += 1;
        format!("boot-{}", self.boots).parse().expect("a boot id")
    }

    pub(crate) fn enter(&mut self, delay: Ms, happening: Happening) {
        self.agenda.enter(self.now + delay, happening);
    }

    /// A delay of a message on this way.
    pub(crate) fn delay(&mut self, way: Way) -> Ms {
        self.random.delay(self.setup.lag(way))
    }

    /// The moment at which a message on an ordered way arrives.
    pub(crate) fn in_order(&mut self, way: Way, last: &mut Ms) -> Ms {
        let at = (self.now + self.delay(way)).max(*last);
        *last = at;
        at
    }

    /// The time by a clock with this error.
    pub(crate) fn at(&self, skew: Ms) -> Timestamp {
        instant(self.now + skew)
    }

    pub(crate) fn index(&self, name: &NodeName) -> Option<usize> {
        let number: usize = name.as_str().get(1..)?.parse().ok()?;
        (number < self.names.len()).then_some(number)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet_since.is_some()
    }

    pub(crate) fn nats_is_away(&self) -> bool {
        self.now < self.bus.away_until
    }

    pub(crate) fn api_is_away(&self) -> bool {
        self.now < self.api_away_until
    }

    /// How long a request to NATS or the API server waits until the server is back.
    pub(crate) fn until_back(&mut self, back: Ms) -> Ms {
        (back - self.now).max(0) + self.random.between(10, 2_000)
    }
}
