//! Stories of an uncordon, and of a command's last step, over time. Times are seconds since the begin.

use bellwether_drainer_core::{ApiFault, Command, CommandEnd, Conclusion, NodeMarks, Task, Uncordon};
use bellwether_proto::{Fact, Phase};

use crate::world::{World, at, attempt};

#[test]
fn an_uncordon_removes_the_cordon_of_its_attempt() {
    let mut world = uncordon();
    world.pass(0);
    assert_eq!(
        world.end,
        Some((
            at(0),
            CommandEnd::Uncordoned {
                left_unschedulable: false
            }
        ))
    );
    let node = world.node.unwrap();
    assert_eq!((node.is_unschedulable, node.mark), (false, None));
}

#[test]
fn an_uncordon_that_fails_for_twenty_seconds_is_reported() {
    let mut world = uncordon();
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    world.pass(19);
    assert_eq!(world.end, None);
    world.pass(10);
    let (ended_at, end) = world.end.unwrap();
    assert!(ended_at >= at(20) && ended_at <= at(26), "{ended_at}");
    let message = "forbidden: no".to_owned();
    let failed = CommandEnd::UncordonFailed { message };
    assert_eq!(end, failed);
    // A try that fails at the twentieth second is the last one.
    let mut world = uncordon();
    world.api_fault = Some(ApiFault::Forbidden("no".to_owned()));
    world.act();
    world.now = at(20);
    world.settle();
    assert_eq!(world.end, Some((at(20), failed)));
}

#[test]
fn an_uncordon_that_fails_is_tried_again_before_the_next_read_of_the_record() {
    let mut world = uncordon();
    world.api_fault = Some(ApiFault::Unavailable("down".to_owned()));
    world.settle();
    world.api_fault = None;
    world.pass(60);
    let (ended_at, end) = world.end.unwrap();
    assert!(matches!(end, CommandEnd::Uncordoned { .. }), "{end:?}");
    assert!(ended_at < at(1), "{ended_at}");
}

#[test]
fn d1_an_uncordon_that_waits_ends_at_once_after_a_hint() {
    let mut world = uncordon();
    world.api_fault = Some(ApiFault::Unavailable("down".to_owned()));
    world.pass(1);
    world.phase = Phase::Done;
    world.hint();
    world.pass(60);
    let (ended_at, end) = world.end.unwrap();
    assert!(matches!(end, CommandEnd::PermitLost { .. }), "{end:?}");
    assert_eq!(ended_at, at(1));
}

#[test]
fn an_uncordon_is_not_written_before_the_record_authorises_it() {
    let mut world = uncordon();
    world.nats_answers = false;
    world.pass(40);
    assert!(
        matches!(world.end, Some((_, CommandEnd::Postponed { .. }))),
        "{:?}",
        world.end
    );
    assert_eq!(world.patches, 0);
    let mut world = uncordon();
    world.phase = Phase::Draining;
    world.pass(40);
    assert!(
        matches!(world.end, Some((_, CommandEnd::PermitLost { .. }))),
        "{:?}",
        world.end
    );
    assert_eq!(world.patches, 0);
}

#[test]
fn the_end_of_a_command_is_stored_unless_the_record_moves_on_before() {
    let mut world = conclusion();
    world.pass(0);
    assert_eq!(
        world.facts,
        [Fact::Uncordoned {
            left_unschedulable: true
        }]
    );
    assert!(
        matches!(world.end, Some((_, CommandEnd::Uncordoned { .. }))),
        "{:?}",
        world.end
    );
    // The record moves on: the last step learns that from a hint at once, and without one within five seconds.
    for (is_hinted, learned_at) in [(true, at(0)), (false, at(5))] {
        let mut world = conclusion();
        world.act();
        // The stream refuses the event for now.
        world.responses.clear();
        world.phase = Phase::Done;
        if is_hinted {
            world.hint();
        }
        world.pass(60);
        let (ended_at, end) = world.end.unwrap();
        assert!(matches!(end, CommandEnd::PermitLost { .. }), "{end:?}");
        assert_eq!(ended_at, learned_at);
    }
}

#[test]
fn an_uncordon_that_a_webhook_undoes_is_reported() {
    let mut world = uncordon();
    world.patches_are_undone = true;
    world.pass(40);
    let Some((_, CommandEnd::UncordonFailed { message })) = world.end else {
        panic!("{:?}", world.end);
    };
    assert!(message.contains("did not change as asked"), "{message}");
}

#[test]
fn an_uncordon_that_waits_continues_when_the_clock_is_set_back() {
    let mut world = uncordon();
    world.machine = Uncordon::new(attempt(), false, NodeMarks::default(), at(7200));
    world.now = at(7200);
    world.api_fault = Some(ApiFault::Unavailable("busy".to_owned()));
    world.settle();
    world.api_fault = None;
    world.now = at(3600);
    world.settle();
    assert!(
        matches!(world.end, Some((_, CommandEnd::Uncordoned { .. }))),
        "{:?}",
        world.end
    );
}

#[test]
fn d3_a_cordon_that_is_set_after_an_operator_took_ours_away_stays() {
    let mut world = uncordon();
    world.machine = Uncordon::new(attempt(), true, NodeMarks::default(), at(0));
    world.pass(1);
    let end = CommandEnd::Uncordoned {
        left_unschedulable: true,
    };
    assert_eq!(world.end, Some((at(0), end)));
    let node = world.node.unwrap();
    assert_eq!((node.mark, node.is_unschedulable), (None, true));
}

#[test]
fn labels_that_the_api_server_refuses_keep_no_node_from_its_drain_or_its_return() {
    let labels = ["phase=rebooting".parse().unwrap()];
    let marks = NodeMarks::new(&labels, &labels, true);
    for fault in [
        ApiFault::Forbidden("by a policy".to_owned()),
        ApiFault::Unavailable("422".to_owned()),
    ] {
        let mut world = uncordon();
        world.machine = Uncordon::new(attempt(), false, marks.clone(), at(0));
        world.label_fault = Some(fault);
        world.pass(15);
        assert!(
            matches!(world.end, Some((_, CommandEnd::Uncordoned { .. }))),
            "{:?}",
            world.end
        );
    }
}

fn uncordon() -> World<Uncordon> {
    let mut world = World::new(
        Uncordon::new(attempt(), false, NodeMarks::default(), at(0)),
        Phase::Uncordoning,
    );
    world.change_node(|node| {
        node.is_unschedulable = true;
        node.mark = Some(attempt().attempt.to_string());
    });
    world
}

fn conclusion() -> World<Conclusion> {
    let command = Command {
        attempt: attempt(),
        task: Task::Uncordon,
    };
    let end = CommandEnd::Uncordoned {
        left_unschedulable: true,
    };
    World::new(Conclusion::new(command, end, at(0)), Phase::Uncordoning)
}
