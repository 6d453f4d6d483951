//! The limits of what a drain reports.

use super::{BLOCKER_BYTES_MAX, BLOCKER_KINDS_MAX, BLOCKERS_MAX, OBJECT_BYTES_MAX, REPORTED_MAX, cut, cut_list};
use crate::namespace_owner::cut_owners;
use crate::wire;

pub(super) fn cut_progress(progress: &mut wire::DrainProgressed) {
    let wire::DrainProgressed {
        pods_left: _,
        pods_gone: _,
        held_up_by,
        blockers,
    } = progress;
    cut_list(held_up_by, BLOCKERS_MAX, BLOCKER_BYTES_MAX);
    cut_blockers(blockers);
}

pub(super) fn cut_obstacle(obstacle: Option<&mut wire::Obstacle>) {
    if let Some(wire::Obstacle {
        kind: _,
        namespace,
        owner,
        pod,
    }) = obstacle
    {
        for name in [namespace, owner, pod] {
            cut(name, OBJECT_BYTES_MAX);
        }
    }
}

pub(super) fn cut_report(report: Option<&mut wire::DrainReport>) {
    let Some(report) = report else { return };
    let wire::DrainReport {
        seconds: _,
        pods_gone: _,
        evictions: _,
        pods_left: _,
        // Numbers only.
        staying: _,
        budgets,
        longest_grace_seconds: _,
        stuck_pods,
        returned,
    } = report;
    budgets.truncate(REPORTED_MAX);
    for wire::BlockedBudget {
        namespace,
        budget,
        blocked_seconds: _,
    } in budgets
    {
        cut(namespace, OBJECT_BYTES_MAX);
        cut(budget, OBJECT_BYTES_MAX);
    }
    cut_list(stuck_pods, REPORTED_MAX, OBJECT_BYTES_MAX);
    returned.truncate(REPORTED_MAX);
    for wire::ReturnedPods {
        namespace,
        owner,
        pods: _,
    } in returned
    {
        cut(namespace, OBJECT_BYTES_MAX);
        cut(owner, OBJECT_BYTES_MAX);
    }
}

fn cut_blockers(blockers: &mut Vec<wire::Blocker>) {
    blockers.truncate(BLOCKER_KINDS_MAX);
    for wire::Blocker {
        kind: _,
        pods: _,
        namespace,
        budget,
        healthy: _,
        desired: _,
        expected: _,
        grace_ends_at: _,
        namespace_owners,
    } in blockers
    {
        cut(namespace, OBJECT_BYTES_MAX);
        cut(budget, OBJECT_BYTES_MAX);
        cut_owners(namespace_owners);
    }
}
