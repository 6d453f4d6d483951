//! The driver: carries out the actions of one state machine, and returns the results as facts.
//!
//! The driver decides nothing. It waits for facts (a watch's event, an answer, a hint, the machine's
//! timer) and polls nothing in between. Dropped at any await, the command continues elsewhere from
//! the cluster and the record as they are (D47).

use std::time::Duration;

use bellwether_chassis::clock;
use bellwether_drainer_core::pod::{Class, Risk};
use bellwether_drainer_core::{
    Action, Answer, ApiFault, CommandEnd, Machine, NodePatched, NodePod, NodeRead, NodeView, Notice, PodView,
    RecordView, RequestId, WatchTarget, Watched,
};
use bellwether_proto::NodeName;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt as _, future};

use crate::events::EventPublisher;
use crate::kube::watch::{self, Events};
use crate::kube::{evict, node, pods};
use crate::record::RecordReader;
use crate::tools::Tools;

/// Longest sleep, so that a clock that was set does not delay a timer by much.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// The connections that the actions of one command need.
pub(crate) struct Driver<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) node: &'a NodeName,
    pub(crate) record: &'a RecordReader,
    pub(crate) events: &'a EventPublisher,
}

/// The result of a request.
enum Response {
    Record(RequestId, RecordView),
    NodeRead(RequestId, NodeRead),
    NodePatched(RequestId, NodePatched),
    PodsListed(RequestId, Result<Vec<PodView>, ApiFault>),
    Stored(RequestId),
    ProgressSent,
    Evicted(String, Answer),
}

/// The facts under way to one machine. A machine has one request of each kind under way, and as many
/// evictions as its plan allows, so nothing here grows without limit.
struct Inbox<'a> {
    responses: FuturesUnordered<BoxFuture<'a, Response>>,
    hints: BoxStream<'static, ()>,
    pods: Option<Events<PodView>>,
    node: Option<Events<NodeView>>,
}

impl<'a> Driver<'a> {
    /// Drives the machine to its end.
    pub(crate) async fn drive(&'a self, mut machine: impl Machine) -> CommandEnd {
        let mut inbox = Inbox {
            responses: FuturesUnordered::new(),
            hints: self.record.hints(),
            pods: None,
            node: None,
        };
        loop {
            if let Some(until) = self.tools.throttle.until() {
                machine.handle_throttle(until);
            }
            while let Some(action) = machine.poll_action(clock::now()) {
                if let Some(end) = self.act(action, &mut inbox) {
                    return end;
                }
            }
            let due = machine.poll_timeout();
            let sleep = due.map_or(SLEEP_MAX, |due| clock::until(due).min(SLEEP_MAX));
            tokio::select! {
                Some(response) = inbox.responses.next() => self.hand_over(response, &mut machine),
                Some(()) = inbox.hints.next() => machine.handle_record_hint(),
                event = next(&mut inbox.pods) => self.on_pods(event, &mut inbox, &mut machine),
                event = next(&mut inbox.node) => self.on_node(event, &mut inbox, &mut machine),
                () = tokio::time::sleep(sleep) => (),
            }
        }
    }

    /// Begins one action. Returns the command's end, if the action is that.
    fn act(&'a self, action: Action, inbox: &mut Inbox<'a>) -> Option<CommandEnd> {
        let client = self.tools.client.clone();
        let response = match action {
            Action::Finish(end) => return Some(end),
            Action::Log(notice) => {
                self.log(notice);
                return None;
            }
            Action::Throttle(until) => {
                self.tools.throttle.extend(until);
                return None;
            }
            Action::WatchNode => {
                inbox.node = Some(watch::node(client, self.node));
                return None;
            }
            Action::WatchPods => {
                inbox.pods = Some(watch::pods(client, self.node));
                return None;
            }
            Action::ReadRecord(id) => async move { Response::Record(id, self.record.read().await) }.boxed(),
            Action::ReadNode(id) => async move { Response::NodeRead(id, node::read(client, self.node).await) }.boxed(),
            Action::PatchNode(id, patch) => {
                async move { Response::NodePatched(id, node::patch(client, self.node, patch).await) }.boxed()
            }
            Action::ListPods(id) => {
                async move { Response::PodsListed(id, pods::list(client, self.node).await) }.boxed()
            }
            Action::StoreFact(id, fact) => async move {
                self.events.store(fact).await;
                Response::Stored(id)
            }
            .boxed(),
            Action::SendProgress(fact) => async move {
                self.events.send(fact).await;
                Response::ProgressSent
            }
            .boxed(),
            Action::Evict(pod) => {
                self.warn_of_risks(&pod);
                async move {
                    let answer = evict::evict(client, &pod).await;
                    Response::Evicted(pod.uid, answer)
                }
                .boxed()
            }
        };
        inbox.responses.push(response);
        None
    }

    fn hand_over(&self, response: Response, machine: &mut impl Machine) {
        let now = clock::now();
        match response {
            Response::Record(id, record) => {
                if let RecordView::Unreadable(error) | RecordView::Malformed(error) = &record {
                    tracing::debug!(node = %self.node, error, "Attempt's record could not be read");
                }
                machine.handle_record(id, record);
            }
            Response::NodeRead(id, read) => {
                if let NodeRead::Failed(error) = &read {
                    tracing::warn!(node = %self.node, %error, "Node could not be read, trying again");
                }
                machine.handle_node_read(now, id, read);
            }
            Response::NodePatched(id, patched) => machine.handle_node_patched(now, id, patched),
            Response::PodsListed(id, pods) => {
                if let Err(error) = &pods {
                    tracing::warn!(node = %self.node, %error, "Pods could not be listed, trying again");
                }
                machine.handle_pods_listed(now, id, pods);
            }
            Response::Stored(id) => machine.handle_stored(id),
            Response::ProgressSent => machine.handle_progress_sent(),
            Response::Evicted(uid, answer) => {
                self.tools.metrics.eviction(&answer);
                machine.handle_answer(now, &uid, answer);
            }
        }
    }

    /// Takes in one event and all that are there already, so that a burst leads to one decision.
    fn on_pods(&self, event: Event<PodView>, inbox: &mut Inbox<'_>, machine: &mut impl Machine) {
        let mut next_event = Some(event);
        while let Some(event) = next_event {
            match event {
                Some(Ok(event)) => machine.handle_pod(event),
                Some(Err(fault)) => self.watch_failed(WatchTarget::Pods, fault, machine),
                None => inbox.pods = Some(watch::pods(self.tools.client.clone(), self.node)),
            }
            next_event = next(&mut inbox.pods).now_or_never();
        }
    }

    fn on_node(&self, event: Event<NodeView>, inbox: &mut Inbox<'_>, machine: &mut impl Machine) {
        match event {
            Some(Ok(event)) => machine.handle_node(event),
            Some(Err(fault)) => self.watch_failed(WatchTarget::Node, fault, machine),
            None => inbox.node = Some(watch::node(self.tools.client.clone(), self.node)),
        }
    }

    fn watch_failed(&self, target: WatchTarget, fault: ApiFault, machine: &mut impl Machine) {
        tracing::warn!(node = %self.node, error = %fault, "Cannot watch {}, trying again", target.as_str());
        machine.handle_watch_failed(clock::now(), target, fault);
    }

    fn log(&self, notice: Notice) {
        let node = self.node;
        match notice {
            Notice::NodeChanged => tracing::info!(%node, "Node changed between read and patch, reading it again"),
            Notice::CordonedAgain => {
                tracing::warn!(%node, "Node was uncordoned during its drain, the drainer cordons it again");
            }
            Notice::EvictionsSuspended(error) => {
                tracing::warn!(%node, error, "Evictions are suspended until the attempt's record authorises them");
            }
            Notice::Unconfirmed(error) => {
                tracing::warn!(%node, error, "No pod is left, but the attempt's record does not confirm the drain");
            }
            Notice::NodeEditFailed(error) => {
                tracing::warn!(%node, error, "Cordon could not be changed, trying again");
            }
        }
    }

    fn warn_of_risks(&self, pod: &NodePod) {
        let Class::Evictable { risks } = &pod.class else { return };
        if !risks.is_empty() {
            let risks: Vec<&str> = risks.iter().map(|risk: &Risk| risk.as_str()).collect();
            tracing::warn!(
                node = %self.node,
                namespace = pod.namespace,
                pod = pod.name,
                risks = risks.join("; "),
                "Eviction of a pod loses something"
            );
        }
    }
}

/// One item of a watch; none if the watch ended.
type Event<V> = Option<Result<Watched<V>, ApiFault>>;

/// The next event of a watch; never, if there is no watch.
async fn next<V>(events: &mut Option<Events<V>>) -> Event<V> {
    match events {
        Some(events) => events.next().await,
        None => future::pending().await,
    }
}
