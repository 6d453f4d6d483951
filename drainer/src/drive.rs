//! The driver: carries out the actions of one state machine, and returns the results as facts.
//!
//! The driver decides nothing. It waits for facts (a watch's event, an answer, a hint, the machine's
//! timer) and polls nothing in between. Dropped at any await, the command continues elsewhere from
//! the cluster and the record as they are (D47).

use std::time::Duration;

use bellwether_chassis::clock;
use bellwether_drainer_core::pod::{Class, Risk};
use bellwether_drainer_core::stateful_set::SetTurn;
use bellwether_drainer_core::{
    Action, Answer, ApiFault, CommandEnd, HeldBack, Machine, NodePatched, NodePod, NodeRead, NodeView, Notice, PodView,
    RecordView, RequestId, WatchTarget, Watched,
};
use bellwether_proto::{Fact, NodeName, TraceParent};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt as _, future};

use crate::events::EventPublisher;
use crate::kube::budgets::KnownBudgets;
use crate::kube::namespaces::KnownOwners;
use crate::kube::sets::KnownSets;
use crate::kube::volumes::KnownVolumes;
use crate::kube::watch::{self, Events};
use crate::kube::{evict, node, pods};
use crate::meter::Meter;
use crate::places::{Free, Place};
use crate::record::RecordReader;
use crate::spans;
use crate::tools::Tools;
use crate::turns::Taken;

/// Longest sleep, so that a clock that was set does not delay a timer by much.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// How long evictions in flight may take once their command has ended. One that is broken off may have taken one
/// disruption from its budget without an eviction, and the API server gives that back after two minutes only.
const EVICTIONS_END: Duration = Duration::from_secs(5);

/// The connections that the actions of one command need.
pub(crate) struct Driver<'a> {
    pub(crate) tools: &'a Tools,
    pub(crate) node: &'a NodeName,
    pub(crate) record: &'a RecordReader,
    pub(crate) events: &'a EventPublisher,
    /// What the parts of a drain are parts of.
    pub(crate) trace: TraceParent,
}

/// The result of a request.
enum Response {
    Record(RequestId, RecordView),
    NodeRead(RequestId, NodeRead),
    NodePatched(RequestId, NodePatched),
    PodsListed(RequestId, Result<Vec<PodView>, ApiFault>),
    Stored(RequestId),
    ProgressSent,
    /// The eviction or deletion of the pod with this UID was not sent.
    HeldBack(String, HeldBack),
}

/// An eviction or a deletion under way: the UID of the pod, and the answer.
type Eviction<'a> = BoxFuture<'a, (String, Answer)>;

/// The facts under way to one machine. A machine has one request of each kind under way, and as many
/// evictions as its plan allows, so nothing here grows without limit.
struct Inbox<'a> {
    responses: FuturesUnordered<BoxFuture<'a, Response>>,
    evictions: FuturesUnordered<Eviction<'a>>,
    hints: BoxStream<'static, ()>,
    pods: Option<Events<PodView>>,
    node: Option<Events<NodeView>>,
    budgets: KnownBudgets,
    volumes: KnownVolumes,
    meter: Meter,
    sets: KnownSets,
    owners: KnownOwners,
    places: Free,
}

impl Inbox<'_> {
    /// The eviction or deletion of the pod with this UID is not sent.
    fn hold_back(&mut self, uid: String, why: HeldBack) {
        let held_back = Response::HeldBack(uid, why);
        self.responses.push(future::ready(held_back).boxed());
    }

    fn hand_owners(&mut self, machine: &mut impl Machine) {
        if let Ok(owners) = &*self.owners.borrow_and_update() {
            machine.handle_owners(owners.clone());
        }
    }
}

impl<'a> Driver<'a> {
    /// Drives the machine to its end, or until the service stops.
    pub(crate) async fn drive(&'a self, mut machine: impl Machine) -> CommandEnd {
        let mut inbox = self.inbox();
        let end = tokio::select! {
            end = self.drive_to_end(&mut machine, &mut inbox) => end,
            () = self.tools.chassis.stop.cancelled() => CommandEnd::Interrupted,
        };
        for passage in machine.interrupt() {
            spans::write(self.trace, self.node, passage);
        }
        for answer in end_in_flight(&mut inbox.evictions, EVICTIONS_END).await {
            self.tools.metrics.eviction(&answer);
        }
        end
    }

    /// Drives the machine of a command's last step, which a stop does not interrupt: what has happened has to be reported.
    pub(crate) async fn conclude(&'a self, mut machine: impl Machine) -> CommandEnd {
        self.drive_to_end(&mut machine, &mut self.inbox()).await
    }

    fn inbox(&self) -> Inbox<'a> {
        Inbox {
            responses: FuturesUnordered::new(),
            evictions: FuturesUnordered::new(),
            hints: self.record.hints(),
            pods: None,
            node: None,
            budgets: self.tools.budgets.clone(),
            volumes: self.tools.volumes.clone(),
            meter: self.tools.metrics.meter(clock::now()),
            sets: self.tools.sets.clone(),
            owners: self.tools.owners.clone(),
            places: self.tools.places.watch(),
        }
    }

    async fn drive_to_end(&'a self, machine: &mut impl Machine, inbox: &mut Inbox<'a>) -> CommandEnd {
        machine.handle_budgets(inbox.budgets.borrow_and_update().as_ref().ok().cloned());
        let mut attached = inbox.volumes.of_node(self.node);
        machine.handle_attached(attached.clone());
        machine.handle_sets(inbox.sets.borrow_and_update().clone());
        inbox.hand_owners(machine);
        loop {
            if let Some(until) = self.tools.throttle.until() {
                machine.handle_throttle(until);
            }
            let free = self.tools.places.free(self.node);
            machine.handle_places(free);
            while let Some(action) = machine.poll_action(clock::now()) {
                if let Some(end) = self.act(action, inbox) {
                    return end;
                }
            }
            // What this drain has taken since is no place that becomes free.
            let known = free.min(self.tools.places.free(self.node));
            inbox.meter.tick(clock::now());
            let due = machine.poll_timeout();
            let sleep = due.map_or(SLEEP_MAX, |due| clock::until(due).min(SLEEP_MAX));
            tokio::select! {
                Some(response) = inbox.responses.next() => self.hand_over(response, machine),
                Some((uid, answer)) = inbox.evictions.next() => {
                    self.tools.metrics.eviction(&answer);
                    machine.handle_answer(clock::now(), &uid, answer);
                }
                Some(()) = inbox.hints.next() => machine.handle_record_hint(),
                Ok(()) = inbox.budgets.changed() => {
                    machine.handle_budgets(inbox.budgets.borrow_and_update().as_ref().ok().cloned());
                }
                () = inbox.volumes.changed() => {
                    let now = inbox.volumes.of_node(self.node);
                    // Most changes are of other nodes.
                    if now != attached {
                        attached.clone_from(&now);
                        machine.handle_attached(now);
                    }
                }
                () = inbox.places.more_than(known, self.node), if machine.lacks_places() => (),
                Ok(()) = inbox.sets.changed() => machine.handle_sets(inbox.sets.borrow_and_update().clone()),
                Ok(()) = inbox.owners.changed() => inbox.hand_owners(machine),
                event = next(&mut inbox.pods) => self.on_pods(event, inbox, machine),
                event = next(&mut inbox.node) => self.on_node(event, inbox, machine),
                () = tokio::time::sleep(sleep) => (),
            }
        }
    }

    /// Begins one action. Returns the command's end, if the action is that.
    fn act(&'a self, action: Action, inbox: &mut Inbox<'a>) -> Option<CommandEnd> {
        let client = self.tools.clients.requests.clone();
        let response = match action {
            Action::Finish(end) => return Some(end),
            Action::Log(notice) => {
                self.log(notice);
                return None;
            }
            Action::Trace(passage) => {
                spans::write(self.trace, self.node, passage);
                return None;
            }
            Action::Throttle(until) => {
                self.tools.throttle.extend(until);
                return None;
            }
            Action::WatchNode => {
                inbox.node = Some(watch::node(self.tools.clients.watches.clone(), self.node));
                return None;
            }
            Action::WatchPods => {
                inbox.pods = Some(watch::pods(self.tools.clients.watches.clone(), self.node));
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
            Action::SendProgress(progress) => {
                inbox.meter.progress(clock::now(), &progress);
                async move {
                    self.events.send(Fact::DrainProgressed(progress)).await;
                    Response::ProgressSent
                }
                .boxed()
            }
            Action::Evict(pod, turn) => {
                let (place, mut taken) = match self.may_send(turn) {
                    Ok(taken) => taken,
                    Err(why) => {
                        inbox.hold_back(pod.uid, why);
                        return None;
                    }
                };
                self.warn_of_risks(&pod);
                let eviction = async move {
                    let _place = place;
                    let answer = evict::evict(client, &pod).await;
                    if answer == Answer::Accepted {
                        taken.iter_mut().for_each(Taken::used);
                    }
                    (pod.uid, answer)
                };
                inbox.evictions.push(eviction.boxed());
                return None;
            }
            Action::Delete(pod) => {
                let place = match self.may_send(None) {
                    Ok((place, _)) => place,
                    Err(why) => {
                        inbox.hold_back(pod.uid, why);
                        return None;
                    }
                };
                tracing::warn!(
                    node = %self.node,
                    namespace = pod.namespace,
                    pod = pod.name,
                    "Pod is deleted whatever its budgets say: the time of the drain ends, and the policy demands that"
                );
                self.tools.metrics.forced_deletion();
                let deletion = async move {
                    let _place = place;
                    let answer = evict::delete(client, &pod).await;
                    (pod.uid, answer)
                };
                inbox.evictions.push(deletion.boxed());
                return None;
            }
        };
        inbox.responses.push(response);
        None
    }

    /// What an eviction or deletion takes before it is sent.
    fn may_send(&'a self, turn: Option<SetTurn>) -> Result<(Place, Option<Taken<'a>>), HeldBack> {
        let place = self.tools.places.take(self.node).ok_or(HeldBack::NoPlace)?;
        let taken = turn.map(|turn| self.tools.turns.take(turn, self.node)).transpose();
        Ok((place, taken.map_err(HeldBack::NoTurn)?))
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
            Response::HeldBack(uid, why) => machine.handle_held_back(now, &uid, why),
        }
    }

    /// Takes in one event and all that are there already, so that a burst leads to one decision.
    fn on_pods(&self, event: Event<PodView>, inbox: &mut Inbox<'_>, machine: &mut impl Machine) {
        let mut next_event = Some(event);
        while let Some(event) = next_event {
            match event {
                Some(Ok(event)) => machine.handle_pod(event),
                Some(Err(fault)) => self.watch_failed(WatchTarget::Pods, fault, machine),
                None => inbox.pods = Some(watch::pods(self.tools.clients.watches.clone(), self.node)),
            }
            next_event = next(&mut inbox.pods).now_or_never();
        }
    }

    fn on_node(&self, event: Event<NodeView>, inbox: &mut Inbox<'_>, machine: &mut impl Machine) {
        match event {
            Some(Ok(event)) => machine.handle_node(event),
            Some(Err(fault)) => self.watch_failed(WatchTarget::Node, fault, machine),
            None => inbox.node = Some(watch::node(self.tools.clients.watches.clone(), self.node)),
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

/// Lets evictions end; after the limit those that are left are dropped.
async fn end_in_flight(evictions: &mut FuturesUnordered<Eviction<'_>>, limit: Duration) -> Vec<Answer> {
    let mut answers = Vec::new();
    let all = async {
        while let Some((_, answer)) = evictions.next().await {
            answers.push(answer);
        }
    };
    let is_over = tokio::time::timeout(limit, all).await.is_err();
    if is_over {
        tracing::warn!(evictions = evictions.len(), "Evictions in flight are dropped");
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn evictions_in_flight_end_before_their_command_but_for_those_that_take_too_long() {
        let mut evictions = FuturesUnordered::new();
        let slow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            ("a".to_owned(), Answer::Accepted)
        };
        evictions.push(slow.boxed());
        evictions.push(future::pending().boxed());
        let answers = end_in_flight(&mut evictions, Duration::from_millis(200)).await;
        assert_eq!(answers, [Answer::Accepted]);
        assert_eq!(evictions.len(), 1);
    }
}
