//! A state of the model: the core itself, and all else whose future can differ.

use std::collections::BTreeMap;

use bellwether_proto::{Attempt, AttemptId, BootId, Generation, NodeEvent, NodeName, Phase};
use bellwether_scheduler_core::{Command, Fleet, NodeView, Policy};
use jiff::{SignedDuration, Timestamp};

/// A node with its host and its two agents. The Node object is what the API server stores; the core has `given`.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub(crate) object: NodeView,
    pub(crate) given: NodeView,
    /// The report that the core has: boot and need.
    pub(crate) reported: (u8, bool),
    /// The boot that runs.
    pub(crate) boot: u8,
    pub(crate) needs_reboot: bool,
    /// The rebooter's preflight fails.
    pub(crate) unfit: bool,
    /// So the rebooter's report says that the core has.
    pub(crate) unfit_reported: bool,
    /// The rebooter has announced its call for this attempt, and has not called yet.
    pub(crate) announced: Option<AttemptId>,
    /// The boot for which the rebooter has acted or refused: its process does not act in this boot again.
    pub(crate) spent_boot: Option<u8>,
    /// Our call ended the last boot, and the kubelet is not Ready since.
    pub(crate) down_by_us: bool,
    /// How many boots our calls have ended.
    pub(crate) calls: u8,
    /// The drain that is complete, and that no view without our cordon has taken back.
    pub(crate) drained: Option<(AttemptId, Generation)>,
    /// Which works of this node are slow.
    pub(crate) slow: [bool; 4],
    /// An operator released the slot of the present attempt.
    pub(crate) released: bool,
    /// What the core keeps beside records, views and reports: the cordons and drains that were reported before a view
    /// has shown the cordon, since when the node is Ready, for which generation the cordon is reported as removed, and
    /// when the last command was sent or looked for.
    pub(crate) unchecked: Vec<(&'static str, AttemptId, Generation, Timestamp)>,
    pub(crate) ready_from: Option<Timestamp>,
    pub(crate) uncordoned: Option<Generation>,
    pub(crate) asked_at: Option<Timestamp>,
    /// Until when a slow drainer had a command for this node.
    pub(crate) asked_until: Option<Timestamp>,
}

impl Host {
    /// A record that is lost between the rebooter's announcement and the proof takes the slot along: no
    /// scheduler can know of a reboot of which no trace is left, so that is outside of the model. So are two
    /// attempts of one instant, which would have one id.
    pub(crate) fn may_lose_record(&self, record: Option<&Attempt>, now: Timestamp) -> bool {
        let before_call = record.is_some_and(|record| {
            record.started_at() < now && (record.phase == Phase::Draining || record.phase.is_ended())
        });
        before_call && self.announced.is_none() && !self.down_by_us
    }
}

/// A command with the drainer that has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) command: Command,
    /// The drainer has cordoned the node, and evicts.
    pub(crate) evicts: bool,
    /// The drainer needs so long that time passes meanwhile.
    pub(crate) slow: bool,
}

/// A message that is under way for longer than the work of others, in the order of its stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// A view, and when it was sent.
    View(NodeView, Timestamp),
    Report(usize, (u8, bool)),
    Event(NodeEvent),
    /// A second copy of an event that was handed over before.
    Copy(NodeEvent),
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) now: Timestamp,
    pub(crate) core: Fleet,
    pub(crate) records: BTreeMap<NodeName, Attempt>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) late: Vec<Message>,
    /// How many mishaps may still come.
    pub(crate) mishaps_left: u8,
    pub(crate) slots: u32,
    /// When the present core was loaded.
    pub(crate) loaded_at: Timestamp,
    /// What a referee found, and when the scheduler dies in this step.
    pub(crate) fault: Option<String>,
    /// So many stores and commands later the scheduler dies.
    pub(crate) dies_after: Option<usize>,
    /// Stores and commands of this step.
    pub(crate) done: usize,
}

pub(crate) fn policy(slots: u32) -> Policy {
    Policy {
        slots: slots.try_into().unwrap(),
        drain_timeout: SignedDuration::from_secs(40),
        reboot_start_timeout: SignedDuration::from_secs(20),
        reboot_timeout: SignedDuration::from_secs(40),
        verify_timeout: SignedDuration::from_secs(40),
        uncordon_timeout: SignedDuration::from_secs(40),
        soak: SignedDuration::from_secs(5),
        retry_delay: SignedDuration::from_secs(60),
        // No answer changes what the model is about: it only delays a start.
        check_drains: false,
        // Nothing is decided by them.
        node_conditions: false,
        tolerate_rivals: false,
        ..Policy::default()
    }
}

pub(crate) fn start() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap()
}

pub(crate) fn boot_id(node: usize, boot: u8) -> BootId {
    format!("b{node}-{boot}").parse().unwrap()
}

/// The works of a node's host and agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The rebooter reads an order and announces its call, or refuses the order.
    Announce,
    /// The rebooter calls, and the host leaves its boot.
    Call,
    /// The kubelet registers the new boot, and the node is Ready.
    Kubelet,
    /// The sentinel and the rebooter report boot, need and fitness.
    Report,
}

pub(crate) const WORKS: [Work; 4] = [Work::Announce, Work::Call, Work::Kubelet, Work::Report];

impl State {
    /// A fleet whose hosts all need a reboot; no scheduler leads it yet.
    pub(crate) fn new(nodes: usize, slots: u32, control_plane: bool, mishaps: u8) -> Self {
        let hosts = (0..nodes).map(|node| {
            let object = NodeView {
                name: format!("n{node}").parse().unwrap(),
                uid: format!("u{node}").parse().unwrap(),
                ready: true,
                ready_since: None,
                unschedulable: false,
                cordoned_for: None,
                labels: Default::default(),
                taints: Vec::new(),
                conditions: Default::default(),
                our_conditions: Default::default(),
                orders: None,
                annotations: Default::default(),
                control_plane,
                deleting: false,
                boot_id: Some(boot_id(node, 0)),
                kernel: "6".into(),
                os: "Debian".into(),
            };
            Host {
                given: object.clone(),
                object,
                reported: (0, true),
                boot: 0,
                needs_reboot: true,
                unfit: false,
                unfit_reported: false,
                announced: None,
                spent_boot: None,
                down_by_us: false,
                calls: 0,
                drained: None,
                slow: [false; 4],
                released: false,
                unchecked: Vec::new(),
                ready_from: None,
                uncordoned: None,
                asked_at: None,
                asked_until: None,
            }
        });
        Self {
            now: start(),
            core: Fleet::new(policy(slots), "model".into()),
            records: BTreeMap::new(),
            hosts: hosts.collect(),
            jobs: Vec::new(),
            late: Vec::new(),
            mishaps_left: mishaps,
            slots,
            loaded_at: start(),
            fault: None,
            dies_after: None,
            done: 0,
        }
    }

    pub(crate) fn record(&self, node: usize) -> Option<&Attempt> {
        self.records.get(&self.hosts[node].object.name)
    }

    pub(crate) fn node_of(&self, name: &NodeName) -> usize {
        self.hosts.iter().position(|host| host.object.name == *name).unwrap()
    }

    pub(crate) fn fail(&mut self, rule: &str, node: &NodeName, what: &str) {
        self.fault.get_or_insert_with(|| format!("{rule}: {node} {what}"));
    }
}

pub(crate) fn last_sent(state: &State, node: usize) -> (u8, bool) {
    for message in state.late.iter().rev() {
        if let Message::Report(of, report) = message
            && *of == node
        {
            return *report;
        }
    }
    state.hosts[node].reported
}

pub(crate) fn is_pending(state: &State, node: usize, work: Work) -> bool {
    let host = &state.hosts[node];
    match work {
        Work::Announce => state.record(node).is_some_and(|record| {
            record.phase == Phase::Rebooting
                && record.boot_before == boot_id(node, host.boot)
                && record.reboot_not_after.is_some_and(|until| state.now < until)
                && host.announced.is_none()
                && host.spent_boot != Some(host.boot)
        }),
        Work::Call => host.announced.is_some(),
        Work::Kubelet => host.object.boot_id != Some(boot_id(node, host.boot)),
        Work::Report => last_sent(state, node) != (host.boot, host.needs_reboot),
    }
}
