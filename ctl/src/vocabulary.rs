//! The vocabulary that tables and JSON have in common: names and sentences for the scheduler's messages.
//!
//! It reads the wire form on purpose: a value that this version does not know is shown as such, where a
//! checked form would show nothing at all.

use bellwether_check::text::{NOTHING, instant, one_line, phase};
use bellwether_proto::wire::node_event::Fact;
use bellwether_proto::{DrainProgress, Phase, wire};
use jiff::Timestamp;

/// The node's state; in an attempt, the phase.
pub(crate) fn state(node: &wire::NodeStatus) -> String {
    match wire::NodeState::try_from(node.state) {
        Ok(wire::NodeState::Idle) => "Idle".to_owned(),
        Ok(wire::NodeState::Waiting) => "Waiting".to_owned(),
        Ok(wire::NodeState::InProgress) => match &node.attempt {
            Some(attempt) => phase(attempt.phase),
            None => "InProgress".to_owned(),
        },
        Ok(wire::NodeState::Failed) => "Failed".to_owned(),
        Ok(wire::NodeState::Unknown | wire::NodeState::Unspecified) | Err(_) => "Unknown".to_owned(),
    }
}

/// Since when it is in this state; nothing for idle nodes.
pub(crate) fn state_since(node: &wire::NodeStatus) -> Option<Timestamp> {
    let entered = || node.attempt.as_ref()?.history.last()?.at;
    let reason = || node.reason.as_ref()?.since;
    instant(match wire::NodeState::try_from(node.state) {
        Ok(wire::NodeState::Idle) => None,
        Ok(wire::NodeState::InProgress | wire::NodeState::Failed) => entered().or_else(reason),
        Ok(wire::NodeState::Waiting | wire::NodeState::Unknown | wire::NodeState::Unspecified) | Err(_) => reason(),
    })
}

/// The status of the node in Kubernetes, as in `kubectl get nodes`.
pub(crate) fn node_status(node: &wire::NodeStatus) -> &'static str {
    match (node.ready, node.unschedulable) {
        (true, false) => "Ready",
        (true, true) => "Ready,SchedulingDisabled",
        (false, false) => "NotReady",
        (false, true) => "NotReady,SchedulingDisabled",
    }
}

/// The one reason for operators: the scheduler's, else how far the drain is, else how it ended.
pub(crate) fn reason(node: &wire::NodeStatus) -> String {
    let given = node.reason.as_ref().map(|reason| &reason.message);
    let ending = || Some(&node.attempt.as_ref()?.ending.as_ref()?.message);
    let idle = node.state == i32::from(wire::NodeState::Idle);
    match (given.filter(|message| !message.is_empty()), &node.drain) {
        (Some(message), _) => one_line(message),
        (None, Some(progress)) => drain(progress),
        (None, None) if idle => NOTHING.to_owned(),
        (None, None) => ending().map_or_else(|| NOTHING.to_owned(), |message| one_line(message)),
    }
}

/// A cause by its name, or by its number if it is newer than this version.
pub(crate) fn cause(value: i32) -> String {
    let name = wire::Cause::try_from(value).map(|cause| cause.as_str_name());
    name.map_or_else(|_| format!("Cause{value}"), |name| camel_case(name, "CAUSE_"))
}

/// What follows the end of a drain's time, as policies name it.
pub(crate) fn after_timeout(terms: Option<wire::DrainTerms>) -> String {
    let value = terms.map_or(0, |terms| terms.after_timeout);
    match wire::AfterTimeout::try_from(value) {
        Ok(wire::AfterTimeout::Unspecified) => "Restore".to_owned(),
        Ok(value) => camel_case(value.as_str_name(), "AFTER_TIMEOUT_"),
        Err(_) => format!("AfterTimeout{value}"),
    }
}

/// How far a drain is.
pub(crate) fn drain(progress: &wire::DrainProgressed) -> String {
    // Fails for an instant out of range only.
    match DrainProgress::from_wire(progress.clone()) {
        Ok(progress) => one_line(&progress.to_string()),
        Err(_) => format!("{} left, {} gone", pods(progress.pods_left), progress.pods_gone),
    }
}

/// The name of an event.
pub(crate) fn event(event: &wire::NodeEvent) -> &'static str {
    match &event.fact {
        Some(Fact::Cordoned(_)) => "Cordoned",
        Some(Fact::DrainProgressed(_)) => "DrainProgressed",
        Some(Fact::Drained(_)) => "Drained",
        Some(Fact::DrainFailed(_)) => "DrainFailed",
        Some(Fact::Uncordoned(_)) => "Uncordoned",
        Some(Fact::UncordonFailed(_)) => "UncordonFailed",
        Some(Fact::RebootStarted(_)) => "RebootStarted",
        Some(Fact::RebootRefused(_)) => "RebootRefused",
        Some(Fact::RebootFailed(_)) => "RebootFailed",
        Some(Fact::PhaseChanged(_)) => "PhaseChanged",
        None => "Unknown",
    }
}

/// The sentence of an event.
pub(crate) fn event_message(event: &wire::NodeEvent) -> String {
    match &event.fact {
        Some(Fact::Cordoned(_)) => "no new pods are placed here".to_owned(),
        Some(Fact::DrainProgressed(progress)) => drain(progress),
        Some(Fact::Drained(it)) => {
            let counts = format!("{} gone, {} left on purpose", pods(it.pods_gone), it.pods_left);
            with_message(counts, &it.message)
        }
        Some(Fact::DrainFailed(it)) => {
            let name = wire::DrainFailure::try_from(it.failure).map(|failure| failure.as_str_name());
            let name = name.map_or_else(|_| format!("{}", it.failure), |name| camel_case(name, "DRAIN_FAILURE_"));
            with_message(name, &it.message)
        }
        Some(Fact::Uncordoned(it)) if it.left_unschedulable => {
            "stays unschedulable: that cordon is not ours".to_owned()
        }
        Some(Fact::Uncordoned(_)) => "pods may be placed here again".to_owned(),
        Some(Fact::UncordonFailed(it)) => one_line(&it.message),
        Some(Fact::RebootStarted(it)) => format!("by {}; boot {} ends", it.method, it.boot_id),
        Some(Fact::RebootRefused(it)) => one_line(&it.message),
        Some(Fact::RebootFailed(it)) => one_line(&it.message),
        Some(Fact::PhaseChanged(it)) => {
            let change = match Phase::from_wire(it.from) {
                Some(from) => format!("{} -> {}", from.as_str(), phase(it.to)),
                None => phase(it.to),
            };
            with_message(change, &it.message)
        }
        None => "of a newer version than this tool".to_owned(),
    }
}

/// A text, or a mark that there is none.
pub(crate) fn or_nothing(text: &str) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        one_line(text)
    }
}

/// A name and a message, if there is one.
pub(crate) fn with_message(head: String, message: &str) -> String {
    if message.is_empty() {
        head
    } else {
        format!("{head}: {}", one_line(message))
    }
}

fn pods(count: u32) -> String {
    if count == 1 {
        "1 pod".to_owned()
    } else {
        format!("{count} pods")
    }
}

/// `CAUSE_NODE_NOT_BACK` without its prefix as `NodeNotBack`.
fn camel_case(name: &str, prefix: &str) -> String {
    let words = name.strip_prefix(prefix).unwrap_or(name).split('_');
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next();
        first
            .into_iter()
            .chain(letters.map(|letter| letter.to_ascii_lowercase()))
            .collect::<String>()
    };
    words.map(capitalised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_as_in_the_reason_codes() {
        assert_eq!(cause(wire::Cause::NodeNotBack.into()), "NodeNotBack");
        assert_eq!(cause(wire::Cause::Operator.into()), "Operator");
        assert_eq!(cause(99), "Cause99");
        for known in (1..=13).filter_map(|value| wire::Cause::try_from(value).ok()) {
            assert_eq!(cause(known.into()), format!("{known:?}"));
        }
    }

    #[test]
    fn a_drain_is_shown_with_its_blockers() {
        let mut progress = wire::DrainProgressed {
            pods_left: 1,
            pods_gone: 8,
            held_up_by: vec![],
            blockers: vec![],
        };
        assert_eq!(drain(&progress), "1 pod left, 8 gone");
        progress.held_up_by = vec!["shop/web-0: budget web".to_owned(), "shop/db-0: ends slowly".to_owned()];
        assert_eq!(
            drain(&progress),
            "1 pod left, 8 gone; held up by shop/web-0: budget web and 1 more"
        );
    }
}
