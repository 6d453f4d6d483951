//! Orders that operators give by annotations on the Node object. What they mean is the core's business.

use bellwether_scheduler_core::{AnnotatedKind, AnnotatedOrder, AnnotatedUntil, NodeOrders};
use jiff::Timestamp;

use crate::cluster::object::Node;
use crate::cluster::owner::OrderOwner;

/// Longest reason, in characters, as of an order by command: every status repeats it.
const REASON_MAX: usize = 500;
/// Longest wrong time that a message repeats, in characters.
const MALFORMED_MAX: usize = 40;

/// The orders that the annotations of a Node are; none of most nodes.
pub(super) fn orders(node: &Node) -> Option<Box<NodeOrders>> {
    let annotations = node.metadata.annotations.as_ref()?;
    let order = |kind: AnnotatedKind| {
        let reason = annotations.get(kind.annotation())?;
        let owner = owner(kind, &node.order_owners);
        Some(AnnotatedOrder {
            kind,
            reason: cut(reason, REASON_MAX),
            by: owner.map(|owner| owner.manager.clone()).unwrap_or_default(),
            since: owner.and_then(|owner| owner.at),
            until: annotations
                .get(kind.until_annotation())
                .map_or(AnnotatedUntil::Unstated, |until| read_until(until)),
        })
    };
    NodeOrders::new(AnnotatedKind::ALL.into_iter().filter_map(order).collect())
}

/// Of several owners the one by whose time the node reboots later or not at all: the last one that holds or skips the
/// node, the first one that approves.
fn owner(kind: AnnotatedKind, owners: &[OrderOwner]) -> Option<&OrderOwner> {
    let of_kind = owners.iter().filter(|owner| owner.kind == kind);
    match kind {
        AnnotatedKind::Hold | AnnotatedKind::Skip => of_kind.max_by_key(|owner| owner.at),
        AnnotatedKind::Approve => of_kind.min_by_key(|owner| owner.at),
    }
}

fn read_until(text: &str) -> AnnotatedUntil {
    let malformed = |_| AnnotatedUntil::Malformed(cut(text, MALFORMED_MAX));
    text.trim()
        .parse::<Timestamp>()
        .map_or_else(malformed, AnnotatedUntil::At)
}

/// A text of any length and with any character, made fit for one line of a message.
fn cut(text: &str, chars_max: usize) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.trim().chars().take(chars_max).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(annotations: &[(&str, &str)], owners: Vec<OrderOwner>) -> Vec<AnnotatedOrder> {
        let mut node = Node::default();
        let pairs = annotations
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        node.metadata.annotations = Some(pairs.collect());
        node.order_owners = owners;
        let orders = orders(&node).map(|orders| orders.into_iter().collect());
        orders.unwrap_or_default()
    }

    fn owner_of(kind: AnnotatedKind, manager: &str, second: i64) -> OrderOwner {
        OrderOwner {
            kind,
            manager: manager.to_owned(),
            at: Timestamp::from_second(second).ok(),
        }
    }

    #[test]
    fn an_annotation_is_an_order_with_the_time_and_name_of_its_owner() {
        let owners = vec![
            owner_of(AnnotatedKind::Hold, "kubectl-annotate", 5),
            owner_of(AnnotatedKind::Hold, "argocd", 7),
            owner_of(AnnotatedKind::Approve, "argocd", 7),
            owner_of(AnnotatedKind::Approve, "flux", 6),
        ];
        let annotations = [
            ("bellwether.dev/hold", "disks\nfail"),
            ("bellwether.dev/hold-until", "2026-12-24T18:00:00+01:00"),
            ("bellwether.dev/approve", ""),
            ("bellwether.dev/skip-until", "2026-12-24T18:00:00Z"),
            ("bellwether.dev/now", "at once"),
        ];
        let hold = AnnotatedOrder {
            kind: AnnotatedKind::Hold,
            reason: "disks fail".to_owned(),
            by: "argocd".to_owned(),
            since: Timestamp::from_second(7).ok(),
            until: AnnotatedUntil::At("2026-12-24T17:00:00Z".parse().unwrap()),
        };
        let approve = AnnotatedOrder {
            kind: AnnotatedKind::Approve,
            reason: String::new(),
            by: "flux".to_owned(),
            since: Timestamp::from_second(6).ok(),
            until: AnnotatedUntil::Unstated,
        };
        assert_eq!(annotated(&annotations, owners), [hold, approve]);
    }

    #[test]
    fn a_value_that_is_no_time_and_an_annotation_without_an_owner_are_kept_as_such() {
        let long = "x".repeat(100_000);
        let annotations = [
            ("bellwether.dev/skip", long.as_str()),
            ("bellwether.dev/skip-until", "tomorrow"),
        ];
        let orders = annotated(&annotations, Vec::new());
        assert_eq!(orders[0].until, AnnotatedUntil::Malformed("tomorrow".to_owned()));
        assert_eq!(
            (orders[0].reason.len(), &*orders[0].by, orders[0].since),
            (REASON_MAX, "", None)
        );
    }

    #[test]
    fn a_node_without_such_annotations_has_no_orders() {
        assert_eq!(orders(&Node::default()), None);
        assert_eq!(annotated(&[("bellwether.dev/cordoned-for", "x")], Vec::new()), []);
    }
}
