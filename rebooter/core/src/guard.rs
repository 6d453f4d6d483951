//! Whether to act on an attempt record: a pure function, the last word before a host goes down.
//!
//! Owned by `run.rs`, which asks it twice: when a record is read, and again right before the
//! call. It reads no clock and no file, and can only hold back: nothing makes it act on a
//! record that another rule forbids.
//!
//! **Once.** A host can end a boot only once, so the boot id is what makes a second call
//! harmless: after a crash between the word that it reboots and the call, the restarted
//! rebooter sees the same boot id and the same record and calls again; after the reboot it
//! sees another boot id and does nothing. Within one process it acts at most once per boot id
//! anyway; whether a call that did nothing is tried again is not the rebooter's decision.

use bellwether_proto::{
    Attempt, AttemptId, BootId, Generation, NodeName, Phase, Problem, SignatureFault, TraceParent, subject,
};
use jiff::Timestamp;

/// What the rebooter knows of itself and its host, now.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its node.
    pub node: NodeName,
    /// The boot that runs.
    pub boot_id: BootId,
    /// The last call of this process.
    pub acted: Option<Acted>,
    /// The last record that this process refused. It has reported that, and keeps to it.
    pub refused: Option<(AttemptId, Generation)>,
    /// Why it could not reboot its host; none: it can.
    pub problem: Option<Problem>,
}

/// A call to reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// For which attempt.
    pub attempt: AttemptId,
    /// The boot that it was to end.
    pub boot_id: BootId,
}

/// What to do with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is no command, or one that is done.
    Nothing,
    /// Reboot.
    Act(Order),
    /// Do not reboot, and say so.
    Refuse(Refusal),
}

/// A command to reboot that passed every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The attempt.
    pub attempt: AttemptId,
    /// The generation of the record.
    pub generation: Generation,
    /// The boot that is to end.
    pub boot_id: BootId,
    /// Not after this instant.
    pub not_after: Timestamp,
    /// The attempt's place in its trace.
    pub trace: TraceParent,
}

impl Order {
    /// True if both are the same command; its limit of time may have been moved.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.attempt, self.generation, &self.boot_id) == (other.attempt, other.generation, &other.boot_id)
    }
}

/// Why a command is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The record is about another node, though it is stored as ours.
    #[error("the record is of another node: {0}")]
    OtherNode(subject::OtherNode),
    /// The drain is not complete.
    #[error("the record has no completed drain")]
    NotDrained,
    /// There is no limit of time.
    #[error("the record does not say until when the reboot may happen")]
    Unlimited,
    /// It is too late.
    #[error("too late: the reboot had to happen before {not_after}, and it is {now} on the host")]
    Late {
        /// The limit.
        not_after: Timestamp,
        /// By the host's clock.
        now: Timestamp,
    },
    /// The host cannot be rebooted from here.
    #[error("the host cannot be rebooted: {}", problem.message)]
    Unable {
        /// Why.
        problem: Problem,
    },
    /// The record looks like a command, and no scheduler has signed it.
    #[error("the record is not trusted: {0}")]
    Untrusted(SignatureFault),
    /// For another attempt this process has tried to end this very boot.
    #[error(
        "this boot was told to end already, for attempt {before}, and goes on: look at the host; a restart of its rebooter allows another try"
    )]
    Spent {
        /// The attempt of the first call.
        before: AttemptId,
    },
}

impl Refusal {
    /// The word for labels.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::OtherNode(_) => "other_node",
            Self::NotDrained => "not_drained",
            Self::Unlimited => "unlimited",
            Self::Late { .. } => "late",
            Self::Unable { .. } => "unable",
            Self::Spent { .. } => "spent",
            Self::Untrusted(_) => "untrusted",
        }
    }

    /// The code in the event, from a closed list.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherNode(_) => "OtherNode",
            Self::NotDrained => "NotDrained",
            Self::Unlimited => "Unlimited",
            Self::Late { .. } => "Late",
            Self::Unable { .. } => "Unable",
            Self::Spent { .. } => "Spent",
            Self::Untrusted(fault) => fault.code(),
        }
    }

    /// True if the refusal is reported as an event. About another node's attempt the rebooter reports nothing.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        match self {
            Self::OtherNode(_) => false,
            Self::NotDrained
            | Self::Unlimited
            | Self::Late { .. }
            | Self::Unable { .. }
            | Self::Spent { .. }
            | Self::Untrusted(_) => true,
        }
    }
}

/// Examines the record that is stored for our node.
#[must_use]
pub fn examine(record: &Attempt, own: &Own, now: Timestamp) -> Decision {
    if own.refused == Some((record.id, record.generation)) {
        return Decision::Nothing;
    }
    // The record is read from our own subject.
    if let Err(other) = subject::same_node(&own.node.token(), &record.node) {
        return Decision::Refuse(Refusal::OtherNode(other));
    }
    if record.phase != Phase::Rebooting || record.boot_before != own.boot_id {
        // No command, or one that is done: that boot has ended.
        return Decision::Nothing;
    }
    if let Some(acted) = own.acted.as_ref().filter(|acted| acted.boot_id == own.boot_id) {
        if acted.attempt == record.id {
            return Decision::Nothing;
        }
        return Decision::Refuse(Refusal::Spent { before: acted.attempt });
    }
    match not_after(record, own, now) {
        Ok(not_after) => Decision::Act(Order {
            attempt: record.id,
            generation: record.generation,
            boot_id: own.boot_id.clone(),
            not_after,
            trace: record.trace,
        }),
        // Once the rebooter has reported that the host reboots, the host may be going down right now, slowly, and its
        // bus with it. A refusal would have the node taken back into service meanwhile; whether
        // the reboot happened is decided by the attempt's deadline.
        Err(Refusal::Late { .. } | Refusal::Unable { .. }) if record.reboot_started_at.is_some() => Decision::Nothing,
        Err(refusal) => Decision::Refuse(refusal),
    }
}

/// Examines what a record says that does not verify: it is never obeyed. One that would be a command is refused, so that
/// the scheduler, if the record is its own, learns the reason.
#[must_use]
pub fn examine_claim(claim: &Attempt, fault: SignatureFault, own: &Own, now: Timestamp) -> Decision {
    match examine(claim, own, now) {
        Decision::Act(_) => Decision::Refuse(Refusal::Untrusted(fault)),
        // Another refusal would say of whom the record is.
        Decision::Refuse(_) | Decision::Nothing => Decision::Nothing,
    }
}

/// The place of a verified record, by its stream and by its own times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its sequence.
    pub sequence: u64,
    /// When its phase was entered.
    pub since: Timestamp,
}

impl Place {
    /// True if the record was replaced by the other one: a client that may delete messages can show it again. By both,
    /// since a stream that was made again counts from the start, and a scheduler's clock may be set back.
    #[must_use]
    pub fn is_before(self, other: Self) -> bool {
        self.sequence < other.sequence && self.since < other.since
    }
}

/// The limit of time of a command that may be obeyed now.
fn not_after(record: &Attempt, own: &Own, now: Timestamp) -> Result<Timestamp, Refusal> {
    // Invariant "Drained before rebooted".
    if record.drained_at.is_none() {
        return Err(Refusal::NotDrained);
    }
    let not_after = record.reboot_not_after.ok_or(Refusal::Unlimited)?;
    if now >= not_after {
        return Err(Refusal::Late { not_after, now });
    }
    match &own.problem {
        Some(problem) => Err(Refusal::Unable {
            problem: problem.clone(),
        }),
        None => Ok(not_after),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_that_fits_is_obeyed() {
        let Decision::Act(order) = examine(&record(), &own(), at(50)) else {
            panic!("not obeyed");
        };
        assert_eq!((order.boot_id, order.not_after), (own().boot_id, at(100)));
    }

    #[test]
    fn only_the_phase_rebooting_is_a_command() {
        for phase in Phase::ALL.into_iter().filter(|phase| *phase != Phase::Rebooting) {
            let record = Attempt { phase, ..record() };
            assert_eq!(examine(&record, &own(), at(50)), Decision::Nothing, "{phase:?}");
        }
    }

    #[test]
    fn a_record_of_another_node_is_refused_and_not_told() {
        let record = Attempt {
            node: "n2".parse().unwrap(),
            ..record()
        };
        let Decision::Refuse(refusal) = examine(&record, &own(), at(50)) else {
            panic!("not refused");
        };
        assert_eq!((refusal.reason(), refusal.is_reported()), ("other_node", false));
    }

    #[test]
    fn no_drain_no_limit_no_time_and_no_way_are_refused() {
        let undrained = Attempt {
            drained_at: None,
            ..record()
        };
        let unlimited = Attempt {
            reboot_not_after: None,
            ..record()
        };
        let unable = Own {
            problem: Some(Problem::unclassified("no D-Bus")),
            ..own()
        };
        for (decision, reason) in [
            (examine(&undrained, &own(), at(50)), "not_drained"),
            (examine(&unlimited, &own(), at(50)), "unlimited"),
            (examine(&record(), &own(), at(100)), "late"),
            (examine(&record(), &unable, at(50)), "unable"),
        ] {
            let Decision::Refuse(refusal) = decision else {
                panic!("{reason} is not refused")
            };
            assert_eq!((refusal.reason(), refusal.is_reported()), (reason, true));
        }
    }

    #[test]
    fn a_record_that_does_not_verify_is_refused_if_it_would_be_a_command_and_else_ignored() {
        let fault = || SignatureFault::Unsigned;
        let decision = examine_claim(&record(), fault(), &own(), at(50));
        let Decision::Refuse(refusal) = decision else {
            panic!("not refused")
        };
        let found = (refusal.reason(), refusal.code(), refusal.is_reported());
        assert_eq!(found, ("untrusted", "RecordUnsigned", true));
        let late = examine_claim(&record(), fault(), &own(), at(100));
        assert_eq!(late, Decision::Nothing);
        let done = Attempt {
            phase: Phase::Done,
            ..record()
        };
        assert_eq!(examine_claim(&done, fault(), &own(), at(50)), Decision::Nothing);
    }

    #[test]
    fn a_record_is_older_only_by_its_stream_and_its_own_times() {
        let place = |sequence, second| Place {
            sequence,
            since: at(second),
        };
        assert!(place(7, 100).is_before(place(8, 101)));
        assert!(!place(7, 100).is_before(place(7, 100)));
        assert!(!place(1, 102).is_before(place(8, 101)), "the stream was made again");
        assert!(!place(9, 99).is_before(place(8, 101)), "a clock was set back");
    }

    #[test]
    fn a_restart_while_the_host_goes_down_refuses_nothing_and_may_call_again() {
        let record = Attempt {
            reboot_started_at: Some(at(40)),
            ..record()
        };
        let unable = Own {
            problem: Some(Problem::unclassified("no D-Bus")),
            ..own()
        };
        assert_eq!(examine(&record, &own(), at(100)), Decision::Nothing);
        assert_eq!(examine(&record, &unable, at(50)), Decision::Nothing);
        assert!(matches!(examine(&record, &own(), at(50)), Decision::Act(_)));
    }

    #[test]
    fn who_said_no_keeps_to_it_until_the_record_moves_on() {
        let own = Own {
            refused: Some((record().id, record().generation)),
            ..own()
        };
        assert_eq!(examine(&record(), &own, at(50)), Decision::Nothing);
        let moved_on = Attempt {
            generation: record().generation.next(),
            ..record()
        };
        assert!(matches!(examine(&moved_on, &own, at(50)), Decision::Act(_)));
    }

    #[test]
    fn another_attempt_to_end_the_same_boot_is_refused_with_the_reason() {
        let acted = Acted {
            attempt: attempt(9),
            boot_id: own().boot_id,
        };
        let own = Own {
            acted: Some(acted),
            ..own()
        };
        let decision = examine(&record(), &own, at(50));
        assert_eq!(decision, Decision::Refuse(Refusal::Spent { before: attempt(9) }));
    }

    proptest! {
        #[test]
        fn once(records in proptest::collection::vec(any_record(), 1..50), nows in proptest::collection::vec(0..200_i64, 50)) {
            let mut own = own();
            let mut calls = 0;
            for (record, now) in records.iter().zip(nows) {
                match examine(record, &own, at(now)) {
                    Decision::Act(order) => {
                        calls += 1;
                        own.acted = Some(Acted { attempt: order.attempt, boot_id: order.boot_id });
                    }
                    Decision::Refuse(_) => own.refused = Some((record.id, record.generation)),
                    Decision::Nothing => (),
                }
            }
            prop_assert!(calls <= 1);
        }

        #[test]
        fn another_boot_is_never_rebooted(record in any_record(), boot in "[c-f]{4}", now in 0..200_i64) {
            let own = Own { boot_id: boot.parse().unwrap(), ..own() };
            prop_assert!(!matches!(examine(&record, &own, at(now)), Decision::Act(_)));
        }

        #[test]
        fn late_is_refused(record in any_record(), limit in 0..200_i64, after in 0..200_i64) {
            let record = Attempt { reboot_not_after: Some(at(limit)), ..record };
            prop_assert!(!matches!(examine(&record, &own(), at(limit + after)), Decision::Act(_)));
        }

        #[test]
        fn what_does_not_verify_is_never_obeyed(record in any_record(), now in 0..200_i64) {
            let decision = examine_claim(&record, SignatureFault::Unsigned, &own(), at(now));
            prop_assert!(!matches!(decision, Decision::Act(_)));
        }

        #[test]
        fn drained_before_rebooted(record in any_record(), now in 0..200_i64) {
            let acts = matches!(examine(&record, &own(), at(now)), Decision::Act(_));
            prop_assert!(!acts || record.drained_at.is_some());
        }
    }

    fn any_record() -> impl Strategy<Value = Attempt> {
        let boots = prop_oneof![3 => Just("aaaa"), 1 => Just("bbbb")];
        let nodes = prop_oneof![5 => Just("n1"), 1 => Just("n2")];
        let phases = prop_oneof![3 => Just(Phase::Rebooting), 1 => proptest::sample::select(&Phase::ALL[..])];
        let instants = || proptest::option::weighted(0.8, (0..200_i64).prop_map(at));
        (boots, nodes, phases, instants(), instants(), 0..4_u8, 0..4_u64).prop_map(
            |(boot, node, phase, drained_at, reboot_not_after, id, generation)| Attempt {
                id: attempt(id),
                node: node.parse().unwrap(),
                generation: Generation(generation),
                phase,
                boot_before: boot.parse().unwrap(),
                drained_at,
                reboot_not_after,
                ..record()
            },
        )
    }

    fn own() -> Own {
        Own {
            node: "n1".parse().unwrap(),
            boot_id: "aaaa".parse().unwrap(),
            acted: None,
            refused: None,
            problem: None,
        }
    }

    fn record() -> Attempt {
        Attempt {
            id: attempt(1),
            node: "n1".parse().unwrap(),
            node_uid: "u1".parse().unwrap(),
            generation: Generation(3),
            phase: Phase::Rebooting,
            deadline: Some(at(100)),
            boot_before: "aaaa".parse().unwrap(),
            boot_after: None,
            kernel_before: "6.12.41".to_owned(),
            kernel_after: None,
            need_since: at(0),
            reasons: Vec::new(),
            cordoned_at: Some(at(1)),
            drained_at: Some(at(2)),
            reboot_not_after: Some(at(100)),
            reboot_started_at: None,
            ending: None,
            slot_held: true,
            failures_in_row: 0,
            retry_not_before: None,
            last_reboot: None,
            failed_reboot: None,
            daemon_pods: Vec::new(),
            obstacle_run: None,
            drain_terms: Default::default(),
            left_behind: String::new(),
            drain_report: None,
            cordon_removed_at: None,
            trace: TraceParent {
                trace_id: [1; 16],
                span_id: [1; 8],
            },
            need_span: None,
            history: Vec::new(),
        }
    }

    fn attempt(id: u8) -> AttemptId {
        AttemptId::new(&"u1".parse().unwrap(), Generation(id.into()), at(0))
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
