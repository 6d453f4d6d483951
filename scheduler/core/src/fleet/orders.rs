//! Operators' orders: which are taken, and which have done their work.

use bellwether_proto::{FleetOrder, NodeName, OrderChange, OrderKind, OrderScope, Phase};
use jiff::Timestamp;

use crate::effect::Effect;
use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::input::{CancelEffect, Handled, OrderRefusal};
use crate::observed::{AnnotatedKind, AnnotatedOrder};
use crate::orders::Changed;
use crate::timers::Clock;

impl Fleet {
    /// The orders about a node alone: the stored ones, oldest first.
    pub fn orders_about(&self, node: &NodeName) -> impl Iterator<Item = &FleetOrder> {
        self.blockers.orders.about(node)
    }

    /// The annotation of the Node that is an order of the same kind for the same node; none if its end is reached.
    #[must_use]
    pub fn annotated_like(&self, order: &FleetOrder, now: Timestamp) -> Option<&AnnotatedOrder> {
        let OrderScope::Node(node) = &order.scope else {
            return None;
        };
        let kind = match order.kind {
            OrderKind::Block => AnnotatedKind::Hold,
            OrderKind::Skip => AnnotatedKind::Skip,
            OrderKind::Approve => AnnotatedKind::Approve,
            OrderKind::Now | OrderKind::Unknown(_) => return None,
        };
        let node = self.members.get(node)?.node.as_ref()?;
        node.annotated_orders(now).find(|annotated| annotated.kind == kind)
    }

    /// Takes an order that can have an effect.
    pub(super) fn give_order(&mut self, order: FleetOrder) -> Handled {
        let refusal = match &order.scope {
            OrderScope::Fleet | OrderScope::Unknown(_) => None,
            OrderScope::Policy(policy) => {
                let is_known = self.blockers.policies.iter().any(|(view, _)| view.name == *policy);
                (!is_known).then(|| OrderRefusal::UnknownPolicy(policy.clone()))
            }
            OrderScope::Node(node) => self.order_for_node_refused(&order, node),
        };
        if let Some(refusal) = refusal {
            return Handled::NotOrdered(refusal);
        }
        let Some(changed) = self.blockers.orders.add(order) else {
            return Handled::NotOrdered(OrderRefusal::TooMany);
        };
        self.store_control(changed);
        Handled::Accepted
    }

    fn order_for_node_refused(&self, order: &FleetOrder, node: &NodeName) -> Option<OrderRefusal> {
        let Some(observation) = self.members.get(node).and_then(Member::observation) else {
            return Some(OrderRefusal::UnknownNode(node.clone()));
        };
        match order.kind {
            OrderKind::Now | OrderKind::Skip if !observation.has_need() => Some(OrderRefusal::NoNeed(node.clone())),
            // The order would not cover the need that the operator means.
            OrderKind::Skip => {
                let began = observation.need_began().filter(|began| *began > order.since);
                began.map(|began| OrderRefusal::NeedInFuture(node.clone(), began))
            }
            OrderKind::Now | OrderKind::Block | OrderKind::Approve | OrderKind::Unknown(_) => None,
        }
    }

    /// Ends a stored order.
    pub(super) fn end_order(&mut self, order: FleetOrder, now: Timestamp) -> Handled {
        let ended = self
            .blockers
            .orders
            .end(order.kind, &order.scope, order.by.clone(), now);
        if let Some(changed) = ended {
            self.store_control(changed);
            return Handled::Accepted;
        }
        let annotated = self.annotated_like(&order, now);
        let refusal = match (annotated, &order.scope) {
            (Some(annotated), OrderScope::Node(node)) => {
                OrderRefusal::ByAnnotation(node.clone(), annotated.kind.annotation())
            }
            (_, OrderScope::Fleet | OrderScope::Policy(_) | OrderScope::Node(_) | OrderScope::Unknown(_)) => {
                OrderRefusal::NoOrder
            }
        };
        Handled::NotOrdered(refusal)
    }

    /// Ends the orders of a node that have done their work: the order to reboot the node now, once an attempt that began
    /// after the order is Done; the order to skip the node, once its host needs no reboot or a later one.
    pub(super) fn end_fulfilled_orders(&mut self, name: &NodeName, clock: &Clock) {
        let Some(member) = self.members.get(name) else { return };
        let done = member.attempt.as_deref().filter(|attempt| attempt.phase == Phase::Done);
        let began = done.and_then(|attempt| Some(attempt.history.first()?.at));
        let observation = member.observation();
        let is_fulfilled = |order: &&FleetOrder| match order.kind {
            OrderKind::Now => began.is_some_and(|began| order.since <= began),
            OrderKind::Skip => observation.is_some_and(|observation| {
                let need_began = observation.need_began();
                observation.need_is_gone() || need_began.is_some_and(|began| began > order.since)
            }),
            OrderKind::Block | OrderKind::Approve | OrderKind::Unknown(_) => false,
        };
        let fulfilled: Vec<FleetOrder> = self.orders_about(name).filter(is_fulfilled).cloned().collect();
        for order in fulfilled {
            if let Some(changed) = self.blockers.orders.fulfil(&order, clock.now()) {
                self.store_control(changed);
            }
        }
    }

    /// Stores the operators' orders, and has every node decided on again.
    pub(super) fn store_control(&mut self, changed: Changed) {
        self.store_change(changed);
        self.touch_all();
    }

    /// Notes that an operator has cancelled an attempt in a way that no event of the node states.
    pub(super) fn note_cancel(
        &mut self,
        node: &NodeName,
        effect: CancelEffect,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) {
        let change = match effect {
            // The event of the rollback names the operator.
            CancelEffect::RolledBack => return,
            CancelEffect::SlotReleased { .. } => OrderChange::SlotReleased,
            CancelEffect::WaitEnded => OrderChange::WaitEnded,
        };
        let changed = self.blockers.orders.cancelled(node, change, by, reason, now);
        self.store_change(changed);
    }

    fn store_change(&mut self, Changed { control, mut event }: Changed) {
        event.source.clone_from(&self.source);
        let effect = Effect::StoreControl(Box::new(control), Some(Box::new(event)));
        self.effects.push_back(effect);
    }
}
