//! The parts of a drain that are over, for its trace: each wave, and each pod that a budget kept or that took long. No
//! decision rests on them.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_proto::{BlockerKind, BudgetNumbers};
use jiff::Timestamp;

use crate::pod::{NodePod, Wave};

/// A pod that takes so long has a span: twice the grace of most pods.
const LONG: Duration = Duration::from_secs(60);

/// The passages of pods of one drain. Its trace is for reading, and those of a whole node would bury the few that kept it. Waves are
/// few, and each has one.
const PODS_MAX: usize = 50;

/// A part of a drain that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// The wave, or the wave of the pod.
    pub wave: Wave,
    /// From the moment at which it was its turn.
    pub began: Timestamp,
    /// To the end of the pod, or of the wave's last one.
    pub ended: Timestamp,
    /// What it is a part of.
    pub of: PassageOf,
    /// False: the drain ended before.
    pub is_done: bool,
}

/// What a passage is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassageOf {
    /// A wave, with the number of its pods that are gone.
    Wave(u32),
    /// A pod.
    Pod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why it was still there: a budget, if one ever kept it, else the last reason.
        blocker: BlockerKind,
        /// The budget that kept it last, with its numbers then. One that only an answer of the API server names has no name.
        budget: Option<BudgetNumbers>,
    },
}

/// A pod of a wave whose turn it is, and the reason for which it is still there.
#[derive(Debug)]
pub(super) struct Left<'a> {
    pub(super) pod: &'a NodePod,
    pub(super) blocker: BlockerKind,
    pub(super) budget: Option<BudgetNumbers>,
}

impl<'a> Left<'a> {
    /// Without a budget.
    pub(super) fn of(pod: &'a NodePod, blocker: BlockerKind) -> Self {
        let budget = None;
        Self { pod, blocker, budget }
    }
}

/// The passages under way of one drain, and those that are over and not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Passages {
    /// By UID.
    pods: BTreeMap<String, Passage>,
    waves: BTreeMap<Wave, (Timestamp, u32)>,
    looked_at: Timestamp,
    over: Vec<Passage>,
    /// How many pods have had a passage.
    pods_over: usize,
}

impl Passages {
    /// These pods are there, and no others of the waves whose turn it is.
    pub(super) fn looked(&mut self, now: Timestamp, left: &[Left<'_>]) {
        // A clock that was set back moves nothing.
        let now = self.looked_at.max(now);
        self.looked_at = now;
        for Left { pod, blocker, budget } in left {
            let wave = pod.wave();
            self.waves.entry(wave).or_insert((now, 0));
            let passage = self.pods.entry(pod.uid.clone()).or_insert_with(|| Passage {
                wave,
                began: now,
                ended: now,
                of: PassageOf::Pod {
                    namespace: pod.namespace.clone(),
                    name: pod.name.clone(),
                    blocker: *blocker,
                    budget: None,
                },
                is_done: true,
            });
            let PassageOf::Pod {
                blocker: last,
                budget: kept,
                ..
            } = &mut passage.of
            else {
                continue;
            };
            if budget.is_some() {
                kept.clone_from(budget);
            }
            *last = if kept.is_some() { BlockerKind::Budget } else { *blocker };
        }
        let is_there = |uid: &String| left.iter().any(|left| left.pod.uid == *uid);
        let gone: Vec<String> = self.pods.keys().filter(|uid| !is_there(uid)).cloned().collect();
        for uid in gone {
            let Some(passage) = self.pods.remove(&uid) else {
                continue;
            };
            if let Some((_, pods)) = self.waves.get_mut(&passage.wave) {
                *pods = pods.saturating_add(1);
            }
            self.end_pod(passage, true);
        }
        let is_left = |wave: Wave| self.pods.values().any(|passage| passage.wave == wave);
        let ended: Vec<Wave> = self.waves.keys().copied().filter(|wave| !is_left(*wave)).collect();
        ended.into_iter().for_each(|wave| self.end_wave(wave, true));
    }

    /// Those that are over since the last call.
    pub(crate) fn take(&mut self) -> Vec<Passage> {
        std::mem::take(&mut self.over)
    }

    /// The drain has ended: so have all that are under way.
    pub(crate) fn end(&mut self) -> Vec<Passage> {
        for (_, passage) in std::mem::take(&mut self.pods) {
            self.end_pod(passage, false);
        }
        let waves: Vec<Wave> = self.waves.keys().copied().collect();
        waves.into_iter().for_each(|wave| self.end_wave(wave, false));
        self.take()
    }

    fn end_pod(&mut self, passage: Passage, is_done: bool) {
        let took = Duration::try_from(self.looked_at.duration_since(passage.began)).unwrap_or_default();
        let was_kept = matches!(passage.of, PassageOf::Pod { budget: Some(_), .. });
        if was_kept || took >= LONG {
            let ended = self.looked_at;
            if self.pods_over < PODS_MAX {
                self.pods_over += 1;
                self.over.push(Passage {
                    ended,
                    is_done,
                    ..passage
                });
            }
        }
    }

    fn end_wave(&mut self, wave: Wave, is_done: bool) {
        if let Some((began, pods)) = self.waves.remove(&wave) {
            let (of, ended) = (PassageOf::Wave(pods), self.looked_at);
            self.over.push(Passage {
                wave,
                began,
                ended,
                of,
                is_done,
            });
        }
    }
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;
