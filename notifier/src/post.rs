//! The events that wait for the messages of a target.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// The events that wait for one target.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// By the key of a message: each delivery of the event that is acknowledged after it.
    awaited: Mutex<BTreeMap<String, Vec<oneshot::Sender<()>>>>,
    /// A message was added.
    added: Notify,
}

impl Post {
    /// What is returned ends when the message is settled.
    pub(crate) fn settlement(&self, key: &str) -> oneshot::Receiver<()> {
        let (settled, awaited) = oneshot::channel();
        let mut all = self.locked();
        let waiting = all.entry(key.to_owned()).or_default();
        // Those of a delivery that has ended, such as one that came again after its ack wait.
        waiting.retain(|it| !it.is_closed());
        waiting.push(settled);
        awaited
    }

    /// A message was added.
    pub(crate) fn added(&self) {
        self.added.notify_one();
    }

    /// Returns once something was added since the last call.
    pub(crate) async fn changed(&self) {
        self.added.notified().await;
    }

    /// Lets the events continue that waited for this message.
    pub(crate) fn release(&self, key: &str) {
        for waiting in self.locked().remove(key).unwrap_or_default() {
            // One that has ended is delivered again, and finds the message settled.
            waiting.send(()).ok();
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Vec<oneshot::Sender<()>>>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
