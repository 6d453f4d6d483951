//! From a seed to a verdict.

use crate::happening::Happening;
use crate::moment::Ms;
use crate::referee::{Check, Violation};
use crate::setup::Setup;
use crate::world::World;

/// More happenings than any run has that settles: what exceeds them repeats itself without end.
const HAPPENINGS_MAX: u64 = 20_000_000;

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The first broken rule.
    pub violation: Option<Violation>,
    /// How often rules were broken that are known to be open.
    pub open: Vec<(Check, u32)>,
    /// The story, if asked for.
    pub story: Vec<String>,
    /// Virtual time that passed.
    pub time: Ms,
    /// Entries of the agenda.
    pub happenings: u64,
    /// Reboots that rebooters called.
    pub reboots: u64,
    /// Attempts that were started.
    pub attempts: u64,
}

/// Runs one seed. With `story`, the outcome has a line for each step that a reader may want.
#[must_use]
pub fn run(setup: Setup, story: bool) -> Outcome {
    let mut world = World::new(setup, story);
    world.begin();
    while let Some((at, happening)) = world.agenda.next() {
        world.now = at;
        world.happenings += 1;
        let looks = matches!(happening, Happening::Look);
        world.happens(happening);
        if world.referee.violation.is_some() || world.happenings > HAPPENINGS_MAX {
            break;
        }
        if looks && world.is_settled() {
            break;
        }
    }
    if world.story.is_some() {
        world.tell_standings();
    }
    Outcome {
        open: world
            .referee
            .open
            .iter()
            .map(|(check, count)| (*check, *count))
            .collect(),
        story: world.story.take().unwrap_or_default(),
        time: world.now,
        happenings: world.happenings,
        reboots: world.referee.reboots,
        attempts: world.referee.attempts,
        violation: world.referee.violation,
    }
}

impl World {
    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::LeaderStarts { deposed } => self.leader_starts(deposed),
            Happening::LeaderLoads(id) => self.leader_loads(id),
            Happening::LeaderLists(id) => self.leader_lists(id),
            Happening::LeaderHears(id, message) => self.leader_hears(id, message),
            Happening::EffectEnds(id, effect) => self.effect_ends(id, *effect),
            Happening::LeaderWakes(id, token) => self.leader_wakes(id, token),
            Happening::LeaderCrashes(id) => self.leader_crashes(id),
            Happening::LeaderNotices(id) => self.leader_notices(id),
            Happening::LeaderChecks(id) => self.leader_checks(id),
            Happening::EventReady(number) => self.event_ready(number),
            Happening::CommandOffered(place) => self.command_offered(place),
            Happening::CommandAgain(place, number) => self.command_again(place, number),
            Happening::JobHears(id, fact) => self.job_hears(id, *fact),
            Happening::JobWakes(id, token) => self.job_wakes(id, token),
            Happening::Patch(id, node, request, patch) => self.patch_arrives(id, node, request, &patch),
            Happening::Evict(id, node, uid) => self.eviction_arrives(id, node, uid),
            Happening::EventArrives { job, event, confirmed } => self.event_arrives(job, event, confirmed),
            Happening::DrainerStarts(drainer) => self.drainer_starts(drainer),
            Happening::PodEnds(node, uid) => self.pod_ends(node, &uid),
            Happening::PodChosen(node) => self.pod_chosen(node),
            Happening::PodBinds(node) => self.pod_binds(node),
            Happening::NodeUnheard(node, life) => self.node_unheard(node, life),
            Happening::NodeReady(node, life, ready) => self.node_ready(node, life, ready),
            Happening::HostGoesDown(node, life) => self.host_goes_down(node, life),
            Happening::HostComesUp(node, life) => self.host_comes_up(node, life),
            Happening::KubeletStarts(node, life) => self.kubelet_starts(node, life),
            Happening::SentinelStarts(node, life) => self.sentinel_starts(node, life),
            Happening::RebooterStarts(node, life) => self.rebooter_starts(node, life),
            Happening::SentinelWakes(node, token) => self.sentinel_wakes(node, token),
            Happening::SentinelReports(node, run, report) => self.sentinel_reports(node, run, *report),
            Happening::RebooterWakes(node, token) => self.rebooter_wakes(node, token),
            Happening::RebooterReports(node, run, report) => self.rebooter_reports(node, run, *report),
            Happening::RebooterLooks(node, run) => self.rebooter_looks(node, run),
            Happening::RebooterAnnounces(node, run, may_be_lost) => self.rebooter_announces(node, run, may_be_lost),
            Happening::RebooterAnnounced(node, run) => self.rebooter_announced(node, run),
            Happening::RebooterCalls(node, run) => self.rebooter_calls(node, run),
            Happening::Mishap => self.mishap(),
            Happening::MishapEnds(node, undo) => self.mishap_ends(node, undo),
            Happening::Look => self.look(),
            Happening::Repair => self.repair(),
        }
    }
}
