//! Samples: at least one of every message, and every field set in one of them.
//!
//! What was added to a message since the previous release is only in [`Sample::adding`]; at the
//! next release it moves into the sample itself, and the files are renewed.

use std::fmt;

use bellwether_proto::{
    AttemptRef, BootReport, Cause, DrainFailure, DrainNode, DrainProgress, Fact, Generation, HostReport, KernelChange,
    KindPreflight, Message, NeedReport, NodeEvent, Phase, ProbeNeed, ProbeOutcome, ProbeReport, Problem, ProblemCode,
    RebootKind, RebootNeed, RebooterReport, ShutdownDelay, UncordonNode, decode, encode, wire,
};
use jiff::{SignedDuration, Timestamp};

use crate::file::File;
use crate::records::{
    ATTEMPT, BOOT_AFTER, BOOT_BEFORE, KEY, NODE, NODE_UID, TRACE, at, attempt, blockers, drain_report, failed,
    failed_again, fleet_control, fleet_control_before, fleet_control_today, link, never, obstacle, phase_changed,
    rebooting, uncordoning,
};

/// Checks that a file of this sample has the sample's meaning.
type Check = Box<dyn Fn(&File) -> Result<(), String>>;

/// One message.
pub(crate) struct Sample {
    /// The name of its file.
    pub(crate) name: &'static str,
    /// As it was at the previous release.
    pub(crate) file: File,
    /// With all that was added since.
    pub(crate) today: File,
    /// Whether a file is read as this sample.
    pub(crate) check: Check,
}

impl Sample {
    /// Says what the message is with all that was added since the previous release.
    fn adding(mut self, today: &impl prost::Message) -> Self {
        self.today.body = today.encode_to_vec();
        self
    }

    /// States what the previous release wrote for the same meaning.
    fn before(mut self, previous: &impl prost::Message) -> Self {
        self.file.body = previous.encode_to_vec();
        self
    }
}

/// Every sample.
pub(crate) fn all() -> Vec<Sample> {
    let mut samples = vec![
        bus(
            "host-report-needing",
            host_report(BOOT_BEFORE, NeedReport::Required(need())),
        )
        .before(&needing_before())
        .adding(&needing_today().to_wire()),
        bus("host-report-content", host_report(BOOT_AFTER, NeedReport::NotRequired)).adding(
            &HostReport {
                booted_at: Some(at(-30)),
                probes: vec![probe("file", ProbeOutcome::NotRequired)],
                ..host_report(BOOT_AFTER, NeedReport::NotRequired)
            }
            .to_wire(),
        ),
        // Before the codes, a problem was its message alone.
        bus("host-report-blind", blind(ProblemCode::Unclassified))
            .adding(&blind(ProblemCode::SentinelFileUnreadable).to_wire()),
        bus("rebooter-report-able", rebooter_report(BOOT_BEFORE, None)).adding(
            &RebooterReport {
                record_keys: Some([KEY.parse().unwrap()].into()),
                boot: Some(boot_report()),
                kinds: kinds(),
                soft_reboots: Some(2),
                ..rebooter_report(BOOT_BEFORE, None)
            }
            .to_wire(),
        ),
        bus("rebooter-report-unable", unable(ProblemCode::Unclassified))
            .adding(&unable(ProblemCode::BusAccessDenied).to_wire()),
        bus("attempt-draining", attempt(1, Phase::Draining)),
        bus("attempt-rebooting", rebooting()),
        bus("attempt-uncordoning", uncordoning()),
        bus("attempt-failed", failed()).adding(&failed_again().to_wire()),
        bus("fleet-control", fleet_control())
            .before(&fleet_control_before())
            .adding(&fleet_control_today().to_wire()),
        bus("drain-node", drain_node()),
        bus("uncordon-node", uncordon_node()),
        people("list-nodes-response", "ListNodesResponse", list_nodes_response()).adding(&list_nodes_response_today()),
        people(
            "cancel-attempt-request",
            "CancelAttemptRequest",
            cancel_attempt_request(),
        ),
        people("pause-fleet-request", "PauseFleetRequest", pause_fleet_request()),
    ];
    samples.extend(facts().map(|(name, generation, fact)| {
        let mut today = fact.clone();
        if let Fact::DrainFailed {
            obstacle: added,
            report,
            ..
        } = &mut today
        {
            (*added, *report) = (Some(obstacle()), Some(Box::new(drain_report())));
        }
        if let Fact::Drained {
            pods_returning,
            message,
            report,
            ..
        } = &mut today
        {
            (*pods_returning, *message) = (1, "1 of ReplicaSet/web".to_owned());
            *report = Some(Box::new(drain_report()));
        }
        if let Fact::DrainProgressed(progress) = &mut today {
            progress.blockers = blockers();
        }
        if let Fact::RebootRefused { code, .. } = &mut today {
            "RecordKeyUnknown".clone_into(code);
        }
        if let Fact::PhaseChanged { message, .. } = &today {
            today = phase_changed(message.clone(), Some(link()), Some(Cause::Operator));
        }
        let added = (today != fact).then_some(today);
        let sample = bus(name, event(generation, fact));
        match added {
            Some(fact) => sample.adding(&event(generation, fact).to_wire()),
            None => sample,
        }
    }));
    samples
}

fn bus<M: Message + Clone + PartialEq + fmt::Debug + 'static>(name: &'static str, message: M) -> Sample {
    let encoded = encode(&message);
    let file = File {
        kind: M::TYPE.to_owned(),
        headers: encoded
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body: encoded.payload,
    };
    let check = move |file: &File| {
        let header = |name: &'static str| file.headers.iter().find(|(key, _)| key == name);
        let read: M = decode(|name| header(name).map(|(_, value)| value.as_str()), &file.body)
            .map_err(|error| error.to_string())?;
        same(&read, &message)
    };
    Sample {
        name,
        today: file.clone(),
        file,
        check: Box::new(check),
    }
}

fn people<W>(name: &'static str, kind: &str, message: W) -> Sample
where
    W: prost::Message + fmt::Debug + Default + PartialEq + 'static,
{
    let file = File {
        kind: format!("bellwether.v1.{kind}"),
        headers: Vec::new(),
        body: message.encode_to_vec(),
    };
    let check = move |file: &File| {
        let read = W::decode(file.body.as_slice()).map_err(|error| error.to_string())?;
        same(&read, &message)
    };
    Sample {
        name,
        today: file.clone(),
        file,
        check: Box::new(check),
    }
}

fn same<T: PartialEq + fmt::Debug>(read: &T, sample: &T) -> Result<(), String> {
    if read == sample {
        return Ok(());
    }
    Err(format!("read as {read:#?}\ninstead of {sample:#?}"))
}

fn need() -> RebootNeed {
    RebootNeed {
        since: at(-60),
        first_since: at(-60),
        reasons: vec!["linux-image-6.12.48".into(), "linux-base".into()],
        trace: Some(TRACE.parse().unwrap()),
        undated: false,
    }
}

/// Before the age of a need, there was only the time of its file.
fn needing_before() -> wire::HostReport {
    let mut report = host_report(BOOT_BEFORE, NeedReport::Required(need())).to_wire();
    report.need.as_mut().unwrap().first_since = None;
    report
}

/// With what each probe shows.
fn needing_today() -> HostReport {
    let shown = ProbeNeed {
        since: at(-60),
        reasons: vec!["linux-base".into()],
        undated: true,
        kernel_change: Some(KernelChange::Version),
    };
    let problem = Problem::new(ProblemCode::ProbeFailed, "the command was not found");
    let mut need = need();
    need.undated = true;
    HostReport {
        probes: vec![
            probe("file", ProbeOutcome::Required(shown)),
            probe("dnf", ProbeOutcome::Unknown(problem)),
        ],
        services_to_restart: vec!["ssh.service".into()],
        ..host_report(BOOT_BEFORE, NeedReport::Required(need))
    }
}

fn probe(name: &str, outcome: ProbeOutcome) -> ProbeReport {
    ProbeReport {
        name: name.into(),
        kind: "file".into(),
        outcome,
    }
}

pub(crate) fn blind(code: ProblemCode) -> HostReport {
    let problem = Problem::new(code, "permission denied");
    host_report(BOOT_AFTER, NeedReport::Unknown(problem))
}

pub(crate) fn unable(code: ProblemCode) -> RebooterReport {
    rebooter_report(BOOT_AFTER, Some(Problem::new(code, "access denied")))
}

fn host_report(boot: &str, need: NeedReport) -> HostReport {
    HostReport {
        node: NODE.parse().unwrap(),
        boot_id: boot.parse().unwrap(),
        reported_at: at(0),
        booted_at: None,
        refresh_interval: SignedDuration::from_mins(5),
        need,
        kernel_running: "6.12.41".into(),
        kernel_installed: Some("6.12.48".into()),
        os: "Debian GNU/Linux 13 (trixie)".into(),
        agent_version: "0.1.0".into(),
        probes: Vec::new(),
        services_to_restart: Vec::new(),
    }
}

fn rebooter_report(boot: &str, problem: Option<Problem>) -> RebooterReport {
    RebooterReport {
        node: NODE.parse().unwrap(),
        boot_id: boot.parse().unwrap(),
        reported_at: at(0),
        refresh_interval: SignedDuration::from_mins(5),
        method: "logind".into(),
        problem,
        agent_version: "0.1.0".into(),
        record_keys: None,
        boot: None,
        kinds: Vec::new(),
        soft_reboots: None,
    }
}

fn kinds() -> Vec<KindPreflight> {
    let problem = Problem::new(ProblemCode::KexecNotLoaded, "no kernel is loaded");
    vec![KindPreflight {
        kind: RebootKind::Kexec,
        problem: Some(problem),
    }]
}

fn boot_report() -> BootReport {
    let seconds = |seconds| Some(SignedDuration::from_secs(seconds));
    BootReport {
        firmware: seconds(8),
        loader: seconds(1),
        kernel: seconds(2),
        initrd: seconds(3),
        userspace: seconds(20),
        failed_units: vec!["smartd.service".into()],
        shutdown_delay: Some(ShutdownDelay {
            max: SignedDuration::from_secs(30),
            holders: vec!["kubelet".into()],
        }),
    }
}

fn drain_node() -> DrainNode {
    DrainNode {
        attempt: attempt_ref(1),
        not_after: never(),
    }
}

fn uncordon_node() -> UncordonNode {
    UncordonNode {
        attempt: attempt_ref(4),
    }
}

fn attempt_ref(generation: u64) -> AttemptRef {
    AttemptRef {
        node: NODE.parse().unwrap(),
        node_uid: NODE_UID.parse().unwrap(),
        attempt: ATTEMPT.parse().unwrap(),
        generation: Generation(generation),
    }
}

fn event(generation: u64, fact: Fact) -> NodeEvent {
    NodeEvent {
        node: NODE.parse().unwrap(),
        attempt: ATTEMPT.parse().unwrap(),
        generation: Generation(generation),
        at: at(3),
        source: "drainer 0.1.0".into(),
        fact,
    }
}

/// Every kind of event, with the generation in which it comes if all goes well.
pub(crate) fn facts() -> [(&'static str, u64, Fact); 10] {
    let message = || "webhook denied it".to_owned();
    [
        ("event-cordoned", 1, Fact::Cordoned),
        (
            "event-drain-progressed",
            1,
            Fact::DrainProgressed(DrainProgress {
                pods_left: 3,
                pods_gone: 4,
                held_up_by: vec!["budget web".into()],
                blockers: vec![],
            }),
        ),
        (
            "event-drained",
            1,
            Fact::Drained {
                pods_gone: 7,
                pods_left: 2,
                pods_returning: 0,
                message: String::new(),
                report: None,
            },
        ),
        (
            "event-drain-failed",
            1,
            Fact::DrainFailed {
                failure: DrainFailure::Forbidden,
                message: message(),
                obstacle: None,
                report: None,
            },
        ),
        (
            "event-uncordoned",
            4,
            Fact::Uncordoned {
                left_unschedulable: true,
            },
        ),
        ("event-uncordon-failed", 4, Fact::UncordonFailed { message: message() }),
        (
            "event-reboot-started",
            2,
            Fact::RebootStarted {
                boot_id: BOOT_BEFORE.parse().unwrap(),
                method: "logind".into(),
            },
        ),
        ("event-reboot-refused", 2, refused("")),
        ("event-reboot-failed", 2, Fact::RebootFailed { message: message() }),
        ("event-phase-changed", 2, phase_changed(message(), None, None)),
    ]
}

fn list_nodes_response() -> wire::ListNodesResponse {
    wire::ListNodesResponse {
        nodes: vec![node_status()],
        control: Some(fleet_control_before()),
        slots_total: 3,
        slots_taken: 1,
        notice: "the API server does not answer".into(),
        ..Default::default()
    }
}

/// With the agents, the codes of their problems, and the versions.
pub(crate) fn list_nodes_response_today() -> wire::ListNodesResponse {
    let agent = wire::Agent {
        version: "0.1.0".into(),
        heard_at: Some(bellwether_proto::to_timestamp(at(0))),
        stale: true,
        problem: "access denied".into(),
        method: "logind".into(),
        clock_ahead: Some(bellwether_proto::to_duration(SignedDuration::from_secs(-3))),
        classified_problem: Some(Problem::new(ProblemCode::BusAccessDenied, "access denied").to_wire()),
    };
    let mut list = list_nodes_response();
    for node in &mut list.nodes {
        node.sentinel = Some(agent.clone());
        node.rebooter = Some(agent.clone());
        node.expected_start = Some(bellwether_proto::to_timestamp(at(600)));
        node.does_not_fit = true;
        node.probes = vec![probe("file", ProbeOutcome::NotRequired).to_wire()];
        node.boot = Some(boot_report().to_wire());
    }
    let outlook = wire::PolicyOutlook {
        policy: "nights".into(),
        opens_at: Some(bellwether_proto::to_timestamp(at(300))),
        until: Some(bellwether_proto::to_timestamp(at(900))),
        never_open: true,
        fitting: 2,
        left_over: 11,
        left_over_nodes: vec![NODE.into()],
    };
    wire::ListNodesResponse {
        control: Some(fleet_control().to_wire()),
        scheduler_version: "0.2.0".into(),
        nats_version: "2.11.4".into(),
        policies: vec![outlook],
        ..list
    }
}

fn node_status() -> wire::NodeStatus {
    let instant = |at: Timestamp| Some(bellwether_proto::to_timestamp(at));
    wire::NodeStatus {
        node: NODE.into(),
        state: wire::NodeState::InProgress.into(),
        reason: Some(wire::Reason {
            code: "NoSlot".into(),
            message: "1 slot is taken".into(),
            since: instant(at(5)),
        }),
        ready: true,
        unschedulable: true,
        reboot_required: true,
        required_since: instant(at(-60)),
        required_by: vec!["linux-base".into()],
        boot_id: BOOT_BEFORE.into(),
        kernel_running: "6.12.41".into(),
        kernel_installed: "6.12.48".into(),
        os: "Debian GNU/Linux 13 (trixie)".into(),
        attempt: Some(failed().to_wire()),
        drain: Some(wire::DrainProgressed {
            pods_left: 3,
            pods_gone: 4,
            held_up_by: vec!["budget web".into()],
            blockers: vec![],
        }),
        ..Default::default()
    }
}

fn cancel_attempt_request() -> wire::CancelAttemptRequest {
    wire::CancelAttemptRequest {
        node: NODE.into(),
        by: "anna".into(),
        reason: "not now".into(),
    }
}

fn pause_fleet_request() -> wire::PauseFleetRequest {
    wire::PauseFleetRequest {
        by: "anna".into(),
        reason: "release night".into(),
    }
}

fn refused(code: &str) -> Fact {
    Fact::RebootRefused {
        message: "webhook denied it".into(),
        code: code.into(),
    }
}
