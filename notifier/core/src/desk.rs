//! Events in, messages for targets out; and what is kept over a restart, so that none is sent twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::{Fact, FleetEvent, FleetFact, NodeEvent};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::blocked::{Blocked, owners};
use crate::named::{Early, Named};
use crate::news::{self, News};
use crate::notification::{Kind, Notification, Severity};
use crate::queues::{OfPolicy, Queues};
use crate::rollout::{RolloutId, Rollouts, Standing};
use crate::settings::{Settings, Target};

/// So many keys of settled messages are kept: several times what may wait for all targets at once, since an event whose
/// messages are settled comes again only while it is not acknowledged. Beside these the keys of messages that are still made
/// again and again are kept: for each target at most one for each attempt and drain that is known, and few for policies.
const SETTLED_MAX: usize = 8192;

/// So many more come before the oldest are forgotten: what is still made is then looked up once for all of them.
const SETTLED_BATCH: usize = 1024;

/// A message for a target, by its place in the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The target.
    pub target: usize,
    /// The message.
    pub notification: Notification,
}

/// What is kept over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    rollouts: Rollouts,
    named: Named,
    blocked: Blocked,
    queues: Queues,
    /// Keys of settled messages with their target, oldest first.
    settled: VecDeque<String>,
    /// By target: the rollout of its thread, and the target's name of the thread.
    threads: BTreeMap<String, (RolloutId, String)>,
}

impl State {
    /// Reads the JSON of a state. A field of another form, such as of another version, counts as empty and is named; the others
    /// count.
    ///
    /// # Errors
    /// The text is no object of JSON.
    pub fn read(text: &[u8]) -> Result<(Self, Vec<&'static str>), serde_json::Error> {
        let mut fields: serde_json::Map<String, Value> = serde_json::from_slice(text)?;
        let mut lost = Vec::new();
        let state = Self {
            rollouts: field(&mut fields, "rollouts", &mut lost),
            named: field(&mut fields, "named", &mut lost),
            blocked: field(&mut fields, "blocked", &mut lost),
            queues: field(&mut fields, "queues", &mut lost),
            settled: field(&mut fields, "settled", &mut lost),
            threads: field(&mut fields, "threads", &mut lost),
        };
        Ok((state, lost))
    }
}

fn field<T: Default + DeserializeOwned>(
    fields: &mut serde_json::Map<String, Value>,
    name: &'static str,
    lost: &mut Vec<&'static str>,
) -> T {
    let Some(value) = fields.remove(name) else {
        return T::default();
    };
    serde_json::from_value(value).unwrap_or_else(|_| {
        lost.push(name);
        T::default()
    })
}

/// Decides which messages go out.
#[derive(Debug)]
pub struct Desk {
    settings: Settings,
    state: State,
    is_settled: BTreeSet<String>,
    /// Above so many keys of settled messages the oldest are forgotten.
    forget_above: usize,
    early: Early,
    changes: u64,
}

impl Desk {
    /// Continues from this state.
    #[must_use]
    pub fn new(settings: Settings, state: State) -> Self {
        let mut desk = Self {
            is_settled: state.settled.iter().cloned().collect(),
            settings,
            state,
            early: Early::default(),
            forget_above: SETTLED_MAX,
            changes: 0,
        };
        // A file that another hand has filled.
        desk.forget_settled();
        desk
    }

    /// What has to be kept over a restart.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Grows with each change of the state.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The messages about an event that no target has yet. The same event gives the same messages until they are settled.
    /// `stored_at`: when the stream took it. Its writer's clock counts up to that.
    ///
    /// A rollout begins and lasts by the events of schedulers alone; those of drainers and agents count for attempts that
    /// a scheduler has named.
    pub fn handle_event(&mut self, event: &NodeEvent, stored_at: Timestamp, now: Timestamp) -> Vec<Routed> {
        let at = event.at.min(stored_at);
        if now.duration_since(at) > self.settings.max_age {
            return Vec::new();
        }
        self.changes += 1;
        if !matches!(event.fact, Fact::PhaseChanged { .. }) {
            let named = self.state.named.of(&event.attempt.to_string());
            return if named.is_some_and(|course| course.node == event.node.as_str()) {
                self.of_agent(event, at)
            } else {
                self.early.push(stored_at, event.clone());
                Vec::new()
            };
        }
        // A rollout that is over has its digest before the next one begins.
        let mut routed = self.handle_time(at);
        routed.extend(self.of_scheduler(event, at));
        for (stored_at, early) in self.early.take(event, stored_at) {
            routed.extend(self.of_agent(&early, early.at.min(stored_at)));
        }
        routed
    }

    /// Takes in an event of the fleet, whose queues count until the next such event: so its age does not matter. Its messages are
    /// due by time.
    pub fn handle_fleet_event(&mut self, event: &FleetEvent, stored_at: Timestamp) {
        let at = event.at.min(stored_at);
        self.changes += 1;
        match &event.fact {
            FleetFact::QueuesChanged(queues) => {
                let times = (at, stored_at);
                self.state.queues.take(queues, times, self.settings.held_after);
            }
        }
    }

    fn of_scheduler(&mut self, event: &NodeEvent, at: Timestamp) -> Vec<Routed> {
        let attempt = event.attempt.to_string();
        // Before the event ends the attempt that has kept the rollout going.
        let over_at = self.rollout_over_at();
        self.state.named.take(event, at, self.settings.max_age);
        self.state.blocked.ended(&attempt);
        let news = news::of(event);
        let standing = standing(news.as_ref().map(|news| news.kind));
        let gap = self.settings.rollout_gap;
        let rollout = self.state.rollouts.take((at, over_at), &attempt, standing, gap);
        let mut routed = Vec::new();
        if let Some(rollout) = &rollout {
            let started = News {
                kind: Kind::RolloutStarted,
                summary: format!("A rollout of reboots began with {}", event.node),
                detail: String::new(),
            };
            let started = self.notification(started, at, Some(rollout.clone()));
            routed.extend(self.routed(&started));
        }
        if let Some(news) = news {
            routed.extend(self.routed(&self.of_attempt(news, at, &attempt, rollout)));
        }
        routed
    }

    fn of_agent(&mut self, event: &NodeEvent, at: Timestamp) -> Vec<Routed> {
        let attempt = event.attempt.to_string();
        if let Fact::DrainProgressed(progress) = &event.fact {
            self.state.blocked.take(event, at, progress);
            if let Some(owners) = owners(progress) {
                self.state.named.is_blocked_by(&attempt, owners, at);
            }
        } else {
            self.state.blocked.ended(&attempt);
        }
        if let Fact::Drained { .. } = &event.fact {
            self.state.named.is_blocked_by(&attempt, BTreeSet::new(), at);
        }
        let rollout = self.state.rollouts.of(&attempt);
        let news = news::of(event);
        news.map_or_else(Vec::new, |news| {
            self.routed(&self.of_attempt(news, at, &attempt, rollout))
        })
    }

    /// A message about an attempt that a scheduler has named.
    fn of_attempt(&self, news: News, at: Timestamp, attempt: &str, rollout: Option<RolloutId>) -> Notification {
        let mut notification = self.notification(news, at, rollout);
        attempt.clone_into(&mut notification.attempt);
        let course = self.state.named.of(attempt);
        notification.policy = course.and_then(|course| course.policy.clone());
        if let Some(course) = course {
            notification.node.clone_from(&course.node);
            notification.owners = course.owners(at, self.settings.blocked_after);
        }
        // That one names them with the obstacles.
        if notification.kind != Kind::DrainBlocked && !notification.owners.is_empty() {
            let owners = notification.owners();
            notification
                .summary
                .push_str(&format!(" (pods of {owners} block the drain)"));
        }
        notification
    }

    /// The messages that are due by time alone, until each target has them: drains that are blocked, attempts that are stuck,
    /// policies whose nodes are held or do not fit, and the digest of a rollout that is over.
    pub fn handle_time(&mut self, now: Timestamp) -> Vec<Routed> {
        self.state.blocked.forget(now, self.settings.max_age);
        let due = self.timed().into_iter().filter(|notification| notification.at <= now);
        due.flat_map(|notification| self.routed(&notification)).collect()
    }

    /// When [`Self::handle_time`] is next due; none: nothing is due by time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let open = self.timed().into_iter().filter(|it| !self.routed(it).is_empty());
        open.map(|notification| notification.at).min()
    }

    /// The messages by time, each at the time at which it is due.
    fn timed(&self) -> Vec<Notification> {
        let State {
            rollouts,
            named,
            blocked,
            queues,
            ..
        } = &self.state;
        let mut timed = Vec::new();
        for (attempt, waiting) in blocked.iter() {
            for due in waiting.dues(self.settings.blocked_after) {
                let news = News {
                    kind: Kind::DrainBlocked,
                    summary: due.summary,
                    detail: due.detail,
                };
                let message = self.of_attempt(news, due.at, attempt, rollouts.of(attempt));
                timed.push(Notification {
                    owners: due.owners,
                    ..message
                });
            }
        }
        let stuck_after = self.settings.stuck_after;
        for (attempt, course) in named.in_progress() {
            let due = course.since.checked_add(stuck_after).unwrap_or(Timestamp::MAX);
            let news = News {
                kind: Kind::AttemptStuck,
                summary: format!(
                    "{}: the attempt is in {} for {stuck_after:#}",
                    course.node, course.phase
                ),
                detail: blocked
                    .of(attempt)
                    .map(|waiting| {
                        waiting
                            .detail_for(&course.owners(due, self.settings.blocked_after))
                            .to_owned()
                    })
                    .unwrap_or_default(),
            };
            timed.push(self.of_attempt(news, due, attempt, rollouts.of(attempt)));
        }
        for OfPolicy {
            policy,
            owner,
            occasion,
            due,
            news,
        } in queues.messages(self.settings.held_after, self.settings.blocked_after)
        {
            let mut notification = self.notification(news, due, None);
            notification.policy = Some(policy.to_owned());
            let owner = Some(owner.to_owned()).filter(|owner| !owner.is_empty());
            notification.owners.extend(owner);
            occasion.clone_into(&mut notification.occasion);
            timed.push(notification);
        }
        timed.extend(self.digest());
        timed
    }

    /// When the rollout of now is over, unless an event follows: the gap after its last one; later if one of its attempts is
    /// in progress, which is forgotten in the end.
    fn rollout_over_at(&self) -> Option<Timestamp> {
        let newest = self.state.rollouts.newest()?;
        let in_progress = self.state.named.in_progress();
        let in_progress = in_progress.filter(|(attempt, _)| newest.has(attempt));
        let forgotten = in_progress.map(|(_, course)| course.since.checked_add(self.settings.max_age));
        let after_gap = newest.last_at().checked_add(self.settings.rollout_gap);
        let ends = forgotten.chain([after_gap]).map(|end| end.unwrap_or(Timestamp::MAX));
        ends.max()
    }

    /// The message that the rollout of now is over, at the time at which it is.
    fn digest(&self) -> Option<Notification> {
        let rollout = self.state.rollouts.newest()?;
        let lasted = rollout.last_at().duration_since(rollout.begun_at());
        let minutes = lasted.as_mins();
        let ended = News {
            kind: Kind::RolloutEnded,
            summary: format!(
                "The rollout of reboots is over after {minutes} min: {}",
                rollout.summary()
            ),
            detail: String::new(),
        };
        let mut ended = self.notification(ended, self.rollout_over_at()?, Some(rollout.id()));
        if rollout.has_failed() {
            ended.severity = Severity::Warning;
        }
        Some(ended)
    }

    /// A message is settled at a target: delivered, or given up.
    pub fn settled(&mut self, target: usize, notification: &Notification) {
        let Some(target) = self.settings.targets.get(target) else {
            return;
        };
        self.changes += 1;
        if notification.kind == Kind::RolloutEnded
            && let Some(rollout) = &notification.rollout
        {
            self.state.rollouts.ended(rollout);
        }
        let key = settled_key(target, &notification.key());
        if self.is_settled.insert(key.clone()) {
            self.state.settled.push_back(key);
            self.forget_settled();
        }
    }

    /// Forgets the oldest keys above the limit, but none of a message that is still made: it would be sent again. Time makes
    /// its messages for as long as their occasion lasts, and each event of the rollout of now the one about its beginning.
    fn forget_settled(&mut self) {
        if self.state.settled.len() <= self.forget_above {
            return;
        }
        let of_rollout = self.state.rollouts.newest().map(|it| format!("{}:", it.id().as_str()));
        let made: BTreeSet<String> = self.timed().iter().map(Notification::key).collect();
        let is_made = |key: &str| made.contains(key) || of_rollout.as_ref().is_some_and(|it| key.starts_with(it));
        let mut surplus = self.state.settled.len().saturating_sub(SETTLED_MAX);
        let is_settled = &mut self.is_settled;
        self.state.settled.retain(|settled| {
            // No name of a target has a space.
            let stays = surplus == 0 || settled.split_once(' ').is_some_and(|(_, key)| is_made(key));
            if !stays {
                surplus -= 1;
                is_settled.remove(settled);
            }
            stays
        });
        self.forget_above = self.state.settled.len() + SETTLED_BATCH;
    }

    /// The target's name of the thread that this message belongs to; none: it begins one, or the target has none.
    #[must_use]
    pub fn thread(&self, target: usize, notification: &Notification) -> Option<&str> {
        let target = self.threaded(target)?;
        let (rollout, thread) = self.state.threads.get(&target.name)?;
        (Some(rollout) == notification.rollout.as_ref()).then_some(thread.as_str())
    }

    /// The target has taken the first message of a rollout, under this name.
    pub fn thread_begun(&mut self, target: usize, notification: &Notification, thread: &str) {
        if let Some(rollout) = &notification.rollout
            && self.thread(target, notification).is_none()
            && let Some(Target { name, .. }) = self.threaded(target)
        {
            let (name, thread) = (name.clone(), (rollout.clone(), thread.to_owned()));
            self.changes += 1;
            self.state.threads.insert(name, thread);
        }
    }

    /// The target does not know the thread any more.
    pub fn thread_gone(&mut self, target: usize) {
        if let Some(Target { name, .. }) = self.settings.targets.get(target) {
            self.changes += 1;
            self.state.threads.remove(name);
        }
    }

    fn threaded(&self, target: usize) -> Option<&Target> {
        let target = self.settings.targets.get(target)?;
        target.has_threads().then_some(target)
    }

    fn notification(&self, news: News, at: Timestamp, rollout: Option<RolloutId>) -> Notification {
        Notification {
            kind: news.kind,
            severity: news.kind.severity(),
            cluster: self.settings.cluster.clone(),
            policy: Some(String::new()),
            node: String::new(),
            owners: BTreeSet::new(),
            attempt: String::new(),
            occasion: String::new(),
            at,
            summary: news.summary,
            detail: news.detail,
            rollout,
        }
    }

    fn routed(&self, notification: &Notification) -> Vec<Routed> {
        let targets = self.settings.targets.iter().enumerate();
        let wanting = targets.filter(|(_, target)| {
            self.settings.wants(target, notification)
                && !self.is_settled.contains(&settled_key(target, &notification.key()))
        });
        wanting
            .map(|(target, _)| Routed {
                target,
                notification: notification.clone(),
            })
            .collect()
    }
}

fn settled_key(target: &Target, key: &str) -> String {
    format!("{} {key}", target.name)
}

/// How an attempt stands after an event of this kind.
fn standing(kind: Option<Kind>) -> Standing {
    match kind {
        Some(Kind::Rebooted) => Standing::Rebooted,
        Some(Kind::AttemptFailed) => Standing::Failed,
        Some(Kind::AttemptCancelled) => Standing::Cancelled,
        Some(
            Kind::DrainStarted
            | Kind::RebootStarted
            | Kind::DrainBlocked
            | Kind::DrainFailed
            | Kind::RebootRefused
            | Kind::RebootFailed
            | Kind::UncordonFailed
            | Kind::RolledBack
            | Kind::RolloutStarted
            | Kind::RolloutEnded
            | Kind::AttemptStuck
            | Kind::NodesHeld
            | Kind::NodesUndrainable
            | Kind::WindowTooShort
            | Kind::Test,
        )
        | None => Standing::UnderWay,
    }
}
