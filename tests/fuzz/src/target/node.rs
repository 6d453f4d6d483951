//! A Node object as JSON, with the annotations of operators, as the scheduler's watch reads it.

use bellwether_policy::VALUE_BYTES_MAX;
use bellwether_scheduler_core::Input;
use bellwether_scheduler_core::recording::Entry;
use jiff::Timestamp;

use crate::cluster::{self, object::Node};
use crate::judge;

/// The annotation that a policy names as a need.
const NAMED: &str = "a";
/// Longest reason that a status repeats, in characters.
const REASON_MAX: usize = 500;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(node) = serde_json::from_slice::<Node>(bytes) else {
        return false;
    };
    let Some(view) = cluster::node::view(&node, &[NAMED.to_owned()].into()) else {
        return false;
    };
    assert_eq!(Some(&view.name), cluster::node::name(&node).as_ref());
    let value = view.annotations[NAMED].as_deref().unwrap_or_default();
    assert!(view.annotations.len() == 1 && value.len() <= VALUE_BYTES_MAX + 1);
    for order in view.orders.iter().flat_map(|orders| (**orders).clone()) {
        judge::plain(&order.reason);
        assert!(order.reason.chars().count() <= REASON_MAX);
    }
    let entry = Entry::Input {
        at: Timestamp::UNIX_EPOCH,
        input: Box::new(Input::Node(view)),
    };
    let line = entry.to_line().expect("a view has a line");
    assert_eq!(
        serde_json::from_str::<Entry>(&line).expect("a view is read again"),
        entry
    );
    true
}
