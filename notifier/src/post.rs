//! The messages that wait for a target, and the events that wait for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bellwether_chassis::clock;
use bellwether_notifier_core::{Answer, Next, Notification, Outbox, Settled};
use tokio::sync::{Notify, oneshot};

/// The messages of one target.
#[derive(Debug)]
pub(crate) struct Post {
    content: Mutex<Content>,
    /// Something was added.
    added: Notify,
}

#[derive(Debug)]
struct Content {
    outbox: Outbox,
    /// By the key of a message: each event that is acknowledged after it.
    awaited: BTreeMap<String, Vec<oneshot::Sender<()>>>,
}

impl Post {
    pub(crate) fn new(outbox: Outbox) -> Self {
        let awaited = BTreeMap::new();
        Self {
            content: Mutex::new(Content { outbox, awaited }),
            added: Notify::new(),
        }
    }

    /// Adds a message; what is returned ends when the message is settled.
    pub(crate) fn add(&self, notification: Notification) -> oneshot::Receiver<()> {
        let (settled, awaited) = oneshot::channel();
        let mut content = self.locked();
        let waiting = content.awaited.entry(notification.key()).or_default();
        // Those of a delivery that has ended, such as one that came again after its ack wait.
        waiting.retain(|it| !it.is_closed());
        waiting.push(settled);
        content.outbox.insert(clock::now(), notification);
        self.added.notify_one();
        awaited
    }

    /// Returns once something was added since the last call.
    pub(crate) async fn changed(&self) {
        self.added.notified().await;
    }

    pub(crate) fn next(&self) -> Next {
        self.locked().outbox.next(clock::now())
    }

    pub(crate) fn len(&self) -> usize {
        self.locked().outbox.len()
    }

    pub(crate) fn handle_answer(&self, answer: &Answer) -> Vec<Settled> {
        self.locked().outbox.handle_answer(clock::now(), answer)
    }

    /// Lets the events continue that waited for this message.
    pub(crate) fn release(&self, notification: &Notification) {
        for waiting in self.locked().awaited.remove(&notification.key()).unwrap_or_default() {
            // One that has ended is delivered again, and finds the message settled.
            waiting.send(()).ok();
        }
    }

    fn locked(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
