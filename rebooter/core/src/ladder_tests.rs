use std::time::Duration;

use bellwether_proto::{Attempt, Phase, RebootKind};
use jiff::Timestamp;

use crate::guard::{Acted, Own};
use crate::guard_tests::{at, own, record};
use crate::ladder::*;

#[test]
fn a_ladder_without_steps_is_over_at_once() {
    assert_eq!(due(&ladder(&[]), &record_until(1000), 60, 50), Next::Over);
}

#[test]
fn a_step_is_due_once_its_time_has_passed_and_the_next_one_later() {
    let ladder = ladder(&[("signal", 60), ("syscall", 180)]);
    let record = record_until(1000);
    assert_eq!(due(&ladder, &record, 10, 50), Next::In(Duration::from_secs(50)));
    assert_eq!(due(&ladder, &record, 60, 50), Next::Step(0));
    let next = Climb { taken: 1, ..climb() };
    let due = |since| next.next(&ladder, &record, &own(), Duration::from_secs(since), at(50));
    assert_eq!(due(60), Next::In(Duration::from_secs(120)));
    assert_eq!(due(500), Next::Step(1));
    let last = Climb { taken: 2, ..climb() };
    assert_eq!(
        last.next(&ladder, &record, &own(), Duration::from_secs(900), at(50)),
        Next::Over
    );
}

#[test]
fn no_step_is_taken_once_the_record_does_not_order_this_reboot_of_this_boot() {
    let ladder = ladder(&[("signal", 60)]);
    let good = record_until(1000);
    assert_eq!(due(&ladder, &good, 60, 50), Next::Step(0));
    type Change = fn(&mut Attempt);
    let changes: [(&str, Change); 6] = [
        ("phase", |record| record.phase = Phase::RollingBack),
        ("generation", |record| record.generation = record.generation.next()),
        ("node", |record| record.node = "n2".parse().unwrap()),
        ("boot", |record| record.boot_before = "bbbb".parse().unwrap()),
        ("drain", |record| record.drained_at = None),
        ("deadline", |record| record.deadline = None),
    ];
    for (what, change) in changes {
        let mut record = good.clone();
        change(&mut record);
        assert_eq!(due(&ladder, &record, 60, 50), Next::Over, "{what}");
    }
    let rebooted = Own {
        boot_id: "bbbb".parse().unwrap(),
        ..own()
    };
    let after = Attempt {
        boot_before: "bbbb".parse().unwrap(),
        ..good.clone()
    };
    for record in [good, after] {
        let next = climb().next(&ladder, &record, &rebooted, Duration::from_secs(60), at(50));
        assert_eq!(next, Next::Over);
    }
}

#[test]
fn no_step_is_taken_close_to_the_deadline_or_after_it() {
    let ladder = ladder(&[("signal", 60)]);
    for (now, expected) in [(939, Next::Step(0)), (940, Next::Over), (2000, Next::Over)] {
        assert_eq!(due(&ladder, &record_until(1000), 60, now), expected, "{now}");
    }
}

#[test]
fn an_order_that_another_process_announced_is_adopted_and_held_to_its_own_limit() {
    let ladder = ladder(&[("signal", 60)]);
    let announced = Attempt {
        reboot_started_at: Some(at(40)),
        ..record_until(1000)
    };
    let own = inheriting(&announced);
    let adopted = Climb::adopted(&announced, &own, None).unwrap();
    let due = |now| adopted.next(&ladder, &announced, &own, Duration::from_secs(60), at(now));
    // The order holds until 100.
    assert_eq!((due(99), due(100)), (Next::Step(0), Next::Over));
}

#[test]
fn no_order_is_adopted_that_this_process_knows_or_that_is_of_another_kind() {
    let announced = Attempt {
        reboot_started_at: Some(at(40)),
        ..record_until(1000)
    };
    let this = (announced.id, announced.generation);
    let called = Acted {
        attempt: announced.id,
        boot_id: own().boot_id,
    };
    let refused = Own {
        refused: Some(this),
        ..inheriting(&announced)
    };
    let called = Own {
        acted: Some(called),
        ..inheriting(&announced)
    };
    for own in [refused, called, own()] {
        assert_eq!(Climb::adopted(&announced, &own, None), None, "{own:?}");
    }
    assert_eq!(Climb::adopted(&announced, &inheriting(&announced), Some(this)), None);
    let kexec = Attempt {
        reboot_kind: RebootKind::Kexec,
        ..announced.clone()
    };
    let unannounced = Attempt {
        reboot_started_at: None,
        ..announced
    };
    for record in [kexec, unannounced] {
        assert_eq!(Climb::adopted(&record, &inheriting(&record), None), None);
    }
}

#[test]
fn a_ladder_that_makes_no_sense_is_refused() {
    for (steps, error) in [
        (&[("signal", 29)][..], LadderError::TooEarly),
        (&[("signal", 60), ("syscall", 60)], LadderError::Order),
        (&[("signal", 90), ("syscall", 60)], LadderError::Order),
        (&[("signal", 60), ("syscall", 90), ("signal", 120)], LadderError::Twice),
    ] {
        assert_eq!(Ladder::new(steps_of(steps)), Err(error), "{steps:?}");
    }
}

fn due(ladder: &Ladder<&'static str>, record: &Attempt, since: u64, now: i64) -> Next {
    climb().next(ladder, record, &own(), Duration::from_secs(since), at(now))
}

/// A process that found this order when it started.
fn inheriting(record: &Attempt) -> Own {
    Own {
        inherited: Some((record.id, record.generation)),
        ..own()
    }
}

fn climb() -> Climb {
    Climb {
        attempt: record().id,
        generation: record().generation,
        boot_id: own().boot_id,
        taken: 0,
        is_adopted: false,
    }
}

fn record_until(deadline: i64) -> Attempt {
    Attempt {
        deadline: Some(Timestamp::from_second(deadline).unwrap()),
        ..record()
    }
}

fn ladder(steps: &[(&'static str, u64)]) -> Ladder<&'static str> {
    Ladder::new(steps_of(steps)).unwrap()
}

fn steps_of(steps: &[(&'static str, u64)]) -> Vec<Step<&'static str>> {
    let step = |(method, after): &(&'static str, u64)| Step {
        method: *method,
        after: Duration::from_secs(*after),
    };
    steps.iter().map(step).collect()
}
