//! Checks the fields of requests: beyond this file a wrong value cannot exist.

use bellwether_proto::limit::WORD_BYTES_MAX;
use bellwether_proto::{FleetOrder, NodeName, OrderKind, OrderScope, wire};
use bellwether_scheduler_core::AnnotatedOrder;
use jiff::{SignedDuration, Timestamp};

use crate::api::history::{EVENTS_MAX, Query};
use crate::bus::outbox::ChainsOf;
use crate::error::Refusal;
use crate::message::Reply;

/// Longest reason of an operator, in characters: the record and every status repeat it.
const REASON_MAX: usize = 500;

/// The name of a node.
pub(super) fn node_name(text: &str) -> Reply<NodeName> {
    text.parse()
        .map_err(|error| invalid("node", format!("{text:?} {error}")))
}

/// A request for a page of the audit trail.
pub(super) fn history_query(request: &wire::ReadHistoryRequest) -> Reply<Query> {
    let node = Some(&request.node).filter(|node| !node.is_empty());
    let asked = usize::try_from(request.events_max).unwrap_or(EVENTS_MAX);
    Ok(Query {
        of: ChainsOf {
            node: node.map(|node| node_name(node)).transpose()?,
            orders: request.orders,
        },
        since: request
            .since
            .map(|at| time("since", at.seconds, at.nanos))
            .transpose()?,
        until: request
            .until
            .map(|at| time("until", at.seconds, at.nanos))
            .transpose()?,
        after: request.after_place,
        events_max: if asked == 0 { EVENTS_MAX } else { asked.min(EVENTS_MAX) },
    })
}

fn time(field: &'static str, seconds: i64, nanos: i32) -> Reply<Timestamp> {
    Timestamp::new(seconds, nanos).map_err(|error| invalid(field, error.to_string()))
}

/// The name of the operator who gives an order.
pub(super) fn operator(by: String) -> Reply<String> {
    if by.is_empty() {
        return Err(invalid(
            "by",
            "is empty: name the operator who gives the order".to_owned(),
        ));
    }
    if by.len() > WORD_BYTES_MAX || !is_line(&by) {
        return Err(invalid(
            "by",
            format!("has to be one line of at most {WORD_BYTES_MAX} bytes"),
        ));
    }
    Ok(by)
}

/// The reason for an order; may be empty.
pub(super) fn reason(reason: String) -> Reply<String> {
    if reason.chars().count() > REASON_MAX || !is_line(&reason) {
        let problem = format!("has to be one line of at most {REASON_MAX} characters");
        return Err(invalid("reason", problem));
    }
    Ok(reason)
}

/// An order with its end, which begins now.
pub(super) fn order(request: wire::GiveOrderRequest, now: Timestamp) -> Reply<FleetOrder> {
    let kind = kind(request.kind)?;
    let lasts = match request.lasts {
        Some(lasts) => Some(lasts_of(lasts.seconds, lasts.nanos)?),
        None => match kind {
            OrderKind::Approve => Some(AnnotatedOrder::APPROVAL_LASTS),
            OrderKind::Now => Some(NOW_LASTS),
            OrderKind::Block | OrderKind::Skip | OrderKind::Unknown(_) => None,
        },
    };
    Ok(FleetOrder {
        kind,
        scope: scope(kind, request.scope, &request.subject)?,
        by: operator(request.by)?,
        reason: reason(request.reason)?,
        since: now,
        until: lasts.map(|lasts| now.checked_add(lasts).unwrap_or(Timestamp::MAX)),
    })
}

/// The order that an operator ends.
pub(super) fn ended_order(request: wire::EndOrderRequest, now: Timestamp) -> Reply<FleetOrder> {
    let kind = kind(request.kind)?;
    Ok(FleetOrder {
        kind,
        scope: scope(kind, request.scope, &request.subject)?,
        by: operator(request.by)?,
        reason: String::new(),
        since: now,
        until: None,
    })
}

/// An operator who orders a reboot now looks at the node meanwhile.
const NOW_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// Longer orders are a policy.
const LASTS_MAX: SignedDuration = SignedDuration::from_hours(90 * 24);

fn kind(kind: i32) -> Reply<OrderKind> {
    match wire::OrderKind::try_from(kind) {
        Ok(wire::OrderKind::Block) => Ok(OrderKind::Block),
        Ok(wire::OrderKind::Approve) => Ok(OrderKind::Approve),
        Ok(wire::OrderKind::Now) => Ok(OrderKind::Now),
        Ok(wire::OrderKind::Skip) => Ok(OrderKind::Skip),
        Ok(wire::OrderKind::Unspecified) | Err(_) => {
            Err(invalid("kind", "is none that this scheduler knows".to_owned()))
        }
    }
}

fn scope(kind: OrderKind, scope: i32, subject: &str) -> Reply<OrderScope> {
    let scope = OrderScope::from_wire(scope, subject).map_err(|problem| invalid("subject", problem))?;
    match (&scope, kind) {
        (OrderScope::Unknown(_), _) => Err(invalid("scope", "is none that this scheduler knows".to_owned())),
        (OrderScope::Fleet | OrderScope::Policy(_), OrderKind::Now | OrderKind::Skip) => Err(invalid(
            "scope",
            "has to be one node for an order to reboot now, or to skip".to_owned(),
        )),
        (OrderScope::Policy(name), _) if name.len() > WORD_BYTES_MAX || !is_line(name) => {
            Err(invalid("subject", "is no name of a policy".to_owned()))
        }
        _ => Ok(scope),
    }
}

fn lasts_of(seconds: i64, nanos: i32) -> Reply<SignedDuration> {
    let is_possible = (0..=LASTS_MAX.as_secs()).contains(&seconds) && (0..1_000_000_000).contains(&nanos);
    let lasts = is_possible.then(|| SignedDuration::new(seconds, nanos));
    lasts
        .filter(|lasts| *lasts > SignedDuration::ZERO && *lasts <= LASTS_MAX)
        .ok_or_else(|| invalid("lasts", format!("has to be above 0 and up to {LASTS_MAX:#}")))
}

/// The text ends up in records, logs and terminals.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn invalid(field: &'static str, problem: String) -> Refusal {
    Refusal::InvalidField { field, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        for (refused, name) in [
            (node_name("No Such Name").map(drop), "node"),
            (operator(String::new()).map(drop), "by"),
            (operator("two\nlines".into()).map(drop), "by"),
            (reason("\u{1b}[31m".into()).map(drop), "reason"),
            (operator("x".repeat(WORD_BYTES_MAX + 1)).map(drop), "by"),
            (reason("x".repeat(REASON_MAX + 1)).map(drop), "reason"),
        ] {
            assert!(
                matches!(&refused, Err(Refusal::InvalidField { field, .. }) if *field == name),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn the_longest_text_in_any_script_is_taken_and_a_reason_may_be_empty() {
        assert!(reason("ä".repeat(REASON_MAX)).is_ok());
        assert!(operator("x".repeat(WORD_BYTES_MAX)).is_ok());
        assert!(reason(String::new()).is_ok());
        assert!(operator("mira".into()).is_ok());
    }

    #[test]
    fn a_wrong_field_of_an_order_is_named() {
        let right = wire::GiveOrderRequest {
            kind: wire::OrderKind::Now.into(),
            scope: wire::OrderScope::Node.into(),
            subject: "n1".into(),
            by: "anna".into(),
            reason: String::new(),
            lasts: None,
        };
        let now = Timestamp::UNIX_EPOCH;
        let until = order(right.clone(), now).unwrap().until;
        assert_eq!(until, Some(now + SignedDuration::from_hours(1)));
        let wrong = [
            (
                wire::GiveOrderRequest {
                    kind: 0,
                    ..right.clone()
                },
                "kind",
            ),
            (
                wire::GiveOrderRequest {
                    kind: 99,
                    ..right.clone()
                },
                "kind",
            ),
            (
                wire::GiveOrderRequest {
                    scope: 0,
                    ..right.clone()
                },
                "scope",
            ),
            (
                wire::GiveOrderRequest {
                    scope: wire::OrderScope::Policy.into(),
                    ..right.clone()
                },
                "scope",
            ),
            (
                wire::GiveOrderRequest {
                    kind: wire::OrderKind::Skip.into(),
                    scope: wire::OrderScope::Fleet.into(),
                    ..right.clone()
                },
                "scope",
            ),
            (
                wire::GiveOrderRequest {
                    subject: "No Name".into(),
                    ..right.clone()
                },
                "subject",
            ),
            (
                wire::GiveOrderRequest {
                    by: String::new(),
                    ..right
                },
                "by",
            ),
        ];
        for (request, field) in wrong {
            let refusal = order(request, now).unwrap_err().to_string();
            assert!(refusal.starts_with(&format!("field {field}: ")), "{refusal}");
        }
    }

    #[test]
    fn an_order_lasts_for_a_time_that_an_operator_can_mean() {
        assert_eq!(lasts_of(3600, 0).unwrap(), SignedDuration::from_hours(1));
        for (seconds, nanos) in [(0, 0), (-1, 0), (1, -1), (1, i32::MAX), (i64::MAX, 0), (90 * 86_400, 1)] {
            assert!(lasts_of(seconds, nanos).is_err(), "{seconds} s {nanos} ns");
        }
    }
}
