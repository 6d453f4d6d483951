//! Requests of operators and users: decided by the core, replied to once their order is stored.

use bellwether_chassis::clock;
use bellwether_proto::CheckDrain;
use bellwether_scheduler_core::reading::Query;
use bellwether_scheduler_core::{CancelRefusal, Handled, Input};

use crate::api::reply::{self, LeaderInfo};
use crate::error::Refusal;
use crate::lead::Leader;
use crate::lead::kept::Refused;
use crate::message::{Reply, Request};

impl Leader<'_> {
    /// Replies while nothing can be stored: orders are refused.
    pub(super) fn reply_without_storing(&mut self, request: Request) {
        let refusal = || Refusal::NotStored(self.refused.as_ref().map(Refused::message).unwrap_or_default());
        // A client that has left gets no reply, and nothing else depends on it.
        match request {
            Request::ListNodes(_)
            | Request::ExplainNode(..)
            | Request::NodesBeside(..)
            | Request::ChainHeads(..)
            | Request::DrainChecked { .. } => self.decide_on(request)(),
            Request::PauseFleet { reply, .. } => drop(reply.send(Err(refusal()))),
            Request::ResumeFleet { reply, .. } => drop(reply.send(Err(refusal()))),
            Request::GiveOrder(_, reply) => drop(reply.send(Err(refusal()))),
            Request::EndOrder(_, reply) => drop(reply.send(Err(refusal()))),
            Request::CancelAttempt { reply, .. } => drop(reply.send(Err(refusal()))),
        }
    }

    /// Lets the core decide on a request. The closure sends the reply. A client that has left gets none, and
    /// nothing else depends on it.
    pub(super) fn decide_on(&mut self, request: Request) -> Box<dyn FnOnce() + Send> {
        let now = clock::now();
        match request {
            Request::ListNodes(sender) => {
                let list = reply::list(&self.fleet, self.info(), now);
                Box::new(move || drop(sender.send(Ok(list))))
            }
            Request::ExplainNode(node, sender) => {
                let status = reply::explain(&self.fleet, node, now);
                Box::new(move || drop(sender.send(status)))
            }
            Request::NodesBeside(node, sender) => {
                let beside = match self.fleet.standing(&node) {
                    Some(_) => Ok(self.fleet.draining().filter(|other| **other != node).cloned().collect()),
                    None => Err(Refusal::UnknownNode(node)),
                };
                Box::new(move || drop(sender.send(beside)))
            }
            Request::ChainHeads(of, kept_since, sender) => {
                let heads = self.effects.outbox.heads(&of, kept_since);
                Box::new(move || drop(sender.send(Ok(heads))))
            }
            Request::DrainChecked {
                question,
                outcome,
                reply,
            } => {
                let CheckDrain { node, asked_at, beside } = question;
                let query = Query::Drain { node, beside };
                let reading = Input::Reading {
                    query,
                    asked_at,
                    outcome,
                };
                self.fleet.handle_input(reading, now);
                Box::new(move || drop(reply.send(Ok(()))))
            }
            Request::PauseFleet { by, reason, reply } => {
                let handled = self.fleet.handle_input(Input::Pause { by, reason }, now);
                let paused = ordered(handled).map(|()| reply::paused(&self.fleet));
                Box::new(move || drop(reply.send(paused)))
            }
            Request::GiveOrder(order, reply) => {
                let handled = self.fleet.handle_input(Input::GiveOrder(order.clone()), now);
                let given = ordered(handled).map(|()| reply::given(&self.fleet, &order));
                Box::new(move || drop(reply.send(given)))
            }
            Request::EndOrder(order, reply) => {
                let handled = self.fleet.handle_input(Input::EndOrder(order.clone()), now);
                let ended = ordered(handled).map(|()| reply::ended(&self.fleet, &order, now));
                Box::new(move || drop(reply.send(ended)))
            }
            Request::ResumeFleet { by, reply } => {
                self.fleet.handle_input(Input::Resume { by }, now);
                let resumed = reply::resumed(&self.fleet);
                Box::new(move || drop(reply.send(Ok(resumed))))
            }
            Request::CancelAttempt {
                node,
                by,
                reason,
                reply,
            } => {
                let cancel = Input::Cancel {
                    node: node.clone(),
                    by,
                    reason,
                };
                let cancelled = match self.fleet.handle_input(cancel, now) {
                    Handled::Cancelled(effect) => Ok(reply::cancelled(&self.fleet, &node, effect)),
                    Handled::Refused(refusal) => Err(Refusal::Cancel(refusal)),
                    // The core handles no cancel so; if it did, nothing would be cancelled.
                    Handled::Accepted | Handled::OtherAttempt | Handled::NotOrdered(_) => {
                        Err(Refusal::Cancel(CancelRefusal::NoAttempt(node)))
                    }
                };
                Box::new(move || drop(reply.send(cancelled)))
            }
        }
    }

    fn info(&self) -> LeaderInfo {
        let refused = self.refused.as_ref().map(Refused::message);
        let failure = self.views.cluster.failure().map(|failure| failure.to_string());
        let rivals = || self.fleet.rivals().map(|reason| reason.message());
        LeaderInfo {
            notice: refused.or(failure).or_else(rivals).unwrap_or_default(),
            scheduler_version: self.context.chassis.service.version,
            nats_version: self.context.bus.server_version(),
        }
    }
}

/// What the core did with an order.
fn ordered(handled: Handled) -> Reply<()> {
    match handled {
        Handled::NotOrdered(refusal) => Err(Refusal::Order(refusal)),
        Handled::Accepted | Handled::OtherAttempt | Handled::Cancelled(_) | Handled::Refused(_) => Ok(()),
    }
}
