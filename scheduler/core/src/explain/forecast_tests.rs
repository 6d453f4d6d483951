//! The forecast against a walk through every minute, and the rules one by one.

use proptest::prelude::*;

use super::*;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Longer than all that a scene can hold.
const MINUTES: i64 = 400;

fn at(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + MINUTE * i32::try_from(minute).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "the field that it fills is optional")]
fn open(start: i64, end: Option<i64>) -> Option<Opening> {
    Some(Opening {
        start: at(start),
        end: end.map(at),
    })
}

fn plan(opening: Option<Opening>) -> Plan {
    Plan {
        opening,
        has_begun: true,
        max_unavailable: None,
        topology: vec![],
        canaries: None,
    }
}

fn node(duration: i32) -> Waiting {
    Waiting {
        at: Standpoint {
            policy: Some(0),
            ..Standpoint::default()
        },
        ready_at: at(0),
        margin: MINUTE * 10,
        duration: MINUTE * duration,
    }
}

fn scene(slots: usize, plan: Plan, nodes: Vec<Waiting>) -> Scene {
    Scene {
        now: at(0),
        slots,
        policies: vec![plan],
        held: vec![],
        nodes,
    }
}

fn minutes(scene: &Scene) -> Vec<Option<i64>> {
    let minute = |start: Timestamp| start.duration_since(at(0)).as_mins();
    starts(scene).into_iter().map(|start| start.map(minute)).collect()
}

#[test]
fn nodes_start_one_after_the_other_until_the_margin_before_the_end() {
    let night = || plan(open(0, Some(60)));
    let nodes = vec![node(20), node(20), node(20), node(20)];
    let one = minutes(&scene(1, night(), nodes.clone()));
    assert_eq!(one, [Some(0), Some(20), Some(40), None]);
    let two = minutes(&scene(2, night(), nodes.clone()));
    assert_eq!(two, [Some(0), Some(0), Some(20), Some(20)]);
    let limited = Plan {
        max_unavailable: Some(1),
        ..night()
    };
    assert_eq!(minutes(&scene(2, limited, nodes)), one);
}

#[test]
fn the_first_node_of_a_rollout_goes_alone() {
    let begins = Plan {
        has_begun: false,
        ..plan(open(0, Some(60)))
    };
    let scene = scene(2, begins, vec![node(20), node(20), node(20)]);
    assert_eq!(minutes(&scene), [Some(0), Some(20), Some(20)]);
}

#[test]
fn a_node_that_needs_less_time_fits_behind_one_that_does_not() {
    let mut nodes = vec![node(55), node(5), node(3)];
    nodes[1].margin = MINUTE * 5;
    nodes[2].margin = MINUTE * 4;
    let scene = scene(1, plan(open(0, Some(60))), nodes);
    assert_eq!(
        minutes(&scene),
        [Some(0), None, Some(55)],
        "a start at the very margin is too late"
    );
}

#[test]
fn the_next_opening_is_played_if_none_is_open_and_nothing_starts_without_one() {
    let nodes = || vec![node(20), node(20)];
    assert_eq!(minutes(&scene(1, plan(open(90, None)), nodes())), [Some(90), Some(110)]);
    assert_eq!(minutes(&scene(1, plan(None), nodes())), [None, None]);
    let mut urgent = nodes();
    urgent[1].at.is_urgent = true;
    assert_eq!(minutes(&scene(1, plan(open(90, None)), urgent)), [Some(90), Some(0)]);
}

#[test]
fn nodes_that_are_disrupted_keep_their_slots_until_their_end_or_for_ever() {
    let mut scene = scene(2, plan(open(0, None)), vec![node(20), node(20)]);
    let held = |until| Held {
        at: Standpoint::default(),
        is_attempt: true,
        until,
    };
    scene.held = vec![held(Some(at(15))), held(None)];
    assert_eq!(minutes(&scene), [Some(15), Some(35)]);
    scene.slots = 1;
    assert_eq!(minutes(&scene), [None, None]);
}

#[test]
fn other_nodes_start_once_the_canaries_have_soaked_if_it_is_known_when() {
    let canaries = |left| {
        Some(CanaryPlan {
            left,
            soak: MINUTE * 30,
        })
    };
    let with = |left| Plan {
        canaries: canaries(left),
        ..plan(open(0, None))
    };
    let mut nodes = vec![node(20), node(20), node(20)];
    nodes[2].at.canary = true;
    let mut scene = scene(3, with(1), nodes);
    assert_eq!(minutes(&scene), [Some(50), Some(50), Some(0)]);
    scene.policies = vec![with(2)];
    assert_eq!(minutes(&scene), [None, None, Some(0)]);
}

/// Whether a node may start at a minute beside the disrupted ones, by counting.
fn may_start(
    scene: &Scene,
    node: &Waiting,
    active: &[(Standpoint, Option<Timestamp>)],
    back: &[BackAt],
    now: i64,
) -> bool {
    let beside = || active.iter().map(|(beside, _)| beside);
    if at(now) < node.ready_at || active.len() >= scene.slots {
        return false;
    }
    if node.at.control_plane && beside().any(|beside| beside.control_plane) {
        return false;
    }
    let Some(policy) = node.at.policy else { return true };
    let plan = &scene.policies[policy];
    let of_policy = || beside().filter(|beside| beside.policy == Some(policy));
    if !node.at.is_urgent {
        let Some(opening) = plan.opening else { return false };
        let is_late = |end: Timestamp| at(now) >= end || at(now) + node.margin >= end;
        if at(now) < opening.start || opening.end.is_some_and(is_late) {
            return false;
        }
        let canaries = plan.canaries.as_ref().filter(|_| !node.at.canary);
        if let Some(canaries) = canaries {
            // They are in the order in which they were back.
            let mut of_policy = back.iter().filter(|(of, canary, _)| *of == policy && *canary);
            let last = of_policy.nth(canaries.left - 1);
            if last.is_none_or(|(_, _, back)| at(now) < *back + canaries.soak) {
                return false;
            }
        }
    }
    let has_begun = plan.has_begun || back.iter().any(|(of, ..)| *of == policy);
    let mut attempts = active.iter().filter(|(_, until)| until.is_some());
    if !has_begun && attempts.any(|(beside, _)| beside.policy == Some(policy)) {
        return false;
    }
    if plan.max_unavailable.is_some_and(|max| of_policy().count() >= max) {
        return false;
    }
    plan.topology.iter().enumerate().all(|(label, limits)| {
        let domain = node.at.domains[label];
        let of_domain = of_policy().filter(|beside| beside.domains[label] == domain).count();
        let domains: BTreeSet<_> = of_policy().map(|beside| beside.domains[label]).collect();
        let is_new = !domains.contains(&domain);
        limits.max_nodes[domain].is_none_or(|max| of_domain < max)
            && limits.max_domains.is_none_or(|max| !is_new || domains.len() < max)
    })
}

/// A node of a policy, or a canary of it, that was back at an instant.
type BackAt = (usize, bool, Timestamp);

/// The same, minute by minute.
fn walk(scene: &Scene) -> Vec<Option<i64>> {
    let mut starts = vec![None; scene.nodes.len()];
    let mut active: Vec<_> = scene.held.iter().map(|held| (held.at.clone(), held.until)).collect();
    let mut back = Vec::new();
    for now in 0..MINUTES {
        active.retain(|(standpoint, until)| {
            let ends = until.is_some_and(|until| until <= at(now));
            if let (true, Some(policy)) = (ends, standpoint.policy) {
                back.push((policy, standpoint.canary, at(now)));
            }
            !ends
        });
        for (number, node) in scene.nodes.iter().enumerate() {
            if starts[number].is_none() && may_start(scene, node, &active, &back, now) {
                starts[number] = Some(now);
                active.push((node.at.clone(), Some(at(now) + node.duration)));
            }
        }
    }
    starts
}

fn openings() -> impl Strategy<Value = Option<Opening>> {
    prop_oneof![
        1 => Just(None),
        1 => (0_i64..40).prop_map(|start| open(start, None)),
        6 => (0_i64..40, 1_i64..80).prop_map(|(start, length)| open(start, Some(start + length))),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let max = || proptest::option::of(1_usize..3);
    let topology = (max(), max(), max()).prop_map(|(max_domains, first, second)| TopologyPlan {
        max_domains,
        max_nodes: vec![first, second],
    });
    let canaries = proptest::option::of((1_usize..3, 0_i32..20));
    let plan = (openings(), prop::bool::weighted(0.7), max(), topology, canaries);
    plan.prop_map(|(opening, has_begun, max_unavailable, topology, canaries)| Plan {
        opening,
        has_begun,
        max_unavailable,
        topology: vec![topology],
        canaries: canaries.map(|(left, soak)| CanaryPlan {
            left,
            soak: MINUTE * soak,
        }),
    })
}

fn standpoints() -> impl Strategy<Value = Standpoint> {
    let policy = prop_oneof![1 => Just(None), 6 => (0_usize..2).prop_map(Some)];
    let rare = || prop::bool::weighted(0.2);
    (policy, 0_usize..2, rare(), rare(), prop::bool::weighted(0.1)).prop_map(
        |(policy, domain, control_plane, canary, is_urgent)| Standpoint {
            policy,
            domains: policy.map(|_| domain).into_iter().collect(),
            control_plane,
            canary: canary && policy.is_some(),
            is_urgent,
        },
    )
}

fn scenes() -> impl Strategy<Value = Scene> {
    let nodes =
        (standpoints(), 0_i64..30, 0_i32..30, 1_i32..30).prop_map(|(standpoint, ready, margin, duration)| Waiting {
            at: standpoint,
            ready_at: at(ready.saturating_sub(15)),
            margin: MINUTE * margin,
            duration: MINUTE * duration,
        });
    let held = (standpoints(), proptest::option::of(0_i64..30)).prop_map(|(at_, until)| Held {
        at: at_,
        is_attempt: until.is_some(),
        until: until.map(at),
    });
    let held = proptest::collection::vec(held, 0..3);
    let nodes = proptest::collection::vec(nodes, 0..9);
    let plans = proptest::collection::vec(plans(), 2);
    (1_usize..5, plans, held, nodes).prop_map(|(slots, policies, held, nodes)| Scene {
        now: at(0),
        slots,
        policies,
        held,
        nodes,
    })
}

proptest! {
    #[test]
    fn each_node_starts_in_the_minute_in_which_a_walk_has_it_start(scene in scenes()) {
        prop_assert_eq!(minutes(&scene), walk(&scene));
    }
}
