//! Which event changes an attempt in which phase: every fact in every phase, of the present generation and of an older
//! one, against the same course without the event.

use std::collections::BTreeSet;

use bellwether_proto::{DrainFailure, Fact, Generation, Phase};
use jiff::SignedDuration;

use crate::world::{World, name};

/// After this time each event has had its effect, and no limit of a phase is over.
const LATER: SignedDuration = SignedDuration::from_secs(31);

/// A node on the way to one phase.
type Course = fn(&mut World);

/// Each phase, and how a node gets there.
fn courses() -> [(Phase, Course); 9] {
    fn drained(world: &mut World) {
        world.drainer("a", true, 1);
    }
    fn rebooted(world: &mut World) {
        drained(world);
        world.rebooter("a", true);
    }
    fn uncordoned(world: &mut World) {
        rebooted(world);
        world.drainer("a", true, 1);
    }
    fn cancelled(world: &mut World) {
        drop(world.cancel("a", ""));
    }
    [
        (Phase::Draining, |_| ()),
        (Phase::Rebooting, drained),
        (Phase::Verifying, |world| {
            drained(world);
            world.rebooter_then("a", true, false);
        }),
        (Phase::Uncordoning, rebooted),
        (Phase::Soaking, uncordoned),
        (Phase::Done, |world| {
            uncordoned(world);
            world.pass(world.policy.soak);
        }),
        (Phase::RollingBack, cancelled),
        (Phase::Cancelled, |world| {
            cancelled(world);
            // The command to drain is not permitted any more.
            world.drainer("a", true, 1);
            world.drainer("a", true, 1);
            world.pass(LATER);
        }),
        (Phase::Failed, |world| {
            world.drainer("a", false, 1);
            world.drainer("a", true, 1);
            world.pass(LATER);
        }),
    ]
}

fn facts() -> Vec<Fact> {
    let message = String::from("a message");
    let failure = |failure| Fact::DrainFailed {
        failure,
        message: message.clone(),
        obstacle: None,
        report: None,
    };
    vec![
        Fact::Cordoned,
        Fact::Drained {
            pods_gone: 1,
            pods_left: 0,
            pods_returning: 0,
            message: String::new(),
            report: None,
        },
        failure(DrainFailure::Timeout),
        failure(DrainFailure::NodeGone),
        Fact::Uncordoned {
            left_unschedulable: false,
        },
        Fact::RebootStarted {
            boot_id: "boot-1".parse().unwrap(),
            method: "logind".into(),
        },
        Fact::RebootRefused {
            message: message.clone(),
            code: "Late".to_owned(),
        },
        Fact::RebootFailed {
            message: message.clone(),
        },
        Fact::UncordonFailed { message },
    ]
}

/// The record of node `a` some time after the event, if there is one.
fn record_after(course: Course, phase: Phase, event: Option<(Fact, u64)>) -> String {
    let mut world = World::new(1, &["a"]);
    world.policy.soak = SignedDuration::from_mins(1);
    world.crash();
    world.need("a");
    course(&mut world);
    assert_eq!(world.phase("a"), Some(phase));
    if let Some((fact, older)) = event {
        let record = world.records[&name("a")].clone();
        let generation = Generation(record.generation.0 - older);
        world.say(&name("a"), fact, generation, record.id);
    }
    // A command without an answer is asked for again, whatever the event was.
    world.commands.clear();
    world.pass(LATER);
    format!("{:?}", world.records[&name("a")])
}

/// The events that change the record.
fn effects(older: u64) -> BTreeSet<String> {
    let mut effects = BTreeSet::new();
    for (phase, course) in courses() {
        let without = record_after(course, phase, None);
        for fact in facts() {
            let kind = if let Fact::DrainFailed { failure, .. } = &fact {
                format!("{} {failure:?}", fact.kind())
            } else {
                fact.kind().to_string()
            };
            if record_after(course, phase, Some((fact, older))) != without {
                effects.insert(format!("{}: {kind}", phase.as_str()));
            }
        }
    }
    effects
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn an_event_of_the_present_generation_counts_in_its_phase_only() {
    let expected = "
        Draining: cordoned
        Draining: drained
        Draining: drain-failed Timeout
        Draining: drain-failed NodeGone
        Draining: reboot-started
        Rebooting: reboot-started
        Rebooting: reboot-refused
        RollingBack: uncordoned
        RollingBack: reboot-started
        Cancelled: reboot-started
        Failed: reboot-started
    ";
    assert_eq!(effects(0), lines(expected));
}

#[test]
fn of_an_older_generation_only_what_has_happened_to_the_node_counts() {
    let expected = "
        Draining: cordoned
        Draining: reboot-started
        Rebooting: reboot-started
        RollingBack: reboot-started
        Cancelled: reboot-started
        Failed: reboot-started
    ";
    assert_eq!(effects(1), lines(expected));
}
