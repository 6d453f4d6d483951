//! Looks at pods in, passages out.

use super::*;
use crate::plan::turns_tests::{at, pod};

fn budget(healthy: u32) -> BudgetNumbers {
    BudgetNumbers {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        healthy,
        desired: 2,
        expected: 3,
    }
}

fn look(passages: &mut Passages, second: i64, pods: &[(&NodePod, BlockerKind, Option<BudgetNumbers>)]) {
    let left: Vec<Left<'_>> = pods
        .iter()
        .map(|(pod, blocker, budget)| Left {
            pod,
            blocker: *blocker,
            budget: budget.clone(),
        })
        .collect();
    passages.looked(at(second), &left);
}

fn wave(began: i64, ended: i64, pods: u32, is_done: bool) -> Passage {
    Passage {
        wave: Wave::Ordinary,
        began: at(began),
        ended: at(ended),
        of: PassageOf::Wave(pods),
        is_done,
    }
}

fn names(passages: &[Passage]) -> Vec<&str> {
    passages
        .iter()
        .filter_map(|passage| match &passage.of {
            PassageOf::Wave(_) => None,
            PassageOf::Pod { name, .. } => Some(name.as_str()),
        })
        .collect()
}

#[test]
fn a_pod_that_a_budget_kept_or_that_took_long_has_a_passage_and_each_wave_one() {
    let (web, slow, quick) = (pod("web-0"), pod("slow-0"), pod("quick-0"));
    let mut passages = Passages::default();
    let turn = BlockerKind::Turn;
    look(
        &mut passages,
        0,
        &[
            (&web, BlockerKind::Budget, Some(budget(2))),
            (&slow, turn, None),
            (&quick, turn, None),
        ],
    );
    look(
        &mut passages,
        10,
        &[
            (&web, BlockerKind::Budget, Some(budget(1))),
            (&slow, BlockerKind::Grace, None),
        ],
    );
    assert_eq!(passages.take(), [], "the quick one is gone without a word");
    look(
        &mut passages,
        20,
        &[(&web, BlockerKind::Grace, None), (&slow, BlockerKind::Stuck, None)],
    );
    look(&mut passages, 30, &[(&slow, BlockerKind::Stuck, None)]);
    let of = PassageOf::Pod {
        namespace: "shop".to_owned(),
        name: "web-0".to_owned(),
        blocker: BlockerKind::Budget,
        budget: Some(budget(1)),
    };
    let kept = Passage {
        of,
        ended: at(30),
        ..wave(0, 0, 0, true)
    };
    assert_eq!(passages.take(), [kept]);
    look(&mut passages, 60, &[]);
    let over = passages.take();
    assert_eq!(names(&over), ["slow-0"]);
    assert_eq!(over.last(), Some(&wave(0, 60, 3, true)));
    assert_eq!(passages.end(), []);
}

#[test]
fn what_is_under_way_when_the_drain_ends_is_not_done() {
    let web = pod("web-0");
    let mut passages = Passages::default();
    look(&mut passages, 0, &[(&web, BlockerKind::Budget, Some(budget(1)))]);
    look(&mut passages, 5, &[(&web, BlockerKind::Budget, Some(budget(1)))]);
    let over = passages.end();
    assert_eq!(names(&over), ["web-0"]);
    assert!(over.iter().all(|passage| !passage.is_done));
    assert_eq!(over.last(), Some(&wave(0, 5, 0, false)));
}

#[test]
fn a_drain_has_passages_of_fifty_pods_at_most_and_of_each_wave() {
    let pods: Vec<NodePod> = (0..80).map(|number| pod(&format!("web-{number}"))).collect();
    let left: Vec<_> = pods
        .iter()
        .map(|pod| (pod, BlockerKind::Budget, Some(budget(1))))
        .collect();
    let mut passages = Passages::default();
    look(&mut passages, 0, &left);
    look(&mut passages, 1, &[]);
    let over = passages.end();
    let of_wave = |passage: &&Passage| matches!(passage.of, PassageOf::Wave(80));
    assert_eq!(over.iter().filter(of_wave).count(), 1);
    assert_eq!(over.len(), 51);
}
