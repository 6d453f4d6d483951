use std::time::Duration;

use bellwether_proto::{Attempt, Problem, ProblemCode, RebootKind};

use crate::guard::*;
use crate::guard_tests::{at, own, record};
use crate::ladder::{Climb, Ladder, Next, Step};

/// The order of a soft reboot in a boot that has had so many.
fn soft(before: Option<u32>) -> Attempt {
    Attempt {
        reboot_kind: RebootKind::Soft,
        soft_reboots_before: before,
        ..record()
    }
}

fn shows(now: Option<u32>) -> Own {
    Own {
        soft_reboots: now,
        ..own()
    }
}

#[test]
fn a_soft_reboot_is_called_only_while_the_host_shows_the_very_number_of_before() {
    let Decision::Act(order) = examine(&soft(Some(2)), &shows(Some(2)), at(50)) else {
        panic!("not obeyed");
    };
    assert_eq!((order.kind, order.soft_reboots), (RebootKind::Soft, Some(2)));
    // The record is still in Rebooting, and the boot id the same: a rebooter that starts after the soft reboot does nothing.
    for (before, now) in [(2, 3), (2, 9), (2, 0)] {
        for started in [None, Some(at(40))] {
            let record = Attempt {
                reboot_started_at: started,
                ..soft(Some(before))
            };
            assert_eq!(
                examine(&record, &shows(Some(now)), at(50)),
                Decision::Nothing,
                "{before} {now}"
            );
            assert_eq!(examine(&record, &shows(Some(now)), at(100)), Decision::Nothing, "late");
        }
    }
    // The number is nothing to an order of another kind.
    assert!(matches!(examine(&record(), &shows(Some(3)), at(50)), Decision::Act(_)));
}

#[test]
fn a_number_that_cannot_be_read_is_waited_for_and_one_that_the_record_lacks_is_refused() {
    let Decision::Wait(problem) = examine(&soft(Some(2)), &shows(None), at(50)) else {
        panic!("not waited for");
    };
    assert_eq!(problem.code, ProblemCode::RebootMethodTimedOut);
    let called = Attempt {
        reboot_started_at: Some(at(40)),
        ..soft(Some(2))
    };
    assert_eq!(
        examine(&called, &shows(None), at(100)),
        Decision::Nothing,
        "the host may be going down"
    );
    let Decision::Refuse(refusal) = examine(&soft(None), &shows(Some(2)), at(50)) else {
        panic!("not refused");
    };
    assert_eq!(refusal.code(), "Unable");
    // Another problem of the host counts first.
    let own = Own {
        problem: Some(Problem::new(ProblemCode::ShutdownInhibited, "apt")),
        ..shows(None)
    };
    let Decision::Wait(problem) = examine(&soft(Some(2)), &own, at(50)) else {
        panic!("not waited for");
    };
    assert_eq!(problem.code, ProblemCode::ShutdownInhibited);
}

#[test]
fn an_order_with_another_number_is_another_order() {
    let act = |before| match examine(&soft(Some(before)), &shows(Some(before)), at(50)) {
        Decision::Act(order) => order,
        Decision::Nothing | Decision::Wait(_) | Decision::Refuse(_) => panic!("not obeyed"),
    };
    assert!(act(2).is_same(&act(2)) && !act(2).is_same(&act(3)));
}

#[test]
fn one_process_calls_once_in_a_boot_for_a_soft_reboot_too() {
    let own = Own {
        acted: Some(Acted {
            attempt: record().id,
            boot_id: own().boot_id,
        }),
        ..shows(Some(2))
    };
    assert_eq!(examine(&soft(Some(2)), &own, at(50)), Decision::Nothing);
}

#[test]
fn no_step_of_an_escalation_follows_a_soft_reboot() {
    let after = Duration::from_secs(60);
    let ladder = Ladder::new(vec![Step {
        method: "signal",
        after,
    }])
    .unwrap();
    let climb = Climb {
        attempt: record().id,
        generation: record().generation,
        boot_id: own().boot_id,
        taken: 0,
        is_adopted: false,
    };
    let next = |kind| {
        let record = Attempt {
            deadline: Some(at(1000)),
            ..soft(Some(2))
        };
        let record = Attempt {
            reboot_kind: kind,
            ..record
        };
        climb.next(&ladder, &record, &shows(Some(2)), after, at(50))
    };
    assert_eq!(next(RebootKind::Soft), Next::Over);
    assert_eq!(next(RebootKind::Kexec), Next::Step(0));
}
