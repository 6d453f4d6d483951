//! A Node object as JSON, with the annotations of operators, as the scheduler's watch reads it.

use bellwether_scheduler_core::Input;
use bellwether_scheduler_core::recording::Entry;
use jiff::Timestamp;

use crate::cluster::{self, object::Node};
use crate::judge;

/// Longest reason that a status repeats, in characters.
const REASON_MAX: usize = 500;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(node) = serde_json::from_slice::<Node>(bytes) else {
        return false;
    };
    let Some(view) = cluster::node::view(&node) else {
        return false;
    };
    assert_eq!(Some(&view.name), cluster::node::name(&node).as_ref());
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
