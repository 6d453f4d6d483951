//! Notices as Kubernetes Events on their Nodes, written by the leader beside its loop: nothing waits for an Event, and
//! whatever the API server answers changes no decision.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_chassis::{Backoff, clock};
use bellwether_proto::{Attempt, NodeEvent};
use bellwether_scheduler_core::{Notice, Notices};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::Notify;

use crate::observe::metrics::{EventOutcome, Metrics};

/// By which `kubectl get events --field-selector reportingComponent=…` finds them.
const CONTROLLER: &str = "bellwether.dev/scheduler";

/// The one namespace that the API server takes for Events of objects without a namespace, beside `kube-system`.
const NAMESPACE: &str = "default";

/// The API server refuses a longer note, and a longer name of the instance.
const NOTE_BYTES_MAX: usize = 1024;
const INSTANCE_BYTES_MAX: usize = 128;

/// Some 250 attempts, whose notices come in an outage of half an hour at most: half a megabyte.
const QUEUE_MAX: usize = 1000;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How soon an Event is tried again, and how late: a right that was granted shows within a minute.
const RETRY: Backoff = Backoff::between(Duration::from_secs(1), Duration::from_secs(60));

/// The notices of one turn of leading.
pub(crate) struct NodeEvents {
    notices: Notices,
    queue: Arc<NoticeQueue>,
    metrics: Metrics,
}

impl NodeEvents {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self {
            notices: Notices::default(),
            queue: Arc::default(),
            metrics,
        }
    }

    /// The queue for [`NodeEventWriter::write`].
    pub(crate) fn queue(&self) -> Arc<NoticeQueue> {
        self.queue.clone()
    }

    /// A record is stored.
    pub(crate) fn stored(&mut self, attempt: &Attempt, now: Timestamp) {
        let notices = self.notices.of_record(attempt, now);
        self.push(notices);
    }

    /// A service has published an event.
    pub(crate) fn published(&mut self, event: &NodeEvent, now: Timestamp) {
        self.notices.note_event(event, now);
    }

    /// Time has passed.
    pub(crate) fn look(&mut self, now: Timestamp) {
        let notices = self.notices.of_blocked_drains(now);
        self.push(notices);
    }

    fn push(&self, notices: Vec<Notice>) {
        for notice in notices {
            if self.queue.push(notice) {
                self.metrics.node_event(EventOutcome::Dropped);
            }
        }
    }
}

/// Notices that wait to be written. Bounded: the oldest one goes for a newer one.
#[derive(Default)]
pub(crate) struct NoticeQueue {
    waiting: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
}

/// A notice, and how often the API server did not take it.
struct Waiting {
    notice: Notice,
    tries: u32,
}

impl NoticeQueue {
    /// Returns true if the oldest notice was dropped.
    fn push(&self, notice: Notice) -> bool {
        self.put(Waiting { notice, tries: 0 })
    }

    fn put(&self, notice: Waiting) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = waiting.len() >= QUEUE_MAX;
        if is_full {
            waiting.pop_front();
        }
        waiting.push_back(notice);
        self.arrived.notify_one();
        is_full
    }

    async fn next(&self) -> Waiting {
        loop {
            let oldest = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            if let Some(notice) = oldest {
                return notice;
            }
            self.arrived.notified().await;
        }
    }
}

/// Writes notices to the API server.
pub(crate) struct NodeEventWriter {
    events: Api<Event>,
    instance: String,
    metrics: Metrics,
    /// The last answer was a refusal, and is logged.
    is_refused: AtomicBool,
}

impl NodeEventWriter {
    /// Of the replica of this name.
    pub(crate) fn new(client: Client, mut instance: String, metrics: Metrics) -> Self {
        instance.truncate(instance.floor_char_boundary(INSTANCE_BYTES_MAX));
        Self {
            events: Api::namespaced(client, NAMESPACE),
            instance,
            metrics,
            is_refused: AtomicBool::new(false),
        }
    }

    /// Writes what is in the queue, for ever: one request at a time. An Event that the API server does not take goes behind the
    /// others, so that it holds up none of them for more than one request and a wait.
    pub(crate) async fn write(&self, queue: &NoticeQueue) {
        let mut retry = RETRY;
        loop {
            let mut waiting = queue.next().await;
            let notice = &waiting.notice;
            let is_news = clock::now().duration_since(notice.at) <= Notices::AGE_MAX;
            let outcome = if is_news {
                self.write_once(notice, waiting.tries == 0).await
            } else {
                Some(EventOutcome::Dropped)
            };
            if let Some(outcome) = outcome {
                retry = RETRY;
                self.metrics.node_event(outcome);
                continue;
            }
            waiting.tries = waiting.tries.saturating_add(1);
            if queue.put(waiting) {
                self.metrics.node_event(EventOutcome::Dropped);
            }
            tokio::time::sleep(retry.after_failure()).await;
        }
    }

    /// None: another try may have another end.
    async fn write_once(&self, notice: &Notice, is_first: bool) -> Option<EventOutcome> {
        let event = event(notice, &self.instance);
        let answer = tokio::time::timeout(TIMEOUT, self.events.create(&PostParams::default(), &event)).await;
        match answer {
            Ok(Ok(_)) => {
                self.is_refused.store(false, Ordering::Relaxed);
                return Some(EventOutcome::Written);
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => return Some(EventOutcome::Present),
            Ok(Err(kube::Error::Api(status))) if [400, 422].contains(&status.code) => {
                let error = status.message;
                tracing::warn!(node = %notice.node, reason = notice.reason.as_str(), error, "Event refused as invalid");
                return Some(EventOutcome::Refused);
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                if is_first && !self.is_refused.swap(true, Ordering::Relaxed) {
                    let error = status.message;
                    tracing::warn!(
                        error,
                        "No Events on Nodes: if it is a right that the scheduler's ServiceAccount lacks, grant `create` on `events` of `events.k8s.io`, as deploy/base/scheduler.yaml does; else ask the owner of the quota or webhook. Reboots continue without"
                    );
                }
            }
            Ok(Err(error)) if is_first => {
                let error = bellwether_chassis::chain(&error);
                tracing::warn!(node = %notice.node, error, "Event not written, trying again");
            }
            Err(_) if is_first => {
                tracing::warn!(node = %notice.node, "Event not written, trying again: the API server has not answered in time");
            }
            Ok(Err(_)) | Err(_) => (),
        }
        None
    }
}

/// A notice as the API server takes it.
fn event(notice: &Notice, instance: &str) -> Event {
    let mut note = notice.message.clone();
    note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
    let type_ = if notice.reason.is_warning() {
        "Warning"
    } else {
        "Normal"
    };
    Event {
        metadata: ObjectMeta {
            name: Some(notice.name.clone()),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(notice.at)),
        type_: Some(type_.to_owned()),
        reason: Some(notice.reason.as_str().to_owned()),
        action: Some(notice.action.as_str().to_owned()),
        note: Some(note),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(instance.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(notice.node.to_string()),
            uid: Some(notice.node_uid.to_string()),
            ..ObjectReference::default()
        }),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use bellwether_scheduler_core::{NoticeAction, NoticeReason};

    use super::*;

    fn notice(name: usize) -> Notice {
        Notice {
            name: name.to_string(),
            node: "n1".parse().unwrap(),
            node_uid: "u1".parse().unwrap(),
            at: Timestamp::UNIX_EPOCH,
            reason: NoticeReason::DrainStalled,
            action: NoticeAction::Drain,
            message: "ä".repeat(NOTE_BYTES_MAX) + "!",
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_notice() {
        let queue = NoticeQueue::default();
        let dropped: Vec<usize> = (0..QUEUE_MAX + 2).filter(|name| queue.push(notice(*name))).collect();
        assert_eq!(dropped, [QUEUE_MAX, QUEUE_MAX + 1]);
        assert_eq!(queue.next().await.notice.name, "2");
    }

    #[test]
    fn texts_are_cut_to_what_the_api_server_takes() {
        let event = event(&notice(1), "one");
        assert_eq!(event.note.unwrap().len(), NOTE_BYTES_MAX);
        assert_eq!(event.type_.as_deref(), Some("Warning"));
    }
}
