use proptest::prelude::*;

use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, Generation, Phase, Problem, ProblemCode, RebootKind, SignatureFault, TraceParent,
    event,
};
use jiff::Timestamp;

use crate::guard::*;

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
fn a_record_of_another_node_is_refused_and_not_reported() {
    let record = Attempt {
        node: "n2".parse().unwrap(),
        ..record()
    };
    let Decision::Refuse(refusal) = examine(&record, &own(), at(50)) else {
        panic!("not refused");
    };
    assert_eq!((refusal.code(), refusal.is_reported()), ("OtherNode", false));
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
    for (decision, code) in [
        (examine(&undrained, &own(), at(50)), "NotDrained"),
        (examine(&unlimited, &own(), at(50)), "Unlimited"),
        (examine(&record(), &own(), at(100)), "Late"),
        (examine(&record(), &unable, at(50)), "Unable"),
    ] {
        let Decision::Refuse(refusal) = decision else {
            panic!("{code} is not refused")
        };
        assert_eq!((refusal.code(), refusal.is_reported()), (code, true));
    }
}

#[test]
fn an_order_is_of_its_kind_and_one_of_an_unknown_kind_is_refused_and_not_carried_out_in_full() {
    let of = |reboot_kind| {
        let record = Attempt {
            reboot_kind,
            ..record()
        };
        examine(&record, &own(), at(50))
    };
    let (Decision::Act(full), Decision::Act(kexec)) = (of(RebootKind::Full), of(RebootKind::Kexec)) else {
        panic!("not obeyed");
    };
    assert_eq!((full.kind, kexec.kind), (RebootKind::Full, RebootKind::Kexec));
    assert!(
        !full.is_same(&kexec) && kexec.is_same(&kexec),
        "the record was changed between two looks"
    );
    let Decision::Refuse(refusal) = of(RebootKind::Unknown(7)) else {
        panic!("not refused");
    };
    assert_eq!((refusal.code(), refusal.is_reported()), ("Unable", true));
    assert!(refusal.to_string().contains("unknown(7)"), "{refusal}");
}

#[test]
fn a_record_that_does_not_verify_is_refused_if_it_would_be_a_command_and_else_ignored() {
    let fault = || SignatureFault::Unsigned;
    let decision = examine_claim(&record(), fault(), &own(), at(50));
    let Decision::Refuse(refusal) = decision else {
        panic!("not refused")
    };
    let found = (refusal.code(), refusal.is_reported());
    assert_eq!(found, ("RecordUnsigned", true));
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
fn an_inhibitor_is_waited_for_until_the_end_of_the_order_and_then_named() {
    let inhibited = || Problem::new(ProblemCode::ShutdownInhibited, "apt blocks shutdowns");
    let mut own = Own {
        problem: Some(inhibited()),
        ..own()
    };
    assert_eq!(examine(&record(), &own, at(50)), Decision::Wait(inhibited()));
    own.waiting = Some(Waiting::new(&record(), inhibited()));
    assert_eq!(examine(&record(), &own, at(99)), Decision::Wait(inhibited()));
    own.problem = None;
    assert!(matches!(examine(&record(), &own, at(99)), Decision::Act(_)), "it ended");
    let Decision::Refuse(refusal) = examine(&record(), &own, at(100)) else {
        panic!("not refused");
    };
    assert_eq!((refusal.code(), refusal.is_reported()), ("Inhibited", true));
    assert!(refusal.to_string().contains("apt blocks shutdowns"), "{refusal}");
}

#[test]
fn a_call_that_did_not_arrive_is_made_again_and_then_refused_though_it_was_announced() {
    let away = || Problem::new(ProblemCode::BusUnreachable, "no bus");
    let own = Own {
        waiting: Some(Waiting::new(&record(), away())),
        problem: Some(away()),
        ..own()
    };
    let announced = Attempt {
        reboot_started_at: Some(at(40)),
        ..record()
    };
    assert_eq!(examine(&announced, &own, at(50)), Decision::Wait(away()));
    let Decision::Refuse(refusal) = examine(&announced, &own, at(100)) else {
        panic!("not refused");
    };
    assert_eq!(refusal.code(), "Unreached");
    let able = Own {
        problem: None,
        ..own.clone()
    };
    assert!(matches!(examine(&announced, &able, at(50)), Decision::Act(_)));
    let denied = Own {
        problem: Some(Problem::new(ProblemCode::BusAccessDenied, "denied")),
        ..own
    };
    let Decision::Refuse(refusal) = examine(&announced, &denied, at(50)) else {
        panic!("not refused");
    };
    assert_eq!(
        refusal.code(),
        "Unreached",
        "the problem does not pass, and the scheduler has to know that the host stays up"
    );
}

/// A process before this one may have called, whether or not the record shows its announcement already.
#[test]
fn after_a_restart_an_order_waits_and_no_refusal_states_that_the_host_stays_up() {
    let away = || Problem::new(ProblemCode::BusUnreachable, "no bus");
    let announced = Attempt {
        reboot_started_at: Some(at(40)),
        ..record()
    };
    let own = Own {
        waiting: Some(Waiting::new(&announced, away())),
        inherited: Some((announced.id, announced.generation)),
        problem: Some(away()),
        ..own()
    };
    assert_eq!(examine(&announced, &own, at(50)), Decision::Wait(away()));
    assert_eq!(examine(&announced, &own, at(100)), Decision::Nothing);
    let denied = Own {
        problem: Some(Problem::new(ProblemCode::BusAccessDenied, "denied")),
        ..own.clone()
    };
    assert_eq!(examine(&announced, &denied, at(50)), Decision::Nothing);
    for code in [ProblemCode::BusUnreachable, ProblemCode::ShutdownInhibited] {
        let own = Own {
            waiting: Some(Waiting::new(&record(), Problem::new(code, "in the way"))),
            ..own.clone()
        };
        let Decision::Refuse(refusal) = examine(&record(), &own, at(100)) else {
            panic!("not refused");
        };
        assert_eq!(refusal.code(), "Unable");
        assert!(!event::is_certainly_uncalled(refusal.code()));
        assert!(refusal.to_string().contains("in the way"), "{refusal}");
    }
}

#[test]
fn what_is_known_of_one_order_counts_for_no_other() {
    let away = || Problem::new(ProblemCode::BusUnreachable, "no bus");
    let before = Waiting::new(&record(), away());
    let next = Attempt {
        generation: record().generation.next(),
        reboot_started_at: Some(at(40)),
        ..record()
    };
    let own = Own {
        waiting: Some(before),
        ..own()
    };
    assert_eq!(examine(&next, &own, at(100)), Decision::Nothing);
    let unannounced = Attempt {
        reboot_started_at: None,
        ..next
    };
    let Decision::Refuse(refusal) = examine(&unannounced, &own, at(100)) else {
        panic!("not refused");
    };
    assert_eq!(refusal.code(), "Late");
}

#[test]
fn a_refusal_is_kept_until_the_record_moves_on() {
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
                Decision::Nothing | Decision::Wait(_) => (),
            }
        }
        prop_assert!(calls <= 1);
    }

    /// Whatever passed before: no call, and no wait, after the end of the order.
    #[test]
    fn nothing_waits_beyond_its_order(record in any_record(), waits in any_record(), limit in 0..200_i64, after in 0..200_i64) {
        let record = Attempt { reboot_not_after: Some(at(limit)), ..record };
        let problem = Problem::new(ProblemCode::ShutdownInhibited, "apt");
        let own = Own { waiting: Some(Waiting::new(&waits, problem.clone())), problem: Some(problem), ..own() };
        prop_assert!(matches!(examine(&record, &own, at(limit + after)), Decision::Refuse(_) | Decision::Nothing));
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

pub(crate) fn own() -> Own {
    Own {
        node: "n1".parse().unwrap(),
        boot_id: "aaaa".parse().unwrap(),
        acted: None,
        refused: None,
        waiting: None,
        inherited: None,
        problem: None,
        soft_reboots: None,
    }
}

pub(crate) fn record() -> Attempt {
    let of = AttemptRef {
        attempt: attempt(1),
        generation: Generation(3),
        node: "n1".parse().unwrap(),
        node_uid: "u1".parse().unwrap(),
    };
    let trace = TraceParent {
        trace_id: [1; 16],
        span_id: [1; 8],
        sampled: true,
    };
    Attempt {
        phase: Phase::Rebooting,
        deadline: Some(at(100)),
        cordoned_at: Some(at(1)),
        drained_at: Some(at(2)),
        reboot_not_after: Some(at(100)),
        ..Attempt::new(of, "aaaa".parse().unwrap(), at(0), trace)
    }
}

fn attempt(id: u8) -> AttemptId {
    AttemptId::new(&"u1".parse().unwrap(), Generation(id.into()), at(0))
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}
