//! The way from the API to the leading loop, if this replica leads.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::error::Refusal;
use crate::message::{LeaderMessage, Reply, ReplySender, Request};

/// Passes requests to the leading loop. Cheap to clone; all clones share one way.
#[derive(Debug, Clone)]
pub(crate) struct ApiHandle {
    leader: Arc<Mutex<Result<mpsc::Sender<LeaderMessage>, Refusal>>>,
}

impl Default for ApiHandle {
    fn default() -> Self {
        Self {
            leader: Arc::new(Mutex::new(Err(Refusal::NotLeading))),
        }
    }
}

impl ApiHandle {
    /// From now on this replica leads, and requests go to its loop.
    pub(crate) fn open(&self, leader: mpsc::Sender<LeaderMessage>) {
        self.set(Ok(leader));
    }

    /// From now on this replica refuses requests with this refusal.
    pub(crate) fn close(&self, refusal: Refusal) {
        self.set(Err(refusal));
    }

    fn set(&self, leader: Result<mpsc::Sender<LeaderMessage>, Refusal>) {
        *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = leader;
    }

    /// Passes a request on and waits for its reply.
    pub(super) async fn send<T>(&self, request: impl FnOnce(ReplySender<T>) -> Request) -> Reply<T> {
        let leader = self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let (reply, replied) = oneshot::channel();
        let sent = leader.send(LeaderMessage::Request(request(reply))).await;
        sent.map_err(|_| Refusal::Reloading)?;
        replied.await.map_err(|_| Refusal::Reloading)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    #[tokio::test]
    async fn a_replica_that_does_not_lead_refuses() {
        let handle = ApiHandle::default();
        assert_eq!(handle.send(Request::ListNodes).await, Err(Refusal::NotLeading));
        let (leader, _messages) = message::channel();
        handle.open(leader);
        let refusal = Refusal::CannotLead("NATS does not answer".to_owned());
        handle.close(refusal.clone());
        assert_eq!(handle.send(Request::ListNodes).await, Err(refusal));
    }

    #[tokio::test]
    async fn a_leader_that_ends_before_it_replies_leaves_the_order_uncertain() {
        let handle = ApiHandle::default();
        let (leader, mut messages) = message::channel();
        handle.open(leader);
        let leader_ends = async {
            drop(messages.recv().await);
            drop(messages);
        };
        let (reply, ()) = tokio::join!(handle.send(Request::ListNodes), leader_ends);
        assert_eq!(reply, Err(Refusal::Reloading));
        assert_eq!(handle.send(Request::ListNodes).await, Err(Refusal::Reloading));
    }
}
