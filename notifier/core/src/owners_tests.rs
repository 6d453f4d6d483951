//! Messages about a blocked drain go to those who answer for the pods that block it.

use bellwether_proto::{
    Blocker, BlockerKind, BudgetNumbers, DrainFailure, DrainProgress, Fact, FleetEvent, FleetFact, NodeEvent, Phase,
    Queues, UndrainableNodes,
};

use crate::desk::{Desk, Routed, State};
use crate::desk_tests::{self, at};
use crate::notification::Kind;
use crate::settings::{ConfigError, Settings};

const CONFIG: &str = "
stuckAfter: 1h
targets:
  - name: all
    webhook: { url: 'https://x.example/' }
  - name: shop
    webhook: { url: 'https://y.example/' }
  - name: cart
    webhook: { url: 'https://z.example/' }
routes:
  - targets: [all]
    kinds: [DrainBlocked]
  - targets: [shop]
    owners: [team-shop, 'shop@example.com']
  - targets: [cart]
    owners: [team-cart]
";

fn event(minute: i64, fact: Fact) -> NodeEvent {
    desk_tests::event("n1", minute, fact)
}

fn entered(minute: i64, to: Phase) -> NodeEvent {
    desk_tests::entered("n1", minute, to)
}

/// A budget of each of these namespaces blocks, with its owner.
fn blocked(minute: i64, namespaces: &[(&str, &str)]) -> NodeEvent {
    let blockers = namespaces.iter().map(|(namespace, owner)| Blocker {
        budget: Some(BudgetNumbers {
            namespace: (*namespace).to_owned(),
            name: "web".to_owned(),
            ..BudgetNumbers::default()
        }),
        namespace_owners: vec![(*owner).to_owned()],
        ..Blocker::of(BlockerKind::Budget, 1)
    });
    let progress = DrainProgress {
        blockers: blockers.collect(),
        held_up_by: vec!["the first obstacle".to_owned()],
        ..DrainProgress::default()
    };
    event(minute, Fact::DrainProgressed(progress))
}

fn failed(minute: i64) -> NodeEvent {
    let failure = DrainFailure::Timeout;
    let message = "why".to_owned();
    event(
        minute,
        Fact::DrainFailed {
            failure,
            message,
            obstacle: None,
            report: None,
        },
    )
}

struct Stage(Desk);

impl Stage {
    fn draining() -> Self {
        let mut desk = Desk::new(Settings::parse(CONFIG).unwrap(), State::default());
        assert!(desk.handle_event(&entered(0, Phase::Draining), at(0), at(0)).is_empty());
        Self(desk)
    }

    fn takes(&mut self, event: &NodeEvent) -> Vec<(usize, Kind)> {
        let routed = self.0.handle_event(event, event.at, event.at);
        self.settled(&routed)
    }

    fn at(&mut self, minute: i64) -> Vec<(usize, Kind)> {
        let routed = self.0.handle_time(at(minute));
        self.settled(&routed)
    }

    fn settled(&mut self, routed: &[Routed]) -> Vec<(usize, Kind)> {
        for Routed { target, notification } in routed {
            self.0.settled(*target, notification);
        }
        routed.iter().map(|it| (it.target, it.notification.kind)).collect()
    }
}

#[test]
fn an_owner_has_the_messages_from_the_drain_that_its_pods_block_to_the_end_of_the_attempt() {
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("shop", "team-shop")]));
    assert_eq!(stage.at(3), []);
    assert_eq!(stage.at(4), [0, 1].map(|target| (target, Kind::DrainBlocked)));
    assert_eq!(stage.at(60), [(1, Kind::AttemptStuck)]);
    assert_eq!(stage.takes(&failed(61)), [(1, Kind::DrainFailed)]);
    assert_eq!(stage.takes(&entered(61, Phase::RollingBack)), [(1, Kind::RolledBack)]);
    assert_eq!(stage.takes(&entered(62, Phase::Failed)), [(1, Kind::AttemptFailed)]);
}

#[test]
fn an_owner_whose_pods_block_later_has_a_message_only_once_they_have_for_as_long() {
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("shop", "team-shop")]));
    stage.takes(&blocked(3, &[("shop", "team-shop"), ("cart", "team-cart")]));
    let blocked_now = stage.0.handle_time(at(4));
    let first = &blocked_now.first().unwrap().notification;
    assert_eq!(
        first.summary,
        "n1: the drain is blocked (disruption budget shop/web of team-shop; disruption budget cart/web of team-cart)"
    );
    assert_eq!(first.owners(), "team-shop", "of those whose time is over");
    assert_eq!(first.detail, "the first obstacle");
    assert_eq!(
        stage.settled(&blocked_now),
        [0, 1].map(|target| (target, Kind::DrainBlocked))
    );
    assert_eq!(stage.0.poll_timeout(), Some(at(6)));
    // The pods of cart go meanwhile, and block again.
    stage.takes(&blocked(5, &[("shop", "team-shop")]));
    stage.takes(&blocked(6, &[("shop", "team-shop"), ("cart", "team-cart")]));
    assert_eq!(stage.at(8), []);
    let later = stage.0.handle_time(at(9));
    let message = &later.first().unwrap().notification;
    let own = "n1: the drain is blocked (disruption budget cart/web of team-cart; ";
    assert!(message.summary.starts_with(own), "{message:?}");
    assert_eq!(message.detail, "", "that of the other owner");
    assert_eq!(stage.settled(&later), [(2, Kind::DrainBlocked)]);
    assert_eq!(stage.at(10), []);
}

#[test]
fn what_follows_goes_to_those_who_have_blocked_for_long_and_not_to_one_who_did_for_a_moment() {
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("shop", "team-shop")]));
    stage.at(30);
    stage.takes(&blocked(60, &[("shop", "team-shop"), ("cart", "team-cart")]));
    assert_eq!(stage.at(60), [(1, Kind::AttemptStuck)]);
    let routed = stage.0.handle_event(&failed(61), at(61), at(61));
    let message = &routed.first().unwrap().notification;
    assert_eq!(
        message.summary,
        "n1: the drain failed (its time is over) (pods of team-shop block the drain)"
    );
    assert_eq!(stage.settled(&routed), [(1, Kind::DrainFailed)]);
    // A drain that was shorter than that has no others.
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("cart", "team-cart")]));
    assert_eq!(stage.takes(&failed(2)), [(2, Kind::DrainFailed)]);
}

#[test]
fn a_pause_of_the_drainer_ends_no_block_and_a_report_after_the_drain_begins_none() {
    let report = |minute, kind| {
        let progress = DrainProgress {
            blockers: vec![Blocker::of(kind, 1)],
            ..DrainProgress::default()
        };
        event(minute, Fact::DrainProgressed(progress))
    };
    for pause in [BlockerKind::Look, BlockerKind::Rest] {
        let mut stage = Stage::draining();
        stage.takes(&blocked(1, &[("shop", "team-shop")]));
        stage.takes(&report(2, pause));
        assert_eq!(stage.at(4), [0, 1].map(|target| (target, Kind::DrainBlocked)));
        assert_eq!(stage.takes(&failed(5)), [(1, Kind::DrainFailed)]);
    }
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("shop", "team-shop")]));
    stage.takes(&report(2, BlockerKind::Grace));
    assert_eq!(stage.at(4), []);
    for phase in [Phase::Rebooting, Phase::Verifying] {
        let mut stage = Stage::draining();
        stage.takes(&blocked(1, &[("shop", "team-shop")]));
        stage.takes(&entered(2, Phase::Rebooting));
        stage.takes(&entered(3, phase));
        stage.takes(&blocked(4, &[("shop", "team-shop")]));
        assert_eq!(stage.takes(&entered(5, Phase::Failed)), []);
    }
}

#[test]
fn a_drain_that_went_on_is_no_matter_of_an_owner_any_more() {
    for drained in [
        blocked(2, &[]),
        event(
            2,
            Fact::Drained {
                pods_gone: 1,
                pods_left: 0,
                pods_returning: 0,
                message: String::new(),
                report: None,
            },
        ),
    ] {
        let mut stage = Stage::draining();
        stage.takes(&blocked(1, &[("shop", "shop@example.com")]));
        stage.takes(&drained);
        assert_eq!(stage.takes(&entered(3, Phase::Failed)), []);
    }
}

#[test]
fn the_owners_of_an_attempt_survive_a_restart_and_an_older_state_has_none() {
    let mut stage = Stage::draining();
    stage.takes(&blocked(1, &[("cart", "team-cart")]));
    let state = serde_json::to_string(stage.0.state()).unwrap();
    let again = |state: &str| {
        let (state, lost) = State::read(state.as_bytes()).unwrap();
        assert!(lost.is_empty(), "{lost:?}");
        Stage(Desk::new(Settings::parse(CONFIG).unwrap(), state))
    };
    assert_eq!(again(&state).at(4), [0, 2].map(|target| (target, Kind::DrainBlocked)));
    let mut older: serde_json::Value = serde_json::from_str(&state).unwrap();
    for (_, course) in older["named"].as_object_mut().unwrap() {
        course.as_object_mut().unwrap().remove("owners").unwrap();
    }
    assert_eq!(again(&older.to_string()).takes(&failed(5)), []);
}

/// Pods of this owner keep so many nodes of each of these policies.
fn undrainable(minute: i64, kept: &[(&str, &str, u32)]) -> FleetEvent {
    let undrainable = kept.iter().map(|(policy, owner, nodes)| UndrainableNodes {
        policy: (*policy).to_owned(),
        owner: (*owner).to_owned(),
        nodes: *nodes,
        first_node: "n1".parse().unwrap(),
        message: "a budget never allows that".to_owned(),
    });
    FleetEvent {
        at: at(minute),
        source: "test".to_owned(),
        fact: FleetFact::QueuesChanged(Queues {
            policies: Vec::new(),
            undrainable: undrainable.collect(),
        }),
    }
}

#[test]
fn an_owner_hears_of_nodes_that_its_pods_keep_from_a_drain_once_for_as_long_as_they_do() {
    let config = CONFIG.replace("kinds: [DrainBlocked]", "kinds: [NodesUndrainable]");
    let mut stage = Stage(Desk::new(Settings::parse(&config).unwrap(), State::default()));
    let give = |stage: &mut Stage, minute, kept: &[(&str, &str, u32)]| {
        stage.0.handle_fleet_event(&undrainable(minute, kept), at(minute));
    };
    let message = |target| (target, Kind::NodesUndrainable);
    give(&mut stage, 0, &[("nights", "team-shop", 3)]);
    assert_eq!(stage.0.poll_timeout(), Some(at(3)));
    let due = stage.0.handle_time(at(3));
    let first = &due.first().unwrap().notification;
    assert_eq!(
        (first.summary.as_str(), first.detail.as_str(), first.policy.as_deref()),
        (
            "Policy nights: pods of team-shop keep nodes from being drained: 3",
            "n1: a budget never allows that",
            Some("nights")
        )
    );
    // Names the owner in letters that each target takes as they are.
    let owner: String = "team-shop".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(
        first.occasion.starts_with(&format!("nights@{owner}@")),
        "{}",
        first.occasion
    );
    assert_eq!(stage.settled(&due), [0, 1].map(message));
    // More nodes, a pause in which the next answers come, and another policy.
    give(&mut stage, 10, &[("nights", "team-shop", 5)]);
    give(&mut stage, 11, &[]);
    assert_eq!(stage.at(20), []);
    give(&mut stage, 70, &[("nights", "team-shop", 1), ("days", "team-shop", 1)]);
    assert_eq!(stage.at(80), [0, 1].map(message), "of the other policy");
    // A longer pause is the end of the occasion.
    give(&mut stage, 100, &[]);
    give(&mut stage, 161, &[("nights", "team-shop", 1)]);
    assert_eq!(stage.at(164), [0, 1].map(message));
    // Moments with pauses between them are no time.
    give(&mut stage, 164, &[("days", "", 1)]);
    give(&mut stage, 165, &[]);
    give(&mut stage, 170, &[("days", "", 1)]);
    assert_eq!(stage.at(172), []);
    give(&mut stage, 172, &[]);
    // Without an owner the routes without owners have the message.
    give(&mut stage, 175, &[("nights", "", 1)]);
    // The same event again, as after an upgrade, and an earlier one that is late.
    give(&mut stage, 175, &[("nights", "", 1)]);
    give(&mut stage, 174, &[]);
    let due = stage.0.handle_time(at(178));
    assert_eq!(
        due.first().unwrap().notification.summary,
        "Policy nights: pods keep nodes from being drained: 1"
    );
    assert_eq!(stage.settled(&due), [message(0)]);
}

#[test]
fn a_route_of_an_owner_that_no_namespace_can_have_is_refused_with_the_remedy() {
    let parse = |owner: &str| {
        let route = serde_json::json!({ "targets": ["all"], "owners": ["team-shop", owner] });
        let (head, _) = CONFIG.split_once("routes:").unwrap();
        Settings::parse(&format!("{head}routes: [{route}]"))
    };
    assert!(parse("#shop").is_ok());
    for wrong in ["", " team-shop", "a\nb", &"a".repeat(64)] {
        let ConfigError { field, problem } = parse(wrong).unwrap_err();
        assert_eq!(field, "routes[0].owners");
        assert!(
            problem.contains("bellwether.dev/owner") && problem.contains("63 bytes"),
            "{problem}"
        );
    }
}
