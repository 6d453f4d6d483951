//! The names of all that is on the bus, with what two versions have to agree on, one on each line.

use bellwether_proto::stream::{CONSUMERS, STREAMS};
use bellwether_proto::{NodeName, header, mark, subject};

use crate::samples;

/// Every name.
pub(crate) fn all() -> Vec<String> {
    let mut lines = vec![
        format!("header {}", header::TYPE),
        format!("header {}", header::SCHEMA),
        format!("header {}", header::CONTENT_TYPE),
        format!("header {}", header::TRACEPARENT),
        format!("header {}", header::SIGNATURE),
        format!("taint {} {}", mark::WAITS_FOR_REBOOT, mark::WAITS_FOR_REBOOT_EFFECT),
    ];
    lines.push(format!("condition {}", mark::REBOOT_REQUIRED));
    lines.extend(mark::LIFECYCLE_CONDITIONS.map(|type_| format!("condition {type_} {}", mark::LIFECYCLE_REASON)));
    let annotations = [
        mark::CORDONED_FOR,
        mark::HOLD,
        mark::HOLD_UNTIL,
        mark::SKIP,
        mark::SKIP_UNTIL,
        mark::APPROVE,
        mark::APPROVE_UNTIL,
    ];
    lines.extend(annotations.map(|name| format!("annotation {name}")));
    let node = "node-1.rig".parse::<NodeName>().unwrap().token();
    let subjects = [
        subject::drain_command(&node),
        subject::uncordon_command(&node),
        subject::taint_command(&node),
        subject::drain_question(&node),
        subject::drain_answer(&node),
        subject::attempt_record(&node),
        subject::control_record(),
        subject::queues_changed(),
        subject::sentinel_record(&node),
        subject::rebooter_record(&node),
    ];
    let events = samples::facts().map(|(_, _, fact)| subject::event(&node, &fact));
    lines.extend(
        subjects
            .iter()
            .chain(&events)
            .map(|subject| format!("subject {subject}")),
    );
    for stream in STREAMS {
        let (name, retention) = (stream.name, stream.retention);
        lines.push(format!("stream {name} retention {retention:?}"));
        if stream.newest_counts() {
            lines.push(format!("stream {name} per subject {:?}", stream.per_subject));
        }
        lines.push(format!("stream {name} bucket {}", stream.bucket));
        lines.extend(
            stream
                .subjects
                .iter()
                .map(|subject| format!("stream {name} subject {subject}")),
        );
    }
    for consumer in CONSUMERS {
        let name = format!("consumer {} of {}", consumer.name, consumer.stream);
        lines.push(format!("{name} ack wait {:?}", consumer.ack_wait));
        lines.push(format!("{name} at once {}", consumer.max_ack_pending));
        lines.extend(consumer.filters.iter().map(|filter| format!("{name} filter {filter}")));
    }
    lines
}
