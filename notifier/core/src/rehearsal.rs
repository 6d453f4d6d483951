//! What each target would get: a course of events as clusters have it, through the desk itself. So a preview shows texts, routes
//! and styles as they are sent, and no second renderer can differ from the first.

use std::collections::BTreeSet;

use bellwether_proto::{
    AttemptId, AttemptStart, Blocker, BlockerKind, BudgetNumbers, DrainFailure, DrainProgress, Fact, FleetEvent,
    FleetFact, Generation, NodeEvent, NodeName, Phase, PhaseDetail, PolicyQueue, Queues, UndrainableNodes,
};
use jiff::{SignedDuration, Timestamp};

use crate::desk::{Desk, Routed, State};
use crate::form::{self, Draft};
use crate::notification::{Kind, Notification};
use crate::queues::SHORT_AFTER;
use crate::settings::Settings;

/// What a target calls its thread in a preview.
const THREAD: &str = "1700000000.000100";

/// One message as its target would get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsed {
    /// The message.
    pub notification: Notification,
    /// Its form.
    pub draft: Draft,
}

/// The names that routes look at, in the messages of a rehearsal.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The policy of the nodes.
    pub policy: &'a str,
    /// The owner of the namespace whose pods block a drain.
    pub owner: &'a str,
}

/// The marked message of a trial.
#[must_use]
pub fn trial(settings: &Settings, at: Timestamp) -> Notification {
    Notification {
        kind: Kind::Test,
        severity: Kind::Test.severity(),
        cluster: settings.cluster.clone(),
        policy: Some(String::new()),
        node: String::new(),
        owners: BTreeSet::new(),
        attempt: String::new(),
        // Each trial is a message of its own.
        occasion: format!("test@{at}"),
        at,
        summary: "This is a test message of Bellwether: no node is rebooted".to_owned(),
        detail: String::new(),
        rollout: None,
    }
}

/// The messages of one rollout to the target at this place, in their order: one of each kind that routes and style lead there.
/// `at` is its time.
#[must_use]
pub fn rehearse(settings: &Settings, place: usize, sample: Sample<'_>, at: Timestamp) -> Vec<Rehearsed> {
    let Some(target) = settings.targets.get(place) else {
        return Vec::new();
    };
    let mut stage = Stage {
        desk: Desk::new(settings.clone(), State::default()),
        sample,
        now: at,
        messages: Vec::new(),
    };
    stage.play(settings);
    let mut has_thread = false;
    let own = stage.messages.into_iter().filter(|routed| routed.target == place);
    let rehearsed = own.map(|routed| {
        let thread = has_thread
            .then_some(THREAD)
            .filter(|_| routed.notification.rollout.is_some());
        has_thread |= target.has_threads() && routed.notification.rollout.is_some();
        Rehearsed {
            draft: form::draft(target, &routed.notification, thread),
            notification: routed.notification,
        }
    });
    rehearsed.collect()
}

struct Stage<'a> {
    desk: Desk,
    sample: Sample<'a>,
    now: Timestamp,
    messages: Vec<Routed>,
}

impl Stage<'_> {
    fn play(&mut self, settings: &Settings) {
        // Pods keep the drain of the first node from its end.
        self.enters("node-1", Phase::Draining, "");
        self.event("node-1", Fact::DrainProgressed(blocked(self.sample.owner)));
        self.passes(settings.blocked_after);
        self.passes(settings.stuck_after);
        let failed = Fact::DrainFailed {
            failure: DrainFailure::Timeout,
            message: "pod shop/web-0 waits for the disruption budget shop/web".to_owned(),
            obstacle: None,
            report: None,
        };
        self.event("node-1", failed);
        self.enters("node-1", Phase::RollingBack, "the drain failed");
        let message = "the API server refuses the drainer".to_owned();
        self.event("node-1", Fact::UncordonFailed { message });
        self.enters("node-1", Phase::Failed, "the cordon could not be removed in time");
        // The second one reboots.
        self.enters("node-2", Phase::Draining, "");
        if let Ok(boot_id) = "00000000-0000-4000-8000-000000000000".parse() {
            let method = "logind".to_owned();
            self.event("node-2", Fact::RebootStarted { boot_id, method });
        }
        self.enters("node-2", Phase::Done, "");
        // The third one does not.
        self.enters("node-3", Phase::Draining, "");
        let message = "logind does not answer".to_owned();
        self.event(
            "node-3",
            Fact::RebootFailed {
                message: message.clone(),
            },
        );
        let code = String::new();
        self.event("node-3", Fact::RebootRefused { message, code });
        self.enters("node-3", Phase::Cancelled, "cancelled by anna: disks");
        self.passes(settings.rollout_gap);
        self.queues(settings.held_after);
        self.passes(SHORT_AFTER.max(settings.blocked_after));
    }

    fn event(&mut self, node: &str, fact: Fact) {
        let Ok(node) = node.parse::<NodeName>() else { return };
        let Ok(uid) = node.as_str().parse() else { return };
        let event = NodeEvent {
            attempt: AttemptId::new(&uid, Generation(1), Timestamp::UNIX_EPOCH),
            node,
            generation: Generation(1),
            at: self.now,
            source: "a preview".to_owned(),
            fact,
        };
        let routed = self.desk.handle_event(&event, self.now, self.now);
        self.take(routed);
    }

    fn enters(&mut self, node: &str, to: Phase, message: &str) {
        let start = (to == Phase::Draining).then(|| AttemptStart {
            policy: self.sample.policy.to_owned(),
            ..AttemptStart::default()
        });
        let detail = PhaseDetail {
            start,
            ..PhaseDetail::default()
        };
        let entered = Fact::PhaseChanged {
            from: None,
            to,
            message: message.to_owned(),
            link: None,
            cause: None,
            detail: Some(Box::new(detail)),
        };
        self.event(node, entered);
    }

    fn queues(&mut self, held_after: SignedDuration) {
        let Ok(oldest_node) = "node-4".parse() else { return };
        let queue = PolicyQueue {
            policy: self.sample.policy.to_owned(),
            nodes: 12,
            oldest_since: self.now.checked_sub(held_after).unwrap_or(Timestamp::MIN),
            oldest_node,
            code: "WindowShut".to_owned(),
            message: "the windows of the policy are shut".to_owned(),
            left_over: 3,
            left_over_nodes: ["node-13", "node-14", "node-15"].map(str::to_owned).into(),
            opening_ends_at: self.now.checked_add(SignedDuration::from_hours(6)).ok(),
        };
        let undrainable = UndrainableNodes {
            policy: self.sample.policy.to_owned(),
            owner: self.sample.owner.to_owned(),
            nodes: 2,
            first_node: queue.oldest_node.clone(),
            message: "PodDisruptionBudget shop/web never allows an eviction".to_owned(),
        };
        let queues = Queues {
            policies: vec![queue],
            undrainable: vec![undrainable],
        };
        let event = FleetEvent {
            at: self.now,
            source: "a preview".to_owned(),
            fact: FleetFact::QueuesChanged(queues),
        };
        self.desk.handle_fleet_event(&event, self.now);
    }

    fn passes(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap_or(Timestamp::MAX);
        let routed = self.desk.handle_time(self.now);
        self.take(routed);
    }

    fn take(&mut self, routed: Vec<Routed>) {
        for Routed { target, notification } in &routed {
            self.desk.settled(*target, notification);
        }
        self.messages.extend(routed);
    }
}

fn blocked(owner: &str) -> DrainProgress {
    let budget = BudgetNumbers {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        healthy: 2,
        desired: 2,
        expected: 3,
    };
    DrainProgress {
        pods_left: 1,
        pods_gone: 11,
        held_up_by: vec!["pod shop/web-0 waits for the disruption budget shop/web".to_owned()],
        blockers: vec![Blocker {
            budget: Some(budget),
            namespace_owners: vec![owner.to_owned()],
            ..Blocker::of(BlockerKind::Budget, 1)
        }],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rehearsed(config: &str, place: usize) -> Vec<Rehearsed> {
        let settings = Settings::parse(config).unwrap();
        let sample = Sample {
            policy: "nights",
            owner: "team-shop",
        };
        rehearse(&settings, place, sample, Timestamp::UNIX_EPOCH)
    }

    fn kinds(rehearsed: &[Rehearsed]) -> Vec<Kind> {
        rehearsed.iter().map(|it| it.notification.kind).collect()
    }

    #[test]
    fn each_kind_but_the_test_is_shown_once_also_with_other_times() {
        for times in ["", "stuckAfter: 1m, rolloutGap: 10h, heldAfter: 5000h, "] {
            let config = format!("{{ {times}targets: [{{ name: a, webhook: {{ url: 'https://x.example/' }} }}] }}");
            let shown = kinds(&rehearsed(&config, 0));
            let all: BTreeSet<Kind> = shown.iter().copied().collect();
            let wanted: BTreeSet<Kind> = Kind::ALL.into_iter().filter(|it| *it != Kind::Test).collect();
            assert_eq!(all, wanted);
            assert_eq!(shown.first(), Some(&Kind::RolloutStarted));
            // Three attempts, of which each begins.
            assert_eq!(shown.len(), wanted.len() + 2, "{shown:?}");
        }
    }

    #[test]
    fn routes_style_and_thread_are_those_of_the_target() {
        const CONFIG: &str = "
targets:
  - name: bot
    slack: { tokenFile: /t, channel: C1 }
  - name: failures
    webhook: { url: 'https://x.example/' }
routes:
  - targets: [bot]
    policies: [nights]
  - targets: [failures]
    minSeverity: critical
";
        assert_eq!(kinds(&rehearsed(CONFIG, 1)), [Kind::AttemptFailed]);
        let bot = rehearsed(CONFIG, 0);
        let threads: Vec<bool> = bot
            .iter()
            .map(|it| match &it.draft {
                Draft::Post(post) => post.body.contains(THREAD),
                Draft::Letter(letter) => panic!("{letter:?}"),
            })
            .collect();
        // The route is of a policy, so no message is about the rollout; the first one begins the thread.
        assert_eq!(threads.first(), Some(&false));
        let policies = [Kind::NodesHeld, Kind::NodesUndrainable, Kind::WindowTooShort];
        for (message, in_thread) in bot.iter().zip(threads).skip(1) {
            assert_eq!(in_thread, !policies.contains(&message.notification.kind), "{message:?}");
        }
    }
}
