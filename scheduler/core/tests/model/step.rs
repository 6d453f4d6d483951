//! The steps of the model: the works of parts, the passing of time, and the mishaps.

use bellwether_proto::{Fact, NodeEvent};
use bellwether_scheduler_core::{CancelEffect, Command, Handled, Input, Policy};
use jiff::Timestamp;

use crate::parts::{drainer, event, set_ready, view, works};
use crate::referee;
use crate::state::{Job, Message, State, WORKS, Work, boot_id, is_pending};

/// A fault of a part, or what an operator or another program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The work takes so long that time passes.
    Slow(usize, Work),
    SlowDrainer(usize),
    /// A drainer dies with its command.
    CommandLost(usize),
    /// A second drainer gets the same command, some time.
    CommandTwice(usize),
    DrainFails(usize),
    /// A drainer reports the cordon as removed, and the cordon is there.
    FalseReport(usize),
    /// An operator deletes the record, and the scheduler loads again.
    RecordLost(usize),
    /// The scheduler dies, and another one leads.
    SchedulerDies,
    /// The event overtakes the older ones.
    Overtakes(usize),
    Cancel(usize),
    OperatorCordons(usize),
    OperatorUncordons(usize),
    /// The operator takes the mark away as well.
    OperatorStripsCordon(usize),
    NeedEnds(usize),
    NodeNotReady(usize),
    RebootsElsewhere(usize),
    Unfit(usize),
    /// The call has no effect.
    RebootIgnored(usize),
    /// The kubelet registers the new boot, and the node is not Ready.
    BootNotReady(usize),
    /// The call ends the boot, and the new boot has the same need.
    NeedSurvives(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Works(usize, Work),
    /// The drainer of this command does its next step.
    Drainer(usize),
    /// This late message arrives.
    Arrives(usize),
    /// A node that was not Ready is Ready.
    Recovers(usize),
    /// Time passes up to the core's own next timeout.
    TimePasses,
    Mishap(Mishap),
}

/// A fault beside an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// The message of this number is late.
    Late(usize),
    /// The event of this number comes twice.
    Twice(usize),
    /// The scheduler dies after so many stores and commands.
    Dies(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step(pub(crate) Act, pub(crate) Beside);

impl Step {
    fn mishaps(self) -> u8 {
        u8::from(matches!(self.0, Act::Mishap(_))) + u8::from(self.1 != Beside::Nothing)
    }
}

/// Every step that is possible in this state; without faults beside it.
pub(crate) fn acts(state: &State, horizon: Timestamp) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut quiet = true;
    let first = first_busy(state).filter(|_| state.mishaps_left == 0);
    let in_turn = |node: usize| first.is_none_or(|first| first == node);
    for node in 0..state.hosts.len() {
        for work in WORKS.into_iter().filter(|work| is_pending(state, node, *work)) {
            let slow = state.hosts[node].slow[work as usize];
            if slow || in_turn(node) {
                acts.push(Act::Works(node, work));
            }
            quiet &= slow;
        }
        let host = &state.hosts[node];
        if !host.object.ready && !is_pending(state, node, Work::Kubelet) {
            acts.push(Act::Recovers(node));
        }
    }
    for (number, job) in state.jobs.iter().enumerate() {
        if job.slow || in_turn(state.node_of(&job.command.attempt().node)) {
            acts.push(Act::Drainer(number));
        }
        quiet &= job.slow;
    }
    for number in 0..state.late.len() {
        if is_first(state, number) {
            acts.push(Act::Arrives(number));
        }
    }
    if quiet
        && state
            .core
            .poll_timeout()
            .is_some_and(|at| at <= horizon && may_wait(state, at))
    {
        acts.push(Act::TimePasses);
    }
    acts
}

/// After the last mishap nodes do what is pending in turn: the first node with pending works and commands
/// that are not slow works alone, its own works in every order.
fn first_busy(state: &State) -> Option<usize> {
    (0..state.hosts.len()).find(|node| {
        let host = &state.hosts[*node];
        let of_node = |job: &Job| job.command.attempt().node == host.object.name;
        let works = WORKS.into_iter();
        works
            .filter(|work| !host.slow[*work as usize])
            .any(|work| is_pending(state, *node, work))
            || state.jobs.iter().any(|job| !job.slow && of_node(job))
    })
}

/// The driver notices a watch that is silent in half the time that a view may lag, and loads again. The announcement
/// of a call comes within the grace of a scheduler, or no scheduler can know of the call; the simulator has later ones.
fn may_wait(state: &State, at: Timestamp) -> bool {
    state.late.iter().all(|message| match message {
        Message::View(_, sent) => at < *sent + Policy::VIEW_LAG_MAX,
        Message::Event(event) if is_announcement(event) => at < event.at.max(state.loaded_at) + Policy::RESUME_GRACE,
        Message::Event(_) | Message::Report(..) | Message::Copy(_) => true,
    })
}

fn is_announcement(event: &NodeEvent) -> bool {
    matches!(event.fact, Fact::RebootStarted { .. })
}

pub(crate) fn is_quiet(acts: &[Act]) -> bool {
    acts.iter().all(|act| matches!(act, Act::TimePasses | Act::Recovers(_)))
}

/// No older message of the same stream is late as well.
fn is_first(state: &State, number: usize) -> bool {
    let message = &state.late[number];
    let of_stream = |message: &Message| match message {
        Message::View(view, _) => Some((0, Some(view.name.clone()))),
        Message::Report(node, _) => Some((1, Some(state.hosts[*node].object.name.clone()))),
        Message::Event(_) => Some((2, None)),
        Message::Copy(_) => None,
    };
    let stream = of_stream(message);
    stream.is_none() || !state.late[..number].iter().any(|older| of_stream(older) == stream)
}

pub(crate) fn mishaps(state: &State) -> Vec<Mishap> {
    let mut mishaps = vec![Mishap::SchedulerDies];
    for (node, host) in state.hosts.iter().enumerate() {
        for work in WORKS {
            if is_pending(state, node, work) && !host.slow[work as usize] {
                mishaps.push(Mishap::Slow(node, work));
            }
        }
        let object = &host.object;
        let settled = !is_pending(state, node, Work::Kubelet);
        let conditional = [
            (state.record(node).is_some(), Mishap::Cancel(node)),
            (
                host.may_lose_record(state.record(node), state.now),
                Mishap::RecordLost(node),
            ),
            (!object.unschedulable, Mishap::OperatorCordons(node)),
            (object.unschedulable, Mishap::OperatorUncordons(node)),
            (object.cordoned_for.is_some(), Mishap::OperatorStripsCordon(node)),
            (host.needs_reboot, Mishap::NeedEnds(node)),
            (object.ready && settled, Mishap::NodeNotReady(node)),
            (settled && host.boot == 0, Mishap::RebootsElsewhere(node)),
            (!host.unfit && host.boot == 0, Mishap::Unfit(node)),
            (host.announced.is_some(), Mishap::RebootIgnored(node)),
            (host.announced.is_some(), Mishap::NeedSurvives(node)),
            (!settled, Mishap::BootNotReady(node)),
        ];
        mishaps.extend(
            conditional
                .into_iter()
                .filter_map(|(may, mishap)| may.then_some(mishap)),
        );
    }
    for (number, job) in state.jobs.iter().enumerate() {
        mishaps.extend([Mishap::CommandLost(number), Mishap::CommandTwice(number)]);
        if !job.slow {
            mishaps.push(Mishap::SlowDrainer(number));
        }
        if job.evicts {
            mishaps.push(Mishap::DrainFails(number));
        }
        // A false report beside a view that is late is the truth, as far as a scheduler can know.
        let views_late = state.late.iter().any(|message| matches!(message, Message::View(..)));
        if matches!(job.command, Command::Uncordon(_)) && !views_late {
            mishaps.push(Mishap::FalseReport(number));
        }
    }
    // The announcement of a call is stored before the call, and the consumer keeps the order: if an uncordon's report
    // overtakes it, no scheduler can know that the host goes down.
    for (number, message) in state.late.iter().enumerate() {
        let Message::Event(event) = message else { continue };
        let overtakes_announcement = state.late[..number]
            .iter()
            .any(|older| matches!(older, Message::Event(older) if older.node == event.node && is_announcement(older)));
        if !is_first(state, number) && !overtakes_announcement {
            mishaps.push(Mishap::Overtakes(number));
        }
    }
    mishaps
}

/// Does one act, and adds every state that follows: the plain one and, with mishaps left, one for each
/// message that is late or comes twice and for each death of the scheduler in its midst.
pub(crate) fn follow(state: &State, act: Act, next: &mut Vec<(Step, State)>) {
    let (plain, messages) = apply(state, Step(act, Beside::Nothing));
    let stores = plain.done;
    let mut besides = Vec::new();
    if plain.mishaps_left > 0 {
        for (number, is_event) in messages.iter().enumerate() {
            besides.push(Beside::Late(number));
            if *is_event {
                besides.push(Beside::Twice(number));
            }
        }
        besides.extend((0..stores).map(Beside::Dies));
    }
    next.push((Step(act, Beside::Nothing), plain));
    for beside in besides {
        let step = Step(act, beside);
        next.push((step, apply(state, step).0));
    }
}

/// The state after a step, and whether each message of the step is an event.
pub(crate) fn apply(state: &State, step: Step) -> (State, Vec<bool>) {
    let mut state = state.clone();
    state.mishaps_left = state.mishaps_left.saturating_sub(step.mishaps());
    if let Beside::Dies(after) = step.1 {
        state.dies_after = Some(after);
    }
    let messages = act(&mut state, step.0);
    let events = messages
        .iter()
        .map(|message| matches!(message, Message::Event(_)))
        .collect();
    for (number, message) in messages.into_iter().enumerate() {
        state.late.push(message.clone());
        let behind = !is_first(&state, state.late.len() - 1);
        if behind || step.1 == Beside::Late(number) {
            continue;
        }
        drop(state.late.pop());
        if let (Message::Event(event), true) = (&message, step.1 == Beside::Twice(number)) {
            state.late.push(Message::Copy(event.clone()));
        }
        state.give(message);
    }
    referee::judge(&mut state);
    let done = state.done;
    state.forget();
    state.done = done;
    (state, events)
}

fn act(state: &mut State, act: Act) -> Vec<Message> {
    match act {
        Act::Works(node, work) => {
            state.hosts[node].slow[work as usize] = false;
            works(state, node, work)
        }
        Act::Drainer(number) => drainer(state, number, true),
        Act::Arrives(number) => {
            let message = state.late.remove(number);
            state.give(message);
            Vec::new()
        }
        Act::Recovers(node) => {
            state.hosts[node].down_by_us = false;
            set_ready(state, node, true)
        }
        Act::TimePasses => {
            state.now = state.core.poll_timeout().unwrap();
            state.decide();
            Vec::new()
        }
        Act::Mishap(mishap) => happens(state, mishap),
    }
}

fn happens(state: &mut State, mishap: Mishap) -> Vec<Message> {
    match mishap {
        Mishap::Slow(node, work) => {
            state.hosts[node].slow[work as usize] = true;
            // The API server notices the absence of a kubelet.
            if work == Work::Kubelet && state.hosts[node].object.ready {
                return set_ready(state, node, false);
            }
            Vec::new()
        }
        Mishap::SlowDrainer(number) => {
            state.jobs[number].slow = true;
            Vec::new()
        }
        Mishap::CommandLost(number) => {
            drop(state.jobs.remove(number));
            Vec::new()
        }
        Mishap::CommandTwice(number) => {
            let command = state.jobs[number].command.clone();
            state.jobs.push(Job {
                command,
                evicts: false,
                slow: true,
            });
            Vec::new()
        }
        Mishap::FalseReport(number) => {
            let attempt = state.jobs.remove(number).command.attempt().clone();
            let left_unschedulable = false;
            vec![event(state, &attempt, Fact::Uncordoned { left_unschedulable })]
        }
        Mishap::RecordLost(node) => {
            let name = state.hosts[node].object.name.clone();
            drop(state.records.remove(&name));
            // The loop guard is in the record: its loss is an operator's order to reboot again.
            state.hosts[node].calls = 0;
            state.load();
            Vec::new()
        }
        Mishap::DrainFails(number) => drainer(state, number, false),
        Mishap::SchedulerDies => {
            state.load();
            Vec::new()
        }
        Mishap::Overtakes(number) => {
            let message = state.late.remove(number);
            state.give(message);
            Vec::new()
        }
        Mishap::Cancel(node) => {
            let input = Input::Cancel {
                node: state.hosts[node].object.name.clone(),
                by: "me".into(),
                reason: String::new(),
            };
            if let Handled::Cancelled(CancelEffect::SlotReleased { .. }) = state.core.handle_input(input, state.now) {
                state.hosts[node].released = true;
            }
            state.decide();
            Vec::new()
        }
        Mishap::OperatorCordons(node) => {
            state.hosts[node].object.unschedulable = true;
            vec![view(state, node)]
        }
        Mishap::OperatorUncordons(node) => {
            state.hosts[node].object.unschedulable = false;
            vec![view(state, node)]
        }
        Mishap::OperatorStripsCordon(node) => {
            let object = &mut state.hosts[node].object;
            object.unschedulable = false;
            object.cordoned_for = None;
            vec![view(state, node)]
        }
        Mishap::NeedEnds(node) => {
            state.hosts[node].needs_reboot = false;
            works(state, node, Work::Report)
        }
        Mishap::NodeNotReady(node) => set_ready(state, node, false),
        Mishap::RebootsElsewhere(node) => {
            let host = &mut state.hosts[node];
            host.boot += 1;
            host.needs_reboot = false;
            host.announced = None;
            Vec::new()
        }
        Mishap::Unfit(node) => {
            state.hosts[node].unfit = true;
            works(state, node, Work::Report)
        }
        Mishap::RebootIgnored(node) => {
            state.hosts[node].announced = None;
            Vec::new()
        }
        Mishap::NeedSurvives(node) => {
            drop(works(state, node, Work::Call));
            state.hosts[node].needs_reboot = true;
            Vec::new()
        }
        Mishap::BootNotReady(node) => {
            let host = &mut state.hosts[node];
            host.object.boot_id = Some(boot_id(node, host.boot));
            set_ready(state, node, false)
        }
    }
}
