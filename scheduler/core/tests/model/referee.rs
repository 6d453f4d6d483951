//! The referee: judges from the truth of hosts and Node objects, and shares no code with the core.

use bellwether_proto::{Attempt, Phase};
use jiff::SignedDuration;

use crate::state::{State, boot_id};

/// An attempt enters at most so many phases while no time passes: five up to the soak, a rollback and its
/// end, and the same once more for a node that comes back late.
const PHASES_AT_ONCE: usize = 9;

/// A host that is down or about to go down by our call, or that our drainer has cordoned.
fn is_disrupted_by_us(state: &State, node: usize) -> bool {
    let host = &state.hosts[node];
    let cordoned = host.object.unschedulable && host.object.cordoned_for.is_some();
    cordoned || host.announced.is_some() || host.down_by_us
}

/// The node takes a slot, as far as its scheduler can know.
fn takes_slot(state: &State, node: usize) -> bool {
    let given = &state.hosts[node].given;
    let held = state.record(node).is_some_and(|record| record.slot_held);
    held || (is_disrupted_by_us(state, node) && !state.hosts[node].released) || !given.ready || given.unschedulable
}

/// Judges a record that is about to be stored.
pub(crate) fn judge_record(state: &mut State, new: &Attempt) {
    let node = state.node_of(&new.node);
    let name = &new.node;
    let host = state.hosts[node].clone();
    let old = state.record(node).cloned();
    let old = old.as_ref();
    let is_same = old.is_some_and(|old| old.id == new.id);
    let entered = !is_same || old.is_some_and(|old| old.phase != new.phase);
    if old.is_some_and(|old| new.generation < old.generation) {
        state.fail("Order", name, "gets an older generation");
    }
    if !is_same && old.is_some_and(|old| !old.phase.is_ended()) {
        state.fail("Order", name, "gets a second attempt beside a running one");
    }
    if new.history.iter().filter(|entered| entered.at == state.now).count() > PHASES_AT_ONCE {
        state.fail("No storm", name, "enters phase after phase without a pause");
    }
    if !is_same && new.phase == Phase::Draining {
        let others = (0..state.hosts.len()).filter(|other| *other != node && takes_slot(state, *other));
        let (all, control_plane) = others.fold((0, 0), |(all, control_plane), other| {
            (
                all + 1,
                control_plane + u32::from(state.hosts[other].object.control_plane),
            )
        });
        if all >= state.slots {
            state.fail("Budget", name, "starts without a free slot");
        }
        if host.object.control_plane && control_plane > 0 {
            state.fail("Control plane", name, "starts beside another one");
        }
        if host.given.unschedulable {
            state.fail("Foreign cordon stays", name, "starts under another cordon");
        }
        if !host.reported.1 {
            state.fail("Once", name, "starts without a need");
        }
    }
    if entered && new.phase == Phase::Rebooting {
        let drained = old.map(|old| (old.id, old.generation));
        // An order for a boot that has ended by an earlier call does nothing, and no scheduler can know of that end yet.
        let is_in_boot = boot_id(node, host.boot) == new.boot_before;
        if is_in_boot && (host.drained.is_none() || host.drained != drained) {
            state.fail(
                "Drained before rebooted",
                name,
                "is ordered to reboot on another drain's report",
            );
        }
        let ours = host.given.unschedulable && host.given.cordoned_for == Some(new.id);
        if !ours || !host.given.ready {
            state.fail(
                "Drained before rebooted",
                name,
                "is ordered to reboot without a view of our cordon",
            );
        }
        if !host.reported.1 || host.unfit_reported {
            state.fail("Looked at again", name, "is ordered to reboot without need or fitness");
        }
    }
    if entered && new.phase == Phase::Uncordoning {
        let proved = host.given.ready
            && host.given.boot_id == Some(boot_id(node, host.reported.0))
            && new.boot_after == host.given.boot_id
            && new.boot_before != boot_id(node, host.reported.0);
        if !proved {
            state.fail("No false success", name, "counts as rebooted without proof");
        }
    }
    if entered && new.phase == Phase::Done {
        let carries = host.object.unschedulable && host.object.cordoned_for == Some(new.id);
        if carries || new.boot_after.is_none() {
            state.fail("Way back", name, "is done and carries our cordon, or has no new boot");
        }
    }
    if is_same && old.is_some_and(|old| old.slot_held) && !new.slot_held && !host.released {
        judge_free_slot(state, node, new);
    }
}

fn judge_free_slot(state: &mut State, node: usize, new: &Attempt) {
    let host = state.hosts[node].clone();
    if host.object.unschedulable && host.object.cordoned_for == Some(new.id) {
        state.fail("Budget", &new.node, "gives its slot back under our cordon");
    }
    let may_go_down = host.announced == Some(new.id) || host.down_by_us;
    let cause = new.ending.as_ref().map_or("", |ending| ending.cause.as_str());
    // Of a cancelled or failed attempt the slot is kept for as long as its reboot may take, and no longer; but of a
    // host that ignored its call or is not back until it is healthy.
    let ordered = new.history.iter().find(|entered| entered.phase == Phase::Rebooting);
    let in_time = ordered.is_some_and(|ordered| state.now < ordered.at + SignedDuration::from_secs(40));
    let is_ignored = cause == "RebootIgnored" && new.reboot_started_at.is_some();
    if may_go_down && (in_time || is_ignored || cause == "NodeNotBack") {
        state.fail(
            "Budget",
            &new.node,
            &format!("gives its slot back while its host goes down by our call ({cause})"),
        );
    }
}

/// Judges a state after each step.
pub(crate) fn judge(state: &mut State) {
    let disrupted: Vec<usize> = (0..state.hosts.len())
        .filter(|node| is_disrupted_by_us(state, *node) && !state.hosts[*node].released)
        .collect();
    let last = disrupted.last().map(|node| state.hosts[*node].object.name.clone());
    let Some(name) = last else { return };
    if disrupted.len() > usize::try_from(state.slots).unwrap() {
        state.fail("Budget", &name, "is disrupted beyond the slots");
    }
    let control_plane = disrupted.iter().filter(|node| state.hosts[**node].object.control_plane);
    if control_plane.count() > 1 {
        state.fail("Control plane", &name, "is disrupted beside another one");
    }
}

/// Judges a call of the rebooter.
pub(crate) fn judge_call(state: &mut State, node: usize) {
    let host = state.hosts[node].clone();
    let name = host.object.name.clone();
    let for_attempt = host.drained.map(|(attempt, _)| attempt);
    if for_attempt.is_none() && !host.released {
        state.fail("Drained before rebooted", &name, "reboots undrained");
    }
    if host.calls > 0 && !host.released {
        state.fail("Once", &name, "is rebooted twice for one need");
    }
}

/// Judges a state in which nothing is left to happen but time, and no part is late: what has to move has moved.
pub(crate) fn judge_quiet(state: &mut State) {
    let patience = SignedDuration::from_secs(60);
    let is_late = !state.late.is_empty()
        || state.jobs.iter().any(|job| job.slow)
        || state.hosts.iter().any(|host| host.slow.contains(&true));
    for node in 0..state.hosts.len() {
        let host = state.hosts[node].clone();
        let name = host.object.name.clone();
        let standing = state.core.standing(&name).map(|(_, standing)| standing);
        let running = state.record(node).is_some_and(|record| !record.phase.is_ended());
        let explained = standing.is_some_and(|standing| standing.reason.is_some());
        if (running || host.reported.1) && !explained {
            state.fail(
                "Reason given",
                &name,
                "needs a reboot or is in an attempt, and no reason is given",
            );
        }
        let free = (0..state.hosts.len()).filter(|node| takes_slot(state, *node)).count();
        let has_free = free < usize::try_from(state.slots).unwrap();
        let untried = state.record(node).is_none() && host.given.ready && !host.given.unschedulable;
        if has_free && untried && host.reported == (host.boot, true) && !host.unfit && !host.object.control_plane {
            state.fail("No starvation", &name, "was not tried, and a slot is free");
        }
        let loaded_long_ago = state.now >= state.loaded_at + patience;
        if state.record(node).is_none() && !is_late && loaded_long_ago && host.object.cordoned_for.is_some() {
            state.fail("Way back", &name, "carries our cordon, and has no record");
        }
        let Some(record) = state.record(node).cloned() else {
            continue;
        };
        let overdue = record.deadline.is_none_or(|deadline| state.now > deadline + patience);
        if running && overdue {
            state.fail("Attempts end", &name, "stays in a phase beyond its deadline");
        }
        let since = record.phase_since();
        if is_late
            || running
            || state.now < since.max(state.loaded_at).max(host.ready_from.unwrap_or(since)) + patience
            || !host.object.ready
        {
            continue;
        }
        let unasked = host.asked_until.is_none_or(|at| state.now >= at + patience);
        if unasked && host.object.cordoned_for == Some(record.id) {
            state.fail("Way back", &name, "carries our cordon, and no drainer is asked");
        }
        let settled = host.reported.0 == host.boot && host.object.boot_id == Some(boot_id(node, host.boot));
        // A host that was called for a reboot may still go down, whether that reboot is needed or not.
        let is_needless = !host.reported.1 && record.reboot_started_at.is_none();
        let healthy = is_needless || record.boot_before != boot_id(node, host.boot);
        if unasked && record.slot_held && settled && healthy {
            state.fail("Slots come back", &name, "is healthy, and its attempt keeps the slot");
        }
    }
}
