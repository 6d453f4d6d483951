//! What drainers, rebooters, hosts and agents do: each work changes the truth, and gives its messages.

use bellwether_proto::{AttemptRef, DrainFailure, Fact, NodeEvent};
use bellwether_scheduler_core::Command;

use crate::referee;
use crate::state::{Message, State, Work, boot_id};

pub(crate) fn view(state: &State, node: usize) -> Message {
    Message::View(state.hosts[node].object.clone(), state.now)
}

pub(crate) fn set_ready(state: &mut State, node: usize, ready: bool) -> Vec<Message> {
    let now = state.now;
    let object = &mut state.hosts[node].object;
    object.ready = ready;
    object.ready_since = ready.then_some(now);
    vec![view(state, node)]
}

pub(crate) fn works(state: &mut State, node: usize, work: Work) -> Vec<Message> {
    match work {
        Work::Announce => {
            let record = state.record(node).unwrap().clone();
            let host = &mut state.hosts[node];
            host.spent_boot = Some(host.boot);
            let fact = if host.unfit {
                Fact::RebootRefused {
                    message: String::new(),
                    code: String::new(),
                }
            } else {
                host.announced = Some(record.id);
                Fact::RebootStarted {
                    boot_id: boot_id(node, host.boot),
                    method: String::new(),
                }
            };
            vec![event(state, &(&record).into(), fact)]
        }
        Work::Call => {
            referee::judge_call(state, node);
            let host = &mut state.hosts[node];
            host.boot += 1;
            host.calls += 1;
            host.needs_reboot = false;
            host.announced = None;
            host.down_by_us = true;
            host.drained = None;
            Vec::new()
        }
        Work::Kubelet => {
            let host = &mut state.hosts[node];
            host.object.boot_id = Some(boot_id(node, host.boot));
            host.down_by_us = false;
            set_ready(state, node, true)
        }
        Work::Report => {
            let host = &state.hosts[node];
            vec![Message::Report(node, (host.boot, host.needs_reboot))]
        }
    }
}

pub(crate) fn event(state: &State, attempt: &AttemptRef, fact: Fact) -> Message {
    Message::Event(NodeEvent {
        node: attempt.node.clone(),
        attempt: attempt.attempt,
        generation: attempt.generation,
        at: state.now,
        source: "model".into(),
        fact,
    })
}

/// The drainer's next step: its look at the record, which `forget` has done, and its change are one.
pub(crate) fn drainer(state: &mut State, number: usize, works: bool) -> Vec<Message> {
    let job = state.jobs[number].clone();
    let attempt = job.command.attempt().clone();
    let node = state.node_of(&attempt.node);
    let host = &mut state.hosts[node];
    let ours = host.object.cordoned_for == Some(attempt.attempt);
    let is_foreign = host.object.unschedulable && !ours;
    if matches!(job.command, Command::Uncordon(_)) {
        drop(state.jobs.remove(number));
        let mut messages = Vec::new();
        if ours {
            host.object.cordoned_for = None;
            host.object.unschedulable = false;
            messages.push(view(state, node));
        }
        let left_unschedulable = state.hosts[node].object.unschedulable;
        messages.push(event(state, &attempt, Fact::Uncordoned { left_unschedulable }));
        return messages;
    }
    let failure = match (is_foreign, works) {
        (true, _) => Some(DrainFailure::ForeignCordon),
        (false, false) => Some(DrainFailure::Timeout),
        (false, true) => None,
    };
    if let Some(failure) = failure {
        drop(state.jobs.remove(number));
        let message = String::new();
        return vec![event(
            state,
            &attempt,
            Fact::DrainFailed {
                failure,
                message,
                obstacle: None,
                report: None,
            },
        )];
    }
    if !job.evicts || !host.object.unschedulable {
        let changes = !host.object.unschedulable;
        host.object.cordoned_for = Some(attempt.attempt);
        host.object.unschedulable = true;
        state.jobs[number].evicts = true;
        state.jobs[number].slow = false;
        let cordoned = event(state, &attempt, Fact::Cordoned);
        return if changes {
            vec![view(state, node), cordoned]
        } else {
            vec![cordoned]
        };
    }
    host.drained = Some((attempt.attempt, attempt.generation));
    drop(state.jobs.remove(number));
    let drained = Fact::Drained {
        pods_gone: 1,
        pods_left: 0,
        pods_returning: 0,
        message: String::new(),
        report: None,
    };
    vec![event(state, &attempt, drained)]
}
