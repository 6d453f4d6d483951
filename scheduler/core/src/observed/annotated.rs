//! Orders that operators give by annotations on the Node object, for GitOps and for operators who have kubectl alone.
//!
//! The Node is their store: such an order stands while its annotation is there and its end is not reached, and no record
//! repeats it. There is no annotation for a reboot now: a kubelet may write the annotations of its own Node, and an
//! annotation cannot be refused.

use bellwether_proto::mark;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::timers::{Clock, later};

/// The orders that can be annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotatedKind {
    /// No new attempt starts on the node.
    Hold,
    /// The need that the node has when the annotation is set is left unserved.
    Skip,
    /// The node may start where its policy demands an approval.
    Approve,
}

impl AnnotatedKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Hold, Self::Skip, Self::Approve];

    /// The annotation, whose value is the reason.
    #[must_use]
    pub fn annotation(self) -> &'static str {
        match self {
            Self::Hold => mark::HOLD,
            Self::Skip => mark::SKIP,
            Self::Approve => mark::APPROVE,
        }
    }

    /// The annotation with the end of the order.
    #[must_use]
    pub fn until_annotation(self) -> &'static str {
        match self {
            Self::Hold => mark::HOLD_UNTIL,
            Self::Skip => mark::SKIP_UNTIL,
            Self::Approve => mark::APPROVE_UNTIL,
        }
    }
}

/// An order that a Node carries as an annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotatedOrder {
    /// What the order is.
    pub kind: AnnotatedKind,
    /// The value of the annotation, for operators; may be empty.
    pub reason: String,
    /// The program that owns the annotation, by the managed fields of the Node; empty if unknown.
    pub by: String,
    /// When that program last changed a field of the Node, by the clock of the API server. None: unknown.
    pub since: Option<Timestamp>,
    /// When the order ends by itself.
    pub until: AnnotatedUntil,
}

/// When an annotated order ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotatedUntil {
    /// No annotation states an end.
    Unstated,
    /// At this time.
    At(Timestamp),
    /// The annotation with the end has this value, which is no time.
    Malformed(String),
}

/// The orders of one Node. Boxed, since most nodes carry none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOrders(Vec<AnnotatedOrder>);

impl NodeOrders {
    /// None without orders.
    #[must_use]
    pub fn new(orders: Vec<AnnotatedOrder>) -> Option<Box<Self>> {
        (!orders.is_empty()).then(|| Box::new(Self(orders)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &AnnotatedOrder> {
        self.0.iter()
    }
}

impl IntoIterator for NodeOrders {
    type Item = AnnotatedOrder;
    type IntoIter = std::vec::IntoIter<AnnotatedOrder>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl AnnotatedOrder {
    /// How long an approval without a stated end lasts, by command and by annotation: it covers the window of one
    /// night, and no reboot of a later week.
    pub const APPROVAL_LASTS: SignedDuration = SignedDuration::from_hours(24);

    /// When the order ends by itself; none: when its annotation is removed.
    #[must_use]
    pub fn ends_at(&self) -> Option<Timestamp> {
        match &self.until {
            AnnotatedUntil::At(at) => Some(*at),
            AnnotatedUntil::Unstated if self.kind == AnnotatedKind::Approve => {
                self.since.map(|since| later(since, Self::APPROVAL_LASTS))
            }
            AnnotatedUntil::Unstated | AnnotatedUntil::Malformed(_) => None,
        }
    }

    pub(crate) fn has_ended(&self, clock: &Clock) -> bool {
        self.ends_at().is_some_and(|at| clock.reached(at))
    }

    /// The fault of the annotations, its consequence and the remedy; none without a fault. A hold and a skip stand all
    /// the same, an approval does not count.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let (annotation, until) = (self.kind.annotation(), self.kind.until_annotation());
        let consequence = match self.kind {
            AnnotatedKind::Hold => "so the hold does not end by itself",
            AnnotatedKind::Skip => "so the skip does not end by itself",
            AnnotatedKind::Approve => "so the approval does not count",
        };
        if let AnnotatedUntil::Malformed(value) = &self.until {
            return Some(format!(
                "the annotation {until} is {value:?} and no time such as 2026-12-24T18:00:00Z, {consequence}: correct or remove it"
            ));
        }
        let consequence = match self.kind {
            AnnotatedKind::Hold => return None,
            AnnotatedKind::Skip => "so every need of the node is skipped",
            AnnotatedKind::Approve => consequence,
        };
        self.since.is_none().then(|| {
            format!("the managed fields of the Node do not state when the annotation {annotation} was set, {consequence}: remove it and set it again")
        })
    }

    /// Why the approval does not count; none if it does.
    pub(crate) fn approval_refused(&self, clock: &Clock) -> Option<String> {
        let annotation = self.kind.annotation();
        let ended = || {
            let at = self.ends_at().filter(|at| clock.reached(*at))?;
            Some(format!("the annotation {annotation} has ended at {at:.0}"))
        };
        self.fault().or_else(ended)
    }
}
