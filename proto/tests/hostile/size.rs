//! The largest message of every type is far below what a NATS server takes as it comes.

use std::collections::BTreeMap;

use bellwether_proto::limit::{
    AGENT_BYTES_MAX, BLOCKERS_MAX, HISTORY_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, REASONS_MAX,
};
use bellwether_proto::{
    Attempt, Cause, DrainFailure, DrainProgress, Ending, Fact, NodeEvent, Phase, PhaseEntered, decode_body, encode,
};
use jiff::{SignedDuration, Timestamp};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use crate::kind::{Sample, samples};
use crate::{field, value};

/// The default `max_payload` of a NATS server.
const MAX_PAYLOAD: usize = 1024 * 1024;

const _: () = assert!(PAYLOAD_BYTES_MAX * 4 <= MAX_PAYLOAD);

/// What agents send, by the beginning of a sample's name.
const OF_AGENTS: [&str; 3] = ["host-report", "rebooter-report", "event-reboot"];

/// Larger than the headers of a message: its type, its trace and the like.
const HEADERS: usize = 2048;

#[test]
#[expect(clippy::print_stdout, reason = "the figures of proto/README.md")]
fn the_largest_message_of_every_type_is_far_below_the_limit_of_nats_and_every_text_reaches_its_limit() {
    let mut longest = BTreeMap::new();
    for sample in samples() {
        let written = (sample.kind.read_again)(&largest(&sample)).unwrap();
        assert!(written.len() <= PAYLOAD_BYTES_MAX, "{}", sample.name);
        if OF_AGENTS.iter().any(|kind| sample.name.starts_with(kind)) {
            assert!(written.len() + HEADERS <= AGENT_BYTES_MAX, "{}", sample.name);
        }
        println!("{:28} {:7} bytes", sample.name, written.len());
        let message = DynamicMessage::decode(sample.message.descriptor(), written.as_slice()).unwrap();
        measure(&message, &mut longest);
    }
    for (field, (bytes, entries)) in longest {
        let name = field.rsplit('.').next().unwrap();
        assert_eq!((bytes, entries), limits_of(&field, name), "{field}");
    }
}

/// The longest text and the most entries of every field, by its full name.
fn measure(message: &DynamicMessage, longest: &mut BTreeMap<String, (usize, usize)>) {
    for (field, value) in message.fields() {
        let values = value.as_list().unwrap_or_else(|| std::slice::from_ref(value));
        for inner in values.iter().filter_map(Value::as_message) {
            measure(inner, longest);
        }
        let texts = values.iter().filter_map(Value::as_str);
        let bytes = texts.map(str::len).max().unwrap_or_default();
        if bytes > 0 || field.is_list() {
            let (bytes_before, entries_before) = longest.entry(field.full_name().to_owned()).or_default();
            *bytes_before = bytes.max(*bytes_before);
            *entries_before = values.len().max(*entries_before);
        }
    }
}

/// The longest text of a field with this name, and its most entries. As in `proto/README.md`, Limits and
/// Checked values.
fn limits_of(full_name: &str, field: &str) -> (usize, usize) {
    let is_of = |messages: &[&str]| messages.iter().any(|message| full_name.contains(message));
    match field {
        "reasons" if full_name.contains("ProbeNeed") => (256, 5),
        "reasons" if full_name.contains("AttemptStart") => (64, 5),
        "message" if is_of(&["GateHeld", "PolicyQueue", "UndrainableNodes"]) => (200, 1),
        "code" if is_of(&["GateHeld", "PolicyQueue"]) => (63, 1),
        "reason" if full_name.contains("StartOrder") => (200, 1),
        "policy" => (256, 1),
        "queues" | "undrainable" => (0, 50),
        "owner" if full_name.contains("UndrainableNodes") => (63, 1),
        "left_over_nodes" => (317, 10),
        "held" => (0, 8),
        "probes" => (0, 16),
        "kinds" => (0, 8),
        "name" | "kind" => (63, 1),
        "message" | "probe_error" | "problem" | "left_behind" => (4096, 1),
        "held_up_by" => (1024, 20),
        "namespace_owners" => (63, 10),
        "reason" => (2000, 1),
        "kernel_running" | "kernel_installed" | "kernel_before" | "kernel_after" => (256, 1),
        "os" | "agent_version" | "method" | "by" | "source" => (256, 1),
        "reasons" => (256, 100),
        "history" | "orders" => (0, 100),
        "earlier" => (0, 9),
        "ended" => (0, 6),
        "subject" => (253, 1),
        "unpublished" => (0, 8),
        "daemon_pods" => (0, 128),
        "annotations" => (0, 16),
        "key" | "value" => (317, 1),
        "beside" => (253, 100),
        "blockers" => (0, 20),
        "budgets" | "returned" => (0, 10),
        "stuck_pods" => (317, 10),
        "findings" => (0, 30),
        "object" => (317, 1),
        "sentence" => (1024, 1),
        "daemon_set" | "namespace" | "budget" | "owner" | "pod" => (317, 1),
        "run" => (256, 1),
        "node" | "oldest_node" | "first_node" => (253, 1),
        "node_uid" => (128, 1),
        "boot_id" | "boot_id_before" | "boot_id_after" => (64, 1),
        "attempt_id" => (36, 1),
        "traceparent" | "previous_traceparent" => (55, 1),
        "need_span_id" => (16, 1),
        "ids" => (16, 8),
        "holders" => (256, 8),
        "failed_units" | "services_to_restart" => (256, 20),
        "code" => (256, 1),
        other => panic!("decide the limit of {other}, for this table and that of proto/README.md"),
    }
}

#[test]
fn a_record_carries_the_longest_event_there_can_be() {
    let pods: Vec<String> = (0..9_000)
        .map(|pod| format!("namespace/pod-{pod} is blocked by a budget"))
        .collect();
    let message = pods.join("; ");
    let fact = Fact::DrainFailed {
        failure: DrainFailure::Timeout,
        message,
        obstacle: None,
        report: None,
    };
    let event = NodeEvent {
        fact,
        ..sample("event-drain-failed")
    };
    let encoded = encode(&event).payload;
    assert!(
        encoded.len() < MESSAGE_BYTES_MAX + 1024,
        "the drainer's event has {} bytes",
        encoded.len()
    );
    let heard: NodeEvent = decode_body(&encoded).unwrap();
    let Fact::DrainFailed { message, .. } = heard.fact else {
        panic!("another fact")
    };
    assert!(
        message.starts_with("namespace/pod-0 is blocked") && message.ends_with('…'),
        "{message}"
    );

    let failed: Attempt = sample("attempt-failed");
    let entered = |second: i64| PhaseEntered {
        phase: Phase::Uncordoning,
        at: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second),
    };
    let record = Attempt {
        ending: Some(Ending {
            cause: Cause::DrainFailed,
            message: format!("the drain failed: {message}"),
            rollback_cause: None,
        }),
        reasons: pods,
        history: (0..9_000).map(entered).collect(),
        ..failed
    };
    let encoded = encode(&record).payload;
    assert!(encoded.len() < 16 * 1024, "the record has {} bytes", encoded.len());
    let stored: Attempt = decode_body(&encoded).unwrap();
    let ending = stored.ending.as_ref().unwrap();
    assert!(ending.message.len() <= MESSAGE_BYTES_MAX && ending.message.ends_with('…'));
    assert_eq!((stored.reasons.len(), stored.history.len()), (REASONS_MAX, HISTORY_MAX));
    assert_eq!(stored.reasons.last().unwrap(), "… and 8901 more");
    assert_eq!(
        (stored.started_at(), stored.phase_since()),
        (record.started_at(), record.phase_since())
    );
}

#[test]
fn texts_and_lists_of_an_older_writer_are_cut_when_they_are_read() {
    let mut message = sample_of("event-drain-progressed").message;
    let path = field::paths(&message);
    let path = path
        .iter()
        .find(|path| path.last().is_some_and(|field| field.name() == "held_up_by"));
    let sentences = vec![Value::String("é".repeat(3_000)); 500];
    field::set(&mut message, path.unwrap(), Value::List(sentences));
    let event: NodeEvent = decode_body(&message.encode_to_vec()).unwrap();
    let Fact::DrainProgressed(DrainProgress { held_up_by, .. }) = event.fact else {
        panic!("another fact")
    };
    assert_eq!((held_up_by.len(), held_up_by[0].len()), (BLOCKERS_MAX, 1023));
    assert!(held_up_by[0].ends_with("é…"));
    assert_eq!(held_up_by[BLOCKERS_MAX - 1], "… and 481 more");
}

/// The sample with the largest value of every field that a reader takes.
fn largest(sample: &Sample) -> Vec<u8> {
    let mut message = sample.message.clone();
    let mut size = (sample.kind.read_again)(&message.encode_to_vec()).unwrap().len();
    // First the lists of messages: each field of a message in one of them is then that of every entry.
    let mut paths = field::paths(&sample.message);
    paths.sort_by_key(|path| {
        path.last()
            .is_none_or(|field| !field.is_list() || field.kind().as_message().is_none())
    });
    for path in paths {
        for value in value::extremes(&path) {
            let mut changed = message.clone();
            field::set(&mut changed, &path, value);
            match (sample.kind.read_again)(&changed.encode_to_vec()) {
                // As it was cut: lists in entries of lists would else grow to half a gigabyte.
                Ok(written) if written.len() > size => {
                    size = written.len();
                    message = DynamicMessage::decode(message.descriptor(), written.as_slice()).unwrap();
                }
                Ok(_) | Err(_) => (),
            }
        }
    }
    message.encode_to_vec()
}

fn sample_of(name: &str) -> Sample {
    samples().into_iter().find(|sample| sample.name == name).unwrap()
}

fn sample<M: bellwether_proto::Message>(name: &str) -> M {
    decode_body(&sample_of(name).bytes()).unwrap()
}
