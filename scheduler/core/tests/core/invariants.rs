//! The invariants, hunted one by one: any order of mishaps, and each step is checked by the world.

use jiff::SignedDuration;
use proptest::prelude::*;

use serde_json::json;

use bellwether_proto::{Obstacle, ObstacleKind, OrderKind, Problem};
use bellwether_scheduler_core::invariant::Invariant;
use bellwether_scheduler_core::reading::{Outcome, PodOfDaemonSet};
use bellwether_scheduler_core::{AnnotatedKind, AnnotatedOrder, AnnotatedUntil, PolicyView, Rival};

use crate::annotated;
use crate::orders::of_node;
use crate::referee::fails_if;
use crate::world::{World, bellwether, kured, name, policy};

const NODES: [&str; 4] = ["a", "b", "c", "cp"];

#[derive(Debug, Clone)]
enum Happening {
    Need(usize),
    NeedCleared(usize),
    Drainer { node: usize, works: bool, said: usize },
    Rebooter { node: usize, obeys: bool, ready: bool },
    Boot { node: usize, ready: bool },
    Down(usize),
    Up(usize),
    ForeignCordon(usize),
    ForeignUncordon(usize),
    OurCordonUndone(usize),
    Replaced(usize),
    Kured(bool),
    OtherBellwether(bool),
    RivalCordon { node: usize, cordons: bool },
    Preflight { node: usize, fails: bool },
    Pass(i64),
    Crash,
    Reload,
    Pause,
    Resume,
    Cancel(usize),
    Policies(usize),
    Answer(usize),
    DaemonPods(usize),
    Order { node: usize, kind: usize },
    EndOrder { node: usize, kind: usize },
    Annotate { node: usize, order: usize },
    NeedByAnnotation { node: usize, value: usize },
}

fn happening() -> impl Strategy<Value = Happening> {
    let node = 0..NODES.len();
    prop_oneof![
        4 => node.clone().prop_map(Happening::Need),
        1 => node.clone().prop_map(Happening::NeedCleared),
        8 => (node.clone(), prop::bool::weighted(0.8), 0_usize..3)
            .prop_map(|(node, works, said)| Happening::Drainer { node, works, said }),
        5 => (node.clone(), prop::bool::weighted(0.8), any::<bool>())
            .prop_map(|(node, obeys, ready)| Happening::Rebooter { node, obeys, ready }),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, ready)| Happening::Boot { node, ready }),
        1 => node.clone().prop_map(Happening::Down),
        2 => node.clone().prop_map(Happening::Up),
        1 => node.clone().prop_map(Happening::ForeignCordon),
        2 => node.clone().prop_map(Happening::ForeignUncordon),
        1 => node.clone().prop_map(Happening::OurCordonUndone),
        1 => node.clone().prop_map(Happening::Replaced),
        1 => prop::bool::weighted(0.3).prop_map(Happening::Kured),
        1 => prop::bool::weighted(0.3).prop_map(Happening::OtherBellwether),
        2 => (node.clone(), prop::bool::weighted(0.7))
            .prop_map(|(node, cordons)| Happening::RivalCordon { node, cordons }),
        1 => (node.clone(), any::<bool>()).prop_map(|(node, fails)| Happening::Preflight { node, fails }),
        6 => (0_i64..2000).prop_map(Happening::Pass),
        2 => Just(Happening::Crash),
        2 => Just(Happening::Reload),
        1 => Just(Happening::Pause),
        1 => Just(Happening::Resume),
        1 => node.clone().prop_map(Happening::Cancel),
        1 => (node.clone(), 0..ORDERS.len()).prop_map(|(node, kind)| Happening::Order { node, kind }),
        1 => (node.clone(), 0..ORDERS.len()).prop_map(|(node, kind)| Happening::EndOrder { node, kind }),
        1 => (node.clone(), 0_usize..5).prop_map(|(node, order)| Happening::Annotate { node, order }),
        2 => (node, 0_usize..5).prop_map(|(node, value)| Happening::NeedByAnnotation { node, value }),
        1 => (0..policies().len()).prop_map(Happening::Policies),
        2 => (0..answers().len()).prop_map(Happening::Answer),
        2 => (0..listings().len()).prop_map(Happening::DaemonPods),
    ]
}

fn happen(world: &mut World, happening: &Happening) {
    match happening {
        Happening::Need(node) => world.need(NODES[*node]),
        Happening::NeedCleared(node) => world.host(NODES[*node]).need = Ok(None),
        Happening::Drainer { node, works, said } => world.drainer(NODES[*node], *works, *said),
        Happening::Rebooter { node, obeys, ready } => world.rebooter_then(NODES[*node], *obeys, *ready),
        Happening::Boot { node, ready } => world.boot(NODES[*node], *ready),
        Happening::Down(node) => world.host(NODES[*node]).view.ready = false,
        Happening::Up(node) => world.host(NODES[*node]).view.ready = true,
        Happening::ForeignCordon(node) => {
            let host = world.host(NODES[*node]);
            // Kubernetes has one bit: a node that we have cordoned cannot be cordoned again.
            if !host.view.unschedulable {
                host.foreign_cordon = true;
                host.view.unschedulable = true;
            }
        }
        Happening::ForeignUncordon(node) => {
            let host = world.host(NODES[*node]);
            host.foreign_cordon = false;
            host.view.unschedulable = host.view.cordoned_for.is_some();
        }
        // As `kubectl uncordon` does: our mark stays.
        Happening::OurCordonUndone(node) => {
            let host = world.host(NODES[*node]);
            host.view.unschedulable = host.foreign_cordon;
        }
        Happening::Replaced(node) => {
            world.leave(NODES[*node]);
            world.join(NODES[*node]);
        }
        Happening::Kured(there) => rival(world, kured(), *there),
        Happening::OtherBellwether(there) => rival(world, bellwether(), *there),
        Happening::RivalCordon { node, cordons } => {
            // Who is not there cordons nothing; what it left behind is an orphan.
            if world.rivals.contains(&bellwether()) {
                world.rival_cordons(NODES[*node], *cordons);
            }
        }
        Happening::Preflight { node, fails } => {
            world.host(NODES[*node]).preflight = fails.then(|| Problem::unclassified("no"));
        }
        Happening::Pass(seconds) => world.pass(SignedDuration::from_secs(*seconds)),
        Happening::Crash => world.crash(),
        Happening::Reload => world.reload(),
        Happening::Pause => world.pause(""),
        Happening::Resume => world.resume(),
        Happening::Cancel(node) => {
            // Refused or not: neither may break anything.
            world.cancel(NODES[*node], "");
        }
        Happening::Answer(answer) => world.answer.clone_from(&answers()[*answer]),
        Happening::DaemonPods(listing) => world.daemon_pods.clone_from(&listings()[*listing]),
        Happening::Order { node, kind } => {
            // Refused or not: neither may break anything.
            let lasts = SignedDuration::from_mins(30);
            world.order(ORDERS[*kind], of_node(NODES[*node]), Some(lasts));
        }
        Happening::EndOrder { node, kind } => {
            world.end(ORDERS[*kind], of_node(NODES[*node]));
        }
        Happening::Annotate { node, order } => {
            let orders = annotations(world).into_iter().nth(*order);
            world.annotate(NODES[*node], orders);
        }
        Happening::NeedByAnnotation { node, value } => {
            // Without the key, the view was not read for the annotation.
            let values = [None, Some("x"), Some("y"), Some("false")].map(|value| value.map(str::to_owned));
            let annotation = values.get(*value).map(|value| ("x/need".to_owned(), value.clone()));
            world.host(NODES[*node]).view.annotations = annotation.into_iter().collect();
        }
        Happening::Policies(set) => world.policies.clone_from(&policies()[*set]),
    }
    world.do_effects();
    world.settle();
}

/// The pods of DaemonSets that are listed of each node; none: no listing is answered.
fn listings() -> [Option<Outcome>; 4] {
    let pod = |run: &str, ready| PodOfDaemonSet {
        daemon_set: "d".to_owned(),
        run: run.to_owned(),
        ready,
    };
    [
        None,
        Some(Outcome::Failed("x".to_owned())),
        Some(Outcome::DaemonPods(vec![pod("1", true)])),
        Some(Outcome::DaemonPods(vec![pod("2", false)])),
    ]
}

/// The orders that operators give for a node.
const ORDERS: [OrderKind; 4] = [OrderKind::Block, OrderKind::Skip, OrderKind::Approve, OrderKind::Now];

/// The orders that a Node carries as annotations: with an end, without one, and with one that is no time.
fn annotations(world: &World) -> [AnnotatedOrder; 4] {
    let until = AnnotatedUntil::At(world.now + SignedDuration::from_mins(20));
    let malformed = AnnotatedUntil::Malformed("x".to_owned());
    let of_kind = |kind, until| AnnotatedOrder {
        until,
        ..annotated::order(world, kind)
    };
    [
        of_kind(AnnotatedKind::Hold, until.clone()),
        of_kind(AnnotatedKind::Skip, AnnotatedUntil::Unstated),
        of_kind(AnnotatedKind::Skip, malformed),
        of_kind(AnnotatedKind::Approve, until),
    ]
}

/// How servers answer the queries of gates; none: not at all.
fn answers() -> [Option<Outcome>; 4] {
    let text = "x".to_owned();
    [
        None,
        Some(Outcome::Open),
        Some(Outcome::Shut(text.clone().into())),
        Some(Outcome::Failed(text)),
    ]
}

/// Sets of policies: none; windows that open and shut within the runs; for some nodes only; a conflict; a mistake;
/// budgets, the control plane first; gates; brakes; canaries; approvals; the ends of drains; needs by annotation.
fn policies() -> [Vec<PolicyView>; 14] {
    let hourly = json!({ "cron": "0 * * * *", "duration": "40m" });
    let blackout = json!({ "from": "2026-01-01T01:10", "to": "2026-01-01T01:25" });
    let workers = json!({ "matchLabels": { "pool": "w" } });
    let gate = |name: &str| json!({ "name": name, "url": "http://p", "query": name });
    let pods = json!({ "name": "p", "selector": { "matchLabels": { "a": "b" } } });
    let allowing = json!({ "name": "c", "url": "http://p", "query": "c", "onError": "Allow" });
    let brakes = json!({ "minInterval": "40m", "cohort": { "labels": ["pool"], "maxFailures": 1 } });
    [
        vec![],
        vec![policy("hourly", json!({ "windows": [hourly], "startMargin": "5m" }))],
        vec![policy(
            "hourly",
            json!({ "windows": [hourly], "blackouts": [blackout] }),
        )],
        vec![
            policy(
                "workers",
                json!({ "nodeSelector": workers, "priority": 1, "windows": [hourly] }),
            ),
            policy("always", json!({})),
        ],
        vec![
            policy("workers", json!({ "nodeSelector": workers })),
            policy("always", json!({ "priority": -1 })),
            policy("all", json!({})),
        ],
        vec![policy(
            "workers",
            json!({ "nodeSelector": workers, "windows": [{ "days": ["Sit"] }] }),
        )],
        vec![policy(
            "half",
            json!({ "budget": { "maxUnavailable": "50%" }, "controlPlane": "First" }),
        )],
        vec![policy(
            "pools",
            json!({ "budget": { "topology": [{ "key": "pool", "maxUnavailable": 1, "maxDomains": 1 }] } }),
        )],
        vec![
            policy(
                "workers",
                json!({ "nodeSelector": workers, "priority": 1, "gates": { "prometheus": [gate("a"), gate("b")] } }),
            ),
            policy(
                "always",
                json!({ "gates": { "prometheus": [allowing], "pods": [pods] } }),
            ),
        ],
        vec![
            policy(
                "workers",
                json!({ "nodeSelector": workers, "priority": 1, "brakes": brakes }),
            ),
            policy(
                "always",
                json!({ "brakes": { "maxFailures": 2, "maxRebootsPerDay": 2 } }),
            ),
        ],
        vec![policy(
            "all",
            json!({ "canaries": { "nodeSelector": workers, "soak": "10m" } }),
        )],
        vec![policy("all", json!({ "approval": "Manual" }))],
        vec![
            policy(
                "workers",
                json!({ "nodeSelector": workers, "priority": 1, "drain": { "onTimeout": "Hold", "timeout": "20m" } }),
            ),
            policy(
                "always",
                json!({ "drain": { "onTimeout": "Proceed", "timeout": "2h" } }),
            ),
        ],
        vec![policy(
            "all",
            json!({ "needs": { "annotations": [{ "key": "x/need" }] } }),
        )],
    ]
}

fn rival(world: &mut World, rival: Rival, there: bool) {
    if there {
        world.rivals.insert(rival);
    } else {
        world.rivals.remove(&rival);
    }
}

/// Lets everything happen, hunting one invariant; at the end everybody behaves again.
fn hunt(hunted: Invariant, slots: u32, happenings: &[Happening]) {
    let mut world = World::new(slots, &NODES);
    // The drains of one node end at one obstacle, if they do.
    world.host("a").obstacle = Some(Obstacle {
        kind: ObstacleKind::Budget,
        namespace: "shop".into(),
        owner: "ReplicaSet/web".into(),
        pod: "web-1".into(),
    });
    world.hunted = Some(hunted);
    for happening in happenings {
        happen(&mut world, happening);
    }
    for node in NODES {
        let host = world.host(node);
        host.view.ready = true;
        host.foreign_cordon = false;
        host.view.unschedulable = host.view.cordoned_for.is_some();
        host.preflight = None;
        world.annotate(node, None);
        for kind in ORDERS {
            world.end(kind, of_node(node));
        }
    }
    world.rivals.clear();
    world.policies.clear();
    world.resume();
    world.settle();
    world.work_until_quiet();
    // What still holds a slot waits for a person: release it, as that person would.
    for node in NODES {
        world.cancel(node, "");
    }
    world.settle();
    world.work_until_quiet();
    let taken = world.fleet.slots_taken();
    world.must(
        Invariant::SlotsComeBack,
        fails_if(taken > 0, "a slot is still taken", &name("a")),
    );
    for node in NODES {
        let (reason, phase) = (world.reason(node), world.phase(node));
        let view = &world.host(node).view;
        let back = if view.cordoned_for.is_none() {
            Ok(())
        } else {
            Err(format!("{node}: {phase:?}, {reason:?}"))
        };
        world.must(Invariant::WayBack, back);
        // Not an invariant, but what all of it is for.
        let ended = world
            .records
            .get(&name(node))
            .is_none_or(|record| record.phase.is_ended());
        world.must(
            Invariant::AttemptsEnd,
            fails_if(!ended, "its attempt has not ended", &name(node)),
        );
        let done = matches!(world.host(node).need, Ok(None));
        assert!(done, "{node} still needs its reboot: {phase:?}, {reason:?}");
    }
}

proptest! {
    // Writing and reading a night costs more than living it.
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_recording_played_again_gives_the_same_effects(happenings in prop::collection::vec(happening(), 1..120)) {
        let mut world = World::new(2, &NODES);
        for happening in &happenings {
            happen(&mut world, happening);
        }
        world.plays_again();
    }
}

macro_rules! invariants {
    ($($name:ident: $invariant:ident),* $(,)?) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(slots in 1_u32..4, happenings in prop::collection::vec(happening(), 1..120)) {
                    hunt(Invariant::$invariant, slots, &happenings);
                }
            )*
        }
    };
}

invariants! {
    budget: Budget,
    drained_before_rebooted: DrainedBeforeRebooted,
    looked_at_again: LookedAtAgain,
    in_the_window: InTheWindow,
    once: Once,
    foreign_cordon_stays: ForeignCordonStays,
    way_back: WayBack,
    no_false_success: NoFalseSuccess,
    said_why: SaidWhy,
    no_storm: NoStorm,
    attempts_end: AttemptsEnd,
    slots_come_back: SlotsComeBack,
}
