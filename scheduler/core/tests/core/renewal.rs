//! Which inputs are new to a core: a watch gives an object when it has changed, and an agent renews its report now and then.

use bellwether_proto::RebooterReport;
use bellwether_scheduler_core::Input;
use jiff::{SignedDuration, Timestamp};

/// True if the core has this input already: the same, or a report that need not be renewed yet.
pub(crate) fn is_old(given: &Input, new: &Input) -> bool {
    let renewal = SignedDuration::from_mins(4);
    match (given, new) {
        (Input::Sentinel(given), Input::Sentinel(new)) => {
            let age = new.stored_at.duration_since(given.stored_at);
            let same = (&given.report.boot_id, &given.report.need) == (&new.report.boot_id, &new.report.need);
            given.report.node == new.report.node && same && age < renewal
        }
        (Input::Rebooter(given), Input::Rebooter(new)) => {
            let age = new.stored_at.duration_since(given.stored_at);
            let content = |report: &RebooterReport| RebooterReport {
                reported_at: Timestamp::UNIX_EPOCH,
                ..report.clone()
            };
            let same = content(&given.report) == content(&new.report) && given.clock_ahead() == new.clock_ahead();
            given.report.node == new.report.node && same && age < renewal
        }
        (given, new) => given == new,
    }
}

/// True if `new` takes the place of `given`.
pub(crate) fn is_of_same(given: &Input, new: &Input) -> bool {
    match (given, new) {
        (Input::Rivals(_), Input::Rivals(_)) | (Input::Policies(_), Input::Policies(_)) => true,
        (Input::Node(given), Input::Node(new)) => given.name == new.name,
        (Input::Sentinel(given), Input::Sentinel(new)) => given.report.node == new.report.node,
        (Input::Rebooter(given), Input::Rebooter(new)) => given.report.node == new.report.node,
        _ => false,
    }
}
