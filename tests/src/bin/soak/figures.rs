//! The figures of a run: what the services report about it, beside what the judge saw. Nothing is judged by them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bellwether_proto::{AttemptId, DrainFailure, Fact, NodeEvent, NodeName, Phase};

use crate::judge::Judge;
use crate::mishap::Tally;

/// Longer reasons say too much for a table.
const REASON_MAX: usize = 70;

/// What the events say.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    done: usize,
    cancelled: usize,
    failed: usize,
    /// Of attempts that were not Done.
    reasons: BTreeMap<String, usize>,
    longest: Duration,
    drains: usize,
    /// Drains that a restarted server stored more than once.
    repeated: usize,
}

impl Figures {
    pub(crate) fn of(events: &[NodeEvent]) -> Self {
        let mut figures = Self::default();
        let mut reasons: BTreeMap<&AttemptId, String> = BTreeMap::new();
        let mut drained: BTreeSet<(&NodeName, &AttemptId)> = BTreeSet::new();
        for event in events {
            match &event.fact {
                Fact::Drained { report, .. } => {
                    if drained.insert((&event.node, &event.attempt)) {
                        figures.drains += 1;
                    } else {
                        figures.repeated += 1;
                    }
                    let seconds = report.as_ref().map_or(0, |report| report.seconds);
                    figures.longest = figures.longest.max(Duration::from_secs(seconds.into()));
                }
                Fact::DrainFailed { failure, obstacle, .. } => {
                    let obstacle = obstacle.as_ref().map(|obstacle| obstacle.to_string());
                    let failure = match failure {
                        DrainFailure::Timeout => "drain timed out",
                        DrainFailure::ForeignCordon => "drain met a foreign cordon",
                        DrainFailure::NodeGone => "node gone",
                        DrainFailure::Forbidden => "drain forbidden",
                    };
                    let kept = obstacle.map_or_else(String::new, |obstacle| format!(", kept by {obstacle}"));
                    reasons.insert(&event.attempt, format!("{failure}{kept}"));
                }
                Fact::RebootRefused { message, code: _ } => {
                    reasons
                        .entry(&event.attempt)
                        .or_insert_with(|| format!("reboot refused: {message}"));
                }
                Fact::RebootFailed { message } => {
                    reasons
                        .entry(&event.attempt)
                        .or_insert_with(|| format!("reboot failed: {message}"));
                }
                Fact::PhaseChanged { to, message, .. } => figures.entered(*to, message, &event.attempt, &mut reasons),
                Fact::Cordoned
                | Fact::DrainProgressed(_)
                | Fact::Uncordoned { .. }
                | Fact::UncordonFailed { .. }
                | Fact::RebootStarted { .. } => {}
            }
        }
        figures
    }

    fn entered<'e>(
        &mut self,
        phase: Phase,
        message: &str,
        attempt: &'e AttemptId,
        reasons: &mut BTreeMap<&'e AttemptId, String>,
    ) {
        match phase {
            Phase::Done => self.done += 1,
            Phase::Failed => {
                self.failed += 1;
                self.give_reason(message, attempt, reasons);
            }
            Phase::Cancelled => {
                self.cancelled += 1;
                self.give_reason(message, attempt, reasons);
            }
            Phase::RollingBack => {
                reasons.entry(attempt).or_insert_with(|| message.to_owned());
            }
            Phase::Draining | Phase::Rebooting | Phase::Verifying | Phase::Uncordoning | Phase::Soaking => {}
        }
    }

    /// Counts an attempt that was not Done by the first fact that kept it, and else by the message of its end.
    fn give_reason(&mut self, message: &str, attempt: &AttemptId, reasons: &mut BTreeMap<&AttemptId, String>) {
        let reason = reasons.remove(attempt).unwrap_or_else(|| message.to_owned());
        let reason: String = reason.chars().take(REASON_MAX).collect();
        *self.reasons.entry(reason).or_default() += 1;
    }

    /// Prints the table.
    pub(crate) fn show(&self, judge: &Judge, tally: &Tally, (needs, reboots): (usize, usize)) {
        println!("\n| figure | |\n| --- | --- |");
        let row = |name: &str, figure: String| println!("| {name} | {figure} |");
        row("needs / reboots", format!("{needs} / {reboots}"));
        row(
            "attempts done / failed / cancelled",
            format!("{} / {} / {}", self.done, self.failed, self.cancelled),
        );
        row("evictions", judge.evictions().to_string());
        row("cordons", judge.cordons().to_string());
        row("most nodes cordoned at once", judge.most_cordoned().to_string());
        row(
            "drains, longest",
            format!("{}, {} s", self.drains, self.longest.as_secs()),
        );
        row("events of a drain that were stored again", self.repeated.to_string());
        for ((target, kind), count) in tally.counts() {
            row(&format!("{kind} of {target}"), count.to_string());
        }
        for (reason, count) in &self.reasons {
            row(&format!("not done: {reason}"), count.to_string());
        }
        for (budget, room) in judge.tightest() {
            row(
                &format!("least room of the budget {budget} after an eviction"),
                room.to_string(),
            );
        }
        row(
            "pods that went unseen, while a watch began again",
            judge.unseen().to_string(),
        );
    }
}
