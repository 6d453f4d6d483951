//! The rules of the election: when this replica may take the Lease, renews it, and leads no more.
//!
//! Pure: its driver (`lease.rs`) reads and writes the Lease. The rules are those of client-go's leader
//! election, which Kubernetes' own controllers use. A Lease is judged by when this replica observed it change,
//! never by the times that its holder wrote into it: the clocks of two machines may differ, the speeds of
//! two clocks hardly do.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

/// The longest duration in another holder's Lease that counts: the longest `--lease-duration`. A larger
/// number comes from no scheduler, and must not keep every replica from leading for years.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// What the driver has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Read the Lease.
    Read,
    /// Create the Lease with [`Election::claim`].
    Create,
    /// Write [`Election::claim`] into the Lease.
    Write,
    /// Wait until then, or until the Lease changes.
    Wait(Instant),
}

/// One replica's part in the election.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    duration: Duration,
    /// The Lease as this replica observed it last. None: it has not looked yet.
    observed: Option<Observed>,
    /// Another writer may have changed the Lease since.
    outdated: bool,
    /// When this replica sent the newest renewal that succeeded. None: it does not hold the Lease.
    renewed_at: Option<Instant>,
    /// This replica takes the Lease no earlier: the others have the first turn.
    not_before: Option<Instant>,
    /// No request earlier: the last one failed.
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Observed {
    /// None: there is no Lease.
    version: Option<String>,
    spec: LeaseSpec,
    /// When this replica observed the spec change to this one.
    changed_at: Instant,
}

impl Election {
    /// A replica that has not looked at the Lease yet.
    pub(super) fn new(identity: String, duration: Duration) -> Self {
        Self {
            identity,
            duration,
            observed: None,
            outdated: false,
            renewed_at: None,
            not_before: None,
            retry_at: None,
        }
    }

    /// Until when this replica leads, unless it renews the Lease. None: it does not lead.
    ///
    /// It ends a sixth of the duration before another replica may take the Lease. That covers the step of
    /// the leading loop that is under way, and clocks of different speeds.
    pub(super) fn leads_until(&self) -> Option<Instant> {
        Some(self.renewed_at? + self.duration * 5 / 6)
    }

    /// What to do now.
    pub(super) fn step(&self, now: Instant) -> Step {
        let leads = self.leads_until().is_some_and(|until| now < until);
        let (at, step) = match &self.observed {
            Some(observed) if !self.outdated => self.turn(observed, leads),
            _ => (None, Step::Read),
        };
        match at.max(self.retry_at) {
            Some(at) if now < at => Step::Wait(at),
            _ => step,
        }
    }

    /// When this replica writes the Lease next, and how. None: at once.
    fn turn(&self, observed: &Observed, leads: bool) -> (Option<Instant>, Step) {
        if observed.version.is_none() {
            return (self.not_before, Step::Create);
        }
        let at = if leads {
            // The other half of the time to lead is for requests that fail or get no answer.
            self.renewed_at.map(|at| at + self.duration / 3)
        } else {
            self.free_at(observed).max(self.not_before)
        };
        (at, Step::Write)
    }

    /// When the Lease ends that another replica holds. None: none does.
    fn free_at(&self, observed: &Observed) -> Option<Instant> {
        // A Lease in this replica's own name is left from its process before.
        self.holder(observed).filter(|holder| *holder != self.identity)?;
        let seconds = observed
            .spec
            .lease_duration_seconds
            .and_then(|it| u64::try_from(it).ok());
        let duration = seconds.map_or(self.duration, Duration::from_secs).min(DURATION_MAX);
        Some(observed.changed_at + duration)
    }

    fn holder<'a>(&self, observed: &'a Observed) -> Option<&'a str> {
        observed
            .spec
            .holder_identity
            .as_deref()
            .filter(|holder| !holder.is_empty())
    }

    /// The version that the Lease must have for a write, and the spec by which this replica holds it. `wall`
    /// is the time for operators; no replica judges by it.
    pub(super) fn claim(&self, wall: Timestamp) -> (Option<String>, LeaseSpec) {
        let observed = self.observed.as_ref();
        let mine = observed.is_some_and(|observed| self.holder(observed) == Some(&self.identity));
        let old = observed.map(|observed| &observed.spec);
        let transitions = old.and_then(|spec| spec.lease_transitions);
        let spec = LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(self.duration.as_secs()).unwrap_or(i32::MAX)),
            lease_transitions: Some(match transitions {
                Some(count) if mine => count,
                Some(count) => count.saturating_add(1),
                None => 0,
            }),
            acquire_time: old
                .and_then(|spec| spec.acquire_time.clone())
                .filter(|_| mine)
                .or(Some(MicroTime(wall))),
            renew_time: Some(MicroTime(wall)),
            ..LeaseSpec::default()
        };
        (observed.and_then(|observed| observed.version.clone()), spec)
    }

    /// Takes note of the Lease as it is. None: there is none.
    pub(super) fn observe(&mut self, lease: Option<Lease>, now: Instant) {
        let (version, spec) = match lease {
            Some(lease) => (
                Some(lease.metadata.resource_version.unwrap_or_default()),
                lease.spec.unwrap_or_default(),
            ),
            None => (None, LeaseSpec::default()),
        };
        let before = self.observed.take().filter(|observed| observed.spec == spec);
        let observed = Observed {
            version,
            spec,
            changed_at: before.map_or(now, |observed| observed.changed_at),
        };
        if self.holder(&observed) != Some(&self.identity) {
            self.renewed_at = None;
        }
        self.observed = Some(observed);
        self.outdated = false;
        self.retry_at = None;
    }

    /// Takes note that the API server stored this replica's claim, sent at this instant, as this Lease.
    pub(super) fn stored(&mut self, lease: Lease, sent_at: Instant, now: Instant) {
        self.renewed_at = Some(sent_at);
        self.observe(Some(lease), now);
    }

    /// Takes note that another writer has changed the Lease: it has to be read before it is written.
    pub(super) fn conflicted(&mut self) {
        self.outdated = true;
    }

    /// Takes note that a request failed, stored or not: the next one goes no earlier, and reads first.
    pub(super) fn failed(&mut self, retry_at: Instant) {
        self.outdated = true;
        self.retry_at = Some(retry_at);
    }

    /// Leads no more, and leaves the first turn to the others: takes the Lease again no earlier than this.
    pub(super) fn step_aside(&mut self, until: Option<Instant>) {
        self.renewed_at = None;
        self.not_before = until;
    }

    /// The Lease has to be read before anything else: a request failed, or another writer changed the Lease.
    pub(super) fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// The version of the Lease that this replica observed last. None: it observed none.
    pub(super) fn version(&self) -> Option<&str> {
        self.observed.as_ref()?.version.as_deref()
    }

    /// The version of the Lease, if it is in this replica's name and so has to be released.
    pub(super) fn held_version(&self) -> Option<&str> {
        let observed = self
            .observed
            .as_ref()
            .filter(|observed| self.holder(observed) == Some(&self.identity))?;
        observed.version.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DURATION: Duration = Duration::from_secs(15);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    /// A time for operators; each renewal has another one.
    fn wall(server: &Server) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + i64::try_from(server.version).unwrap()).unwrap()
    }

    fn replica(name: &str) -> Election {
        Election::new(name.to_owned(), DURATION)
    }

    /// The API server: stores a claim on the condition of its version.
    #[derive(Default)]
    struct Server {
        version: u64,
        lease: Option<Lease>,
    }

    impl Server {
        fn store(&mut self, claim: (Option<String>, LeaseSpec)) -> Option<Lease> {
            let (version, spec) = claim;
            let stored = self
                .lease
                .as_ref()
                .and_then(|lease| lease.metadata.resource_version.clone());
            (version == stored).then(|| self.put(spec))
        }

        fn put(&mut self, spec: LeaseSpec) -> Lease {
            self.version += 1;
            let mut lease = Lease {
                spec: Some(spec),
                ..Lease::default()
            };
            lease.metadata.resource_version = Some(self.version.to_string());
            self.lease = Some(lease.clone());
            lease
        }

        fn release(&mut self) {
            let mut spec = self.lease.clone().unwrap().spec.unwrap();
            spec.holder_identity = Some(String::new());
            self.put(spec);
        }
    }

    /// The replica's claim is sent, stored and answered at these instants.
    fn claims(replica: &mut Election, server: &mut Server, sent_at: Instant, answered_at: Instant) -> bool {
        match server.store(replica.claim(wall(server))) {
            Some(lease) => replica.stored(lease, sent_at, answered_at),
            None => replica.conflicted(),
        }
        !replica.outdated
    }

    /// A leader, and a standby that observed its claim.
    fn pair(now: Instant) -> (Server, Election, Election) {
        let mut server = Server::default();
        let (mut leader, mut standby) = (replica("a"), replica("b"));
        leader.observe(None, now);
        assert!(claims(&mut leader, &mut server, now, now));
        standby.observe(server.lease.clone(), now);
        (server, leader, standby)
    }

    #[test]
    fn a_replica_looks_first_and_then_creates_a_missing_lease() {
        let (now, mut server, mut replica) = (Instant::now(), Server::default(), replica("a"));
        assert_eq!(replica.step(now), Step::Read);
        replica.observe(None, now);
        assert_eq!(replica.step(now), Step::Create);
        assert_eq!(replica.leads_until(), None);
        assert!(claims(&mut replica, &mut server, now, now));
        assert!(replica.leads_until() > Some(now));
        let spec = server.lease.unwrap().spec.unwrap();
        assert_eq!(spec.holder_identity.as_deref(), Some("a"));
        assert_eq!(
            (spec.lease_duration_seconds, spec.lease_transitions),
            (Some(15), Some(0))
        );
    }

    #[test]
    fn a_standby_waits_from_when_it_saw_the_lease_change_whatever_its_times_say() {
        let now = Instant::now();
        let (mut server, _, mut standby) = pair(now);
        let mut spec = server.lease.clone().unwrap().spec.unwrap();
        for renewed in ["2001-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            spec.renew_time = Some(MicroTime(renewed.parse().unwrap()));
            let noted_at = now + seconds(100);
            standby.observe(Some(server.put(spec.clone())), noted_at);
            assert_eq!(standby.step(noted_at), Step::Wait(noted_at + DURATION));
            // The same Lease again is no sign of life.
            standby.observe(server.lease.clone(), noted_at + seconds(14));
            assert_eq!(standby.step(noted_at + seconds(14)), Step::Wait(noted_at + DURATION));
            assert_eq!(standby.step(noted_at + DURATION), Step::Write);
        }
    }

    #[test]
    fn an_annotation_of_the_lease_keeps_no_standby_waiting() {
        let now = Instant::now();
        let (mut server, _, mut standby) = pair(now);
        let same = server.lease.clone().unwrap().spec.unwrap();
        standby.observe(Some(server.put(same)), now + seconds(10));
        assert_eq!(standby.step(now + seconds(10)), Step::Wait(now + DURATION));
        assert!(claims(&mut standby, &mut server, now + DURATION, now + DURATION));
    }

    #[test]
    fn a_released_lease_is_taken_at_once_and_counts_the_transition() {
        let now = Instant::now();
        let (mut server, leader, mut standby) = pair(now);
        assert_eq!(leader.held_version(), Some("1"));
        assert_eq!(standby.held_version(), None);
        server.release();
        standby.observe(server.lease.clone(), now);
        assert_eq!(standby.step(now), Step::Write);
        assert!(claims(&mut standby, &mut server, now, now));
        let spec = server.lease.unwrap().spec.unwrap();
        assert_eq!(
            (spec.holder_identity.as_deref(), spec.lease_transitions),
            (Some("b"), Some(1))
        );
    }

    #[test]
    fn a_renewal_keeps_the_time_of_the_first_claim_and_counts_no_transition() {
        let now = Instant::now();
        let (mut server, mut leader, _) = pair(now);
        let first = server.lease.clone().unwrap().spec.unwrap();
        let due = now + seconds(5);
        assert_eq!(leader.step(now), Step::Wait(due));
        assert_eq!(leader.step(due), Step::Write);
        assert!(claims(&mut leader, &mut server, due, due));
        let renewed = server.lease.unwrap().spec.unwrap();
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_eq!(renewed.lease_transitions, first.lease_transitions);
    }

    /// Whatever the answers take, the leader has stopped before the standby begins.
    #[test]
    fn a_leader_that_is_not_answered_steps_down_before_any_standby_takes_the_lease() {
        let start = Instant::now();
        for to_server in 0..=5 {
            for to_standby in 0..=5 {
                for to_leader in 0..=5 {
                    let (mut server, mut leader, mut standby) = pair(start);
                    let sent = start + seconds(5);
                    let stored = sent + seconds(to_server);
                    assert!(claims(&mut leader, &mut server, sent, stored + seconds(to_leader)));
                    let observed = stored + seconds(to_standby);
                    standby.observe(server.lease.clone(), observed);
                    let until = leader.leads_until().unwrap();
                    assert!(until > sent + DURATION / 3, "time for more tries is left");
                    let Step::Wait(begin) = standby.step(observed) else {
                        panic!("{:?}", standby.step(observed));
                    };
                    assert!(until + DURATION / 6 <= begin, "{to_server} {to_standby} {to_leader}");
                }
            }
        }
    }

    #[test]
    fn of_two_standbys_that_write_at_once_the_second_reads_and_waits() {
        let now = Instant::now();
        let (mut server, _, mut one) = pair(now);
        let mut other = replica("c");
        other.observe(server.lease.clone(), now);
        let end = now + DURATION;
        assert_eq!((one.step(end), other.step(end)), (Step::Write, Step::Write));
        assert!(claims(&mut one, &mut server, end, end));
        assert!(!claims(&mut other, &mut server, end, end));
        assert_eq!(other.leads_until(), None);
        assert_eq!(other.step(end), Step::Read);
        other.observe(server.lease.clone(), end);
        assert_eq!(other.step(end), Step::Wait(end + DURATION));
    }

    #[test]
    fn a_leader_whose_lease_another_replica_has_taken_leads_no_more() {
        let now = Instant::now();
        let (mut server, mut leader, mut standby) = pair(now);
        assert!(claims(&mut standby, &mut server, now, now));
        assert!(!claims(&mut leader, &mut server, now, now));
        assert_eq!(leader.step(now), Step::Read);
        leader.observe(server.lease.clone(), now);
        assert_eq!(leader.leads_until(), None);
        assert_eq!(leader.step(now), Step::Wait(now + DURATION));
    }

    #[test]
    fn a_renewal_that_was_stored_without_an_answer_is_no_loss() {
        let now = Instant::now();
        let (mut server, mut leader, _) = pair(now);
        server.store(leader.claim(wall(&server))).unwrap();
        leader.failed(now + seconds(1));
        assert_eq!(leader.step(now), Step::Wait(now + seconds(1)));
        assert_eq!(leader.step(now + seconds(1)), Step::Read);
        leader.observe(server.lease.clone(), now + seconds(1));
        assert!(leader.leads_until() > Some(now + seconds(1)));
        assert!(claims(&mut leader, &mut server, now + seconds(5), now + seconds(5)));
    }

    #[test]
    fn a_replica_that_steps_aside_takes_the_lease_only_after_the_turn_of_the_others() {
        let now = Instant::now();
        let (mut server, mut leader, _) = pair(now);
        let turn = now + seconds(30);
        leader.step_aside(Some(turn));
        assert_eq!(leader.leads_until(), None);
        server.release();
        leader.observe(server.lease.clone(), now);
        assert_eq!(leader.step(now), Step::Wait(turn));
        assert_eq!(leader.step(turn), Step::Write);
        // A Lease that could not be released, or that was deleted, is no way around it.
        let (_, mut leader, _) = pair(now);
        leader.step_aside(Some(turn));
        assert_eq!(leader.step(now), Step::Wait(turn));
        leader.observe(None, now);
        assert_eq!(leader.step(now), Step::Wait(turn));
    }

    #[test]
    fn a_lease_that_this_replicas_process_before_left_is_taken_at_once() {
        let now = Instant::now();
        let (server, _, _) = pair(now);
        let mut again = replica("a");
        again.observe(server.lease, now);
        assert_eq!(again.step(now), Step::Write);
    }

    #[test]
    fn no_duration_in_a_lease_keeps_a_standby_waiting_for_years() {
        let now = Instant::now();
        for (written, waits) in [
            (Some(i32::MAX), DURATION_MAX),
            (Some(-1), DURATION),
            (None, DURATION),
            (Some(3), seconds(3)),
        ] {
            let (mut server, _, mut standby) = pair(now);
            let mut spec = server.lease.clone().unwrap().spec.unwrap();
            spec.lease_duration_seconds = written;
            standby.observe(Some(server.put(spec)), now);
            assert_eq!(standby.step(now), Step::Wait(now + waits), "{written:?}");
        }
    }
}
