//! One look at the host at a time, off the runtime's thread and with a limit.
//!
//! A look that does not end keeps its thread, since no one can end it: a file system that does not answer holds it in the
//! kernel. So the next look of the same job begins only once that one has ended: whatever hangs costs one thread for each
//! job, and never the loop. What a late look finds does not count, since it may be as old as the look.

use std::time::Duration;

use bellwether_chassis::clock::jitter;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::ProbeError;

/// Something that looks at the host and may take its time.
pub(crate) trait Looks: Send + 'static {
    /// What it finds.
    type Shown: Send + 'static;

    /// Looks once.
    fn look(&mut self) -> Self::Shown;
}

/// When a job looks, and how long it may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// How often; none: as often as all others without an interval.
    pub(crate) interval: Option<Duration>,
    /// Hints are about what it looks at.
    pub(crate) on_hint: bool,
    /// How long a look may take.
    pub(crate) limit: Duration,
}

/// Why the loop goes round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is time.
    Time,
    /// A file may have changed.
    Hint,
    /// NATS is back, or the last report could not be stored.
    Again,
}

/// A look that is repeated.
pub(crate) struct Job<L: Looks> {
    make: Box<dyn Fn() -> L + Send>,
    /// Not there while it looks.
    idle: Option<L>,
    running: Option<JoinHandle<(L, L::Shown)>>,
    /// The look that is under way has taken too long.
    overran: bool,
    schedule: Schedule,
    started: Instant,
    due: Instant,
}

impl<L: Looks> Job<L> {
    pub(crate) fn new(schedule: Schedule, make: impl Fn() -> L + Send + 'static) -> Self {
        let now = Instant::now();
        Self {
            make: Box::new(make),
            idle: None,
            running: None,
            overran: false,
            schedule,
            started: now,
            due: now,
        }
    }

    /// Begins a look if one is due and none is under way. The next one without an interval of its own is due at `rescan`.
    pub(crate) fn begin(&mut self, wake: Wake, rescan: Instant) {
        let now = Instant::now();
        let woken = match wake {
            Wake::Time => false,
            Wake::Hint => self.schedule.on_hint,
            Wake::Again => self.schedule.interval.is_none(),
        };
        if !woken && now < self.due {
            return;
        }
        self.due = self.schedule.interval.map_or(rescan, |interval| now + jitter(interval));
        match &self.running {
            Some(late) if !late.is_finished() => return,
            Some(_) | None => (),
        }
        let mut looks = self.idle.take().unwrap_or_else(|| (self.make)());
        self.started = now;
        self.overran = false;
        self.running = Some(tokio::task::spawn_blocking(move || {
            let shown = looks.look();
            (looks, shown)
        }));
    }

    /// Waits for the look that is under way, as long as it may take. None: there is none.
    pub(crate) async fn end(&mut self) -> Option<Result<L::Shown, ProbeError>> {
        let running = self.running.as_mut()?;
        let limit = self.schedule.limit;
        // Asked first whether it has ended, and only then for the time: it may have ended while another job was waited for.
        if !self.overran
            && let Ok(ended) = tokio::time::timeout_at(self.started + limit, &mut *running).await
        {
            self.running = None;
            return Some(match ended {
                Ok((looks, shown)) => {
                    self.idle = Some(looks);
                    Ok(shown)
                }
                Err(error) => Err(ProbeError::BrokenOff(error)),
            });
        }
        self.overran = true;
        Some(Err(ProbeError::TooLong(limit)))
    }

    /// When the next look is due.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;

    /// Hangs until it is let go, at each look.
    struct Stuck {
        begun: Arc<AtomicUsize>,
        release: Arc<Mutex<mpsc::Receiver<()>>>,
    }

    impl Looks for Stuck {
        type Shown = usize;

        fn look(&mut self) -> usize {
            let count = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.release.lock().unwrap().recv().ok();
            count
        }
    }

    /// Longer than any look of a test takes, on any machine.
    const LONG: Duration = Duration::from_secs(3600);

    const SCHEDULE: Schedule = Schedule {
        interval: None,
        on_hint: true,
        limit: LONG,
    };

    fn stuck(schedule: Schedule) -> (Job<Stuck>, Arc<AtomicUsize>, mpsc::Sender<()>) {
        let (release, released) = mpsc::channel();
        let (begun, released) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(released)));
        let counter = Arc::clone(&begun);
        let job = Job::new(schedule, move || Stuck {
            begun: Arc::clone(&counter),
            release: Arc::clone(&released),
        });
        (job, begun, release)
    }

    #[tokio::test]
    async fn a_look_that_does_not_end_is_a_problem_and_holds_one_thread_only() {
        let (mut job, begun, release) = stuck(SCHEDULE);
        job.schedule.limit = Duration::from_millis(50);
        for _ in 0..5 {
            job.begin(Wake::Hint, Instant::now());
            let error = job.end().await.unwrap().unwrap_err();
            assert!(matches!(error, ProbeError::TooLong(_)), "{error}");
        }
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        drop(release);
        while job.running.as_ref().is_some_and(|late| !late.is_finished()) {
            tokio::task::yield_now().await;
        }
        // Still not: that look began long ago.
        assert!(job.end().await.unwrap().is_err());
        job.schedule.limit = LONG;
        job.begin(Wake::Hint, Instant::now());
        assert_eq!(job.end().await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_look_that_ended_in_time_counts_however_late_it_is_asked_for() {
        let (mut job, _, release) = stuck(SCHEDULE);
        drop(release);
        job.begin(Wake::Time, Instant::now());
        while job.running.as_ref().is_some_and(|look| !look.is_finished()) {
            tokio::task::yield_now().await;
        }
        job.schedule.limit = Duration::ZERO;
        assert_eq!(job.end().await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_job_looks_when_it_is_due_or_when_a_hint_is_about_it() {
        for (interval, on_hint, looks) in [
            (None, true, [true, false, true, true]),
            (Some(LONG), true, [true, false, true, false]),
            (Some(LONG), false, [true, false, false, false]),
        ] {
            let schedule = Schedule {
                interval,
                on_hint,
                limit: LONG,
            };
            let (mut job, _, release) = stuck(schedule);
            drop(release);
            let wakes = [Wake::Time, Wake::Time, Wake::Hint, Wake::Again];
            for (wake, expected) in wakes.into_iter().zip(looks) {
                job.begin(wake, Instant::now() + LONG);
                assert_eq!(job.end().await.is_some(), expected, "{schedule:?} {wake:?}");
                assert!(job.due() > Instant::now() + LONG / 2);
            }
        }
    }

    #[tokio::test]
    async fn a_look_that_panics_is_a_problem_and_the_next_one_counts() {
        struct Panics(Arc<AtomicUsize>);
        impl Looks for Panics {
            type Shown = ();

            fn look(&mut self) {
                assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "the first look");
            }
        }
        let count = Arc::new(AtomicUsize::new(0));
        let mut job = Job::new(SCHEDULE, move || Panics(Arc::clone(&count)));
        job.begin(Wake::Time, Instant::now());
        assert!(matches!(job.end().await, Some(Err(ProbeError::BrokenOff(_)))));
        job.begin(Wake::Time, Instant::now());
        assert!(matches!(job.end().await, Some(Ok(()))));
    }
}
