//! Events in, messages for targets out; and what is kept over a restart, so that none is sent twice.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bellwether_proto::{Fact, NodeEvent};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::blocked::{Blocked, Waiting};
use crate::named::{Early, Named};
use crate::news::{self, News};
use crate::notification::{Kind, Notification, Severity};
use crate::rollout::{RolloutId, Rollouts, Standing};
use crate::settings::{Settings, Style, Target};

/// So many keys of settled messages are kept: several times what may wait for all targets at once, since an event whose
/// messages are settled comes again only while it is not acknowledged.
const SETTLED_MAX: usize = 8192;

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
    /// Keys of settled messages with their target, oldest first.
    settled: VecDeque<String>,
    /// By target: the rollout of its thread, and the target's name of the thread.
    threads: BTreeMap<String, (RolloutId, String)>,
}

/// Decides which messages go out.
#[derive(Debug)]
pub struct Desk {
    settings: Settings,
    state: State,
    is_settled: BTreeSet<String>,
    early: Early,
    changes: u64,
}

impl Desk {
    /// Continues from this state.
    #[must_use]
    pub fn new(settings: Settings, mut state: State) -> Self {
        // A file that another hand has filled.
        state.settled.truncate(SETTLED_MAX);
        Self {
            is_settled: state.settled.iter().cloned().collect(),
            settings,
            state,
            early: Early::default(),
            changes: 0,
        }
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
            return if self
                .state
                .named
                .contains(&event.attempt.to_string(), event.node.as_str())
            {
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

    fn of_scheduler(&mut self, event: &NodeEvent, at: Timestamp) -> Vec<Routed> {
        let attempt = event.attempt.to_string();
        let node = event.node.as_str();
        self.state.named.take(&attempt, node, at, self.settings.max_age);
        self.state.blocked.ended(&attempt);
        let news = news::of(event);
        let standing = standing(news.as_ref().map(|news| news.kind));
        let gap = self.settings.rollout_gap;
        let rollout = self.state.rollouts.take(at, &attempt, standing, gap);
        let mut routed = Vec::new();
        if let Some(rollout) = &rollout {
            let started = News {
                kind: Kind::RolloutStarted,
                summary: format!("A rollout of reboots began with {node}"),
                detail: String::new(),
            };
            let started = self.notification(started, at, Some(rollout.clone()));
            routed.extend(self.routed(&started));
        }
        if let Some(news) = news {
            routed.extend(self.of_node(news, event, at, rollout));
        }
        routed
    }

    fn of_agent(&mut self, event: &NodeEvent, at: Timestamp) -> Vec<Routed> {
        let attempt = event.attempt.to_string();
        if let Fact::DrainProgressed(progress) = &event.fact {
            self.state.blocked.take(event, at, progress);
        } else {
            self.state.blocked.ended(&attempt);
        }
        let rollout = self.state.rollouts.of(&attempt);
        news::of(event).map_or_else(Vec::new, |news| self.of_node(news, event, at, rollout))
    }

    fn of_node(&self, news: News, event: &NodeEvent, at: Timestamp, rollout: Option<RolloutId>) -> Vec<Routed> {
        let mut notification = self.notification(news, at, rollout);
        notification.node = event.node.to_string();
        notification.attempt = event.attempt.to_string();
        self.routed(&notification)
    }

    /// The messages that are due by time alone, until each target has them: drains that are blocked, and the digest of a
    /// rollout that is over.
    pub fn handle_time(&mut self, now: Timestamp) -> Vec<Routed> {
        self.state.blocked.forget(now, self.settings.max_age);
        let blocked = self.state.blocked.iter().filter(|(_, waiting)| waiting.due() <= now);
        let mut routed: Vec<_> = blocked
            .flat_map(|(attempt, waiting)| self.of_blocked(attempt, waiting))
            .collect();
        let newest = self.state.rollouts.newest();
        if newest.is_some_and(|it| now.duration_since(it.last_at()) > self.settings.rollout_gap) {
            routed.extend(self.digest());
        }
        routed
    }

    /// When [`Self::handle_time`] is next due; none: nothing is due by time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let blocked = self.state.blocked.iter();
        let blocked = blocked.filter(|(attempt, waiting)| !self.of_blocked(attempt, waiting).is_empty());
        let blocked = blocked.map(|(_, waiting)| waiting.due()).min();
        let newest = self.state.rollouts.newest().filter(|_| !self.digest().is_empty());
        let gap = self.settings.rollout_gap;
        let digest = newest.map(|it| it.last_at().checked_add(gap).unwrap_or(Timestamp::MAX));
        blocked.into_iter().chain(digest).min()
    }

    fn of_blocked(&self, attempt: &str, waiting: &Waiting) -> Vec<Routed> {
        let news = News {
            kind: Kind::DrainBlocked,
            summary: waiting.summary.clone(),
            detail: waiting.detail.clone(),
        };
        let mut notification = self.notification(news, waiting.due(), self.state.rollouts.of(attempt));
        notification.node.clone_from(&waiting.node);
        attempt.clone_into(&mut notification.attempt);
        self.routed(&notification)
    }

    /// The message that the rollout of now is over, as if it were.
    fn digest(&self) -> Vec<Routed> {
        let Some(rollout) = self.state.rollouts.newest() else {
            return Vec::new();
        };
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
        let has_failed = rollout.has_failed();
        let mut ended = self.notification(ended, rollout.last_at(), Some(rollout.id()));
        if has_failed {
            ended.severity = Severity::Warning;
        }
        self.routed(&ended)
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
        }
        // Those about the rollout of now stay: each of its events gives the message about its beginning again. There are
        // two for each target.
        let newest = self.state.rollouts.newest().map(|it| format!(" {}:", it.id().as_str()));
        while self.state.settled.len() > SETTLED_MAX
            && let Some(oldest) = self.state.settled.pop_front()
        {
            if newest.as_ref().is_some_and(|newest| oldest.contains(newest)) {
                self.state.settled.push_back(oldest);
            } else {
                self.is_settled.remove(&oldest);
            }
        }
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
        (target.style == Style::Thread).then_some(target)
    }

    fn notification(&self, news: News, at: Timestamp, rollout: Option<RolloutId>) -> Notification {
        Notification {
            kind: news.kind,
            severity: news.kind.severity(),
            cluster: self.settings.cluster.clone(),
            node: String::new(),
            attempt: String::new(),
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
            | Kind::Test,
        )
        | None => Standing::UnderWay,
    }
}
