//! What outlives one turn of leading: the watches, what NATS did not store, and when the series of turns began.
//!
//! A turn ends with its first error, and the next one begins with the stored records. Without this file each turn
//! would list every node again, try at once what NATS has just refused, and wait for events of the time before again.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_chassis::{Backoff, clock};
use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};

use crate::bus::load::Loaded;
use crate::error::EffectError;
use crate::lead::Leader;
use crate::lead::views::Views;

/// How long the leader stands still after NATS has stored nothing, before it tries again: a restart of NATS costs a
/// second, and a full disk one try in half a minute.
const STAND_STILL: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(30));

/// After leading for so long, an error is the first of a new series.
pub(crate) const LED_WELL: SignedDuration = SignedDuration::from_mins(1);

/// How many outages of NATS renew the grace within one series. Three in a row are an operator at work; with more, no
/// deadline would ever be enforced while NATS refuses a write every few seconds.
const RENEWALS_MAX: u32 = 3;

/// An outage of NATS as long as this always renews the grace: far longer than one refused write, and much becomes
/// overdue in it whose events are stored only after it.
const LONG_OUTAGE: SignedDuration = SignedDuration::from_mins(1);

/// How long a node is left alone whose record is too long for NATS: what made the record so long is settled by then,
/// and one failed turn in ten minutes costs nothing.
const TOO_LONG_FOR: SignedDuration = SignedDuration::from_mins(10);

/// What outlives a turn.
#[derive(Default)]
pub(crate) struct Kept {
    pub(super) views: Option<Views>,
    pub(super) refused: Option<Refused>,
    series: Option<Series>,
    /// Nodes whose record is too long for NATS.
    too_long: BTreeMap<NodeName, TooLong>,
}

/// A series of turns that failed one soon after the other.
#[derive(Debug)]
struct Series {
    /// From when on the cores of its turns count their grace.
    resumes_at: Timestamp,
    /// The outage that renewed the grace last, by its begin.
    outage: Option<Timestamp>,
    /// How many outages have renewed the grace.
    renewals: u32,
}

/// NATS did not store what the leader wrote.
#[derive(Debug)]
pub(super) struct Refused {
    since: Timestamp,
    /// The answer of NATS.
    answer: String,
    wait: Backoff,
    /// The leader has stood still since the last try.
    waited: bool,
}

#[derive(Debug)]
struct TooLong {
    problem: String,
    until: Timestamp,
}

impl Kept {
    /// Takes note of how a turn ended: without an error, it stood still.
    pub(super) fn end_turn(&mut self, leader: Leader<'_>, ended: &anyhow::Result<()>) {
        let now = clock::now();
        let Leader {
            fleet,
            views,
            refused,
            began,
            ..
        } = leader;
        self.views = views.kept(fleet.into_observed());
        if now.duration_since(began) > LED_WELL {
            self.series = None;
        }
        self.refused = refused;
        match ended {
            Ok(()) => {
                if let Some(refused) = &mut self.refused {
                    refused.waited = true;
                }
            }
            Err(error) => match error.downcast_ref() {
                Some(EffectError::NotStored(source)) => self.refuse(bellwether_chassis::chain(source), now),
                Some(EffectError::TooLong { node, source }) => {
                    let problem = format!("cannot be stored: {}", bellwether_chassis::chain(source));
                    let until = now.checked_add(TOO_LONG_FOR).unwrap_or(Timestamp::MAX);
                    tracing::error!(%node, problem, %until, "Record is too long for NATS, its node is left alone");
                    self.too_long.insert(node.clone(), TooLong { problem, until });
                }
                Some(EffectError::Superseded(_) | EffectError::Queue(_)) | None => (),
            },
        }
    }

    fn refuse(&mut self, answer: String, now: Timestamp) {
        let before = self.refused.take();
        let (since, wait) = before.map_or((now, STAND_STILL), |before| (before.since, before.wait));
        self.refused = Some(Refused {
            since,
            answer,
            wait,
            waited: false,
        });
    }

    /// From when on the next core counts its grace, in which nothing is overdue. Within a series of failed turns the
    /// grace is granted once: else no deadline would ever be enforced. A leader that stood still since the begin of an
    /// outage renews it, since the events of that time are stored only after it; it does so for few short outages, for the
    /// same reason.
    pub(super) fn resumes_at(&mut self, outage: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let series = self.series.get_or_insert(Series {
            resumes_at: now,
            outage: None,
            renewals: 0,
        });
        if let Some(since) = outage {
            let another = series.outage != Some(since);
            if another && series.renewals >= RENEWALS_MAX && now.duration_since(since) < LONG_OUTAGE {
                return series.resumes_at;
            }
            series.renewals += u32::from(another);
            series.outage = outage;
            series.resumes_at = now;
        }
        series.resumes_at
    }

    /// Takes out of the loaded records those whose next revision NATS would refuse.
    pub(super) fn withhold(&mut self, loaded: &mut Loaded, now: Timestamp) {
        self.too_long.retain(|_, too_long| now < too_long.until);
        for (node, too_long) in &self.too_long {
            loaded.attempts.retain(|attempt| attempt.node != *node);
            let problem = format!("{}; it is tried again at {:.0}", too_long.problem, too_long.until);
            loaded.unreadable.insert(node.clone(), problem);
        }
    }
}

impl Refused {
    /// How long the leader has to stand still, if it has not since the last try.
    pub(super) fn stand_still(&mut self) -> Option<Duration> {
        (!self.waited).then(|| self.wait.after_failure())
    }

    /// When NATS stopped to store, if the leader has stood still since the last try.
    pub(super) fn stood_still_since(&self) -> Option<Timestamp> {
        self.waited.then_some(self.since)
    }

    /// Why nothing is decided, for operators.
    pub(super) fn message(&self) -> String {
        format!(
            "NATS has stored nothing since {:.0}, so no node starts and no step is taken; it answers: {}. See the \
             limits, the disk and the log of the NATS servers",
            self.since, self.answer
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn failed_turns_share_one_grace_and_a_leader_that_stood_still_gives_a_new_one() {
        let mut kept = Kept::default();
        assert_eq!(kept.resumes_at(None, at(0)), at(0));
        assert_eq!(kept.resumes_at(None, at(15)), at(0));
        assert_eq!(kept.resumes_at(None, at(200)), at(0));
        assert_eq!(kept.resumes_at(Some(at(201)), at(210)), at(210));
        assert_eq!(kept.resumes_at(None, at(240)), at(210));
    }

    #[test]
    fn writes_that_are_refused_again_and_again_do_not_renew_the_grace_without_end() {
        let mut kept = Kept::default();
        let mut resumes_at = kept.resumes_at(None, at(0));
        // A write is refused every ten seconds, and the one after it stored.
        for second in (10..600).step_by(10) {
            kept.refuse("no answer".into(), at(second));
            let mut refused = kept.refused.take().unwrap();
            assert!(refused.stand_still().is_some());
            refused.waited = true;
            resumes_at = kept.resumes_at(refused.stood_still_since(), at(second + 1));
        }
        assert_eq!(resumes_at, at(31), "three outages have renewed it");
    }

    #[test]
    fn one_outage_renews_the_grace_at_each_try_and_a_long_one_always() {
        let mut kept = Kept::default();
        for outage in [100, 110, 120, 130] {
            kept.resumes_at(Some(at(outage)), at(outage + 1));
        }
        assert_eq!(kept.resumes_at(None, at(140)), at(121));
        for second in (200..3600).step_by(30) {
            kept.resumes_at(Some(at(140)), at(second));
        }
        assert_eq!(kept.resumes_at(None, at(3600)), at(3590));
    }

    #[test]
    fn a_leader_stands_still_longer_after_each_refusal_and_once_for_each() {
        let mut kept = Kept::default();
        let mut waits = Vec::new();
        for second in 0..8 {
            kept.refuse("insufficient resources".into(), at(second));
            let refused = kept.refused.as_mut().unwrap();
            waits.push(refused.stand_still().unwrap());
            refused.waited = true;
            assert_eq!(refused.stand_still(), None);
            assert_eq!(refused.since, at(0));
            assert!(refused.message().contains("insufficient resources"));
        }
        assert!(waits[0] <= Duration::from_millis(1200), "{waits:?}");
        assert!(
            waits[7] >= Duration::from_secs(24) && waits[7] <= Duration::from_secs(36),
            "{waits:?}"
        );
    }
}
