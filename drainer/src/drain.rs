//! The acting loop of one drain: cordon, watch, evict what the plan says, prove the end.
//!
//! It waits for events (a pod, the node, an answer, the plan's next time) and never polls in
//! between. It owns no decision about a pod, and holds nothing that a later drainer would
//! need: dropped at any await, the drain goes on elsewhere from the cluster as it is (D47).
//! Whether the order stands is checked before each batch and at the end; that it falls
//! meanwhile is noticed by the caller, who then drops all of this.

use std::time::Duration;

use bellwether_chassis::clock;
use bellwether_proto::Fact;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use kube::runtime::watcher::{self, Event};

use bellwether_drainer_core::answer::Answer;
use crate::api::{ApiError, call};
use crate::cordon::{self, Cordon};
use crate::error::DrainError;
use crate::evict;
use crate::permit::Permit;
use bellwether_drainer_core::plan::{Plan, Rest, Step};
use bellwether_drainer_core::pod::{Class, PodSeen, Risk, Stays};
use crate::progress::Progress;
use crate::report::Report;
use crate::tools::Tools;
use crate::watch::{self, Events};

/// Wait before the end is proved again, when the API server saw more than the watch.
const PROVE_AGAIN: Duration = Duration::from_secs(1);

/// How long a node has to carry our cordon before it may be called drained. A scheduler that chose
/// the node just before still binds its pod to it.
const SETTLE: Duration = Duration::from_secs(2);

/// How long a missing right may be a passing one: an API server that has just started forbids
/// everything until it has read its rules.
const FORBIDDEN_MAX: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// How long evictions rest when the record cannot be read.
const PERMIT_REST: Duration = Duration::from_secs(2);
/// Longest sleep, so that a clock that was set does not make it miss its end by much.
const SLEEP_MAX: Duration = Duration::from_secs(10);

/// How a drain ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Emptied {
    pub(crate) pods_gone: u32,
    pub(crate) pods_left: u32,
}

/// Cordons the node and empties it.
pub(crate) async fn drain(
    tools: &Tools,
    permit: &Permit,
    report: &Report,
    not_after: Timestamp,
) -> Result<Emptied, DrainError> {
    if clock::now() >= not_after {
        return Err(DrainError::Timeout(
            "the time for the drain was over before a drainer could start or resume it".to_owned(),
        ));
    }
    carry_cordon(tools, permit, not_after).await?;
    report.tell(Fact::Cordoned).await;
    Drain::new(tools, permit, report, not_after).run().await
}

/// Makes the node carry our cordon, within the time of the drain.
async fn carry_cordon(tools: &Tools, permit: &Permit, not_after: Timestamp) -> Result<(), DrainError> {
    let nodes = tools.nodes();
    let cordoning = cordon::cordon(&nodes, permit);
    tokio::time::timeout(clock::until(not_after), cordoning)
        .await
        .unwrap_or_else(|_| {
            Err(DrainError::Timeout(format!(
                "node {} could not be cordoned in time: the API server or NATS could not be reached",
                permit.order.node
            )))
        })
}

struct Drain<'a> {
    tools: &'a Tools,
    permit: &'a Permit,
    progress: Progress<'a>,
    not_after: Timestamp,
    node: String,
    pod_events: Events<Pod>,
    node_events: Events<Node>,
    pods: watch::Pods,
    node_now: watch::NodeNow,
    plan: Plan,
    evictions: FuturesUnordered<BoxFuture<'static, (String, Answer)>>,
    /// Set while the record cannot be read.
    rest: Option<Rest>,
    /// What is wrong with seeing the cluster, for people.
    blind: Option<String>,
    prove_at: Timestamp,
    /// Since when evictions are refused for want of rights.
    evicting_forbidden: Option<Timestamp>,
    /// Since when the same is true of looking.
    seeing_forbidden: Option<Timestamp>,
}

impl<'a> Drain<'a> {
    fn new(tools: &'a Tools, permit: &'a Permit, report: &'a Report, not_after: Timestamp) -> Self {
        let node = permit.order.node.to_string();
        Self {
            progress: Progress::new(report),
            pod_events: watch::pods(&tools.client.0, &node),
            node_events: watch::node(&tools.client.0, &node),
            pods: watch::Pods::new(node.clone()),
            node_now: watch::NodeNow::default(),
            plan: Plan::new(tools.evictions_per_node),
            evictions: FuturesUnordered::new(),
            rest: None,
            blind: None,
            prove_at: clock::now().saturating_add(SETTLE).unwrap_or(Timestamp::MAX),
            evicting_forbidden: None,
            seeing_forbidden: None,
            tools,
            permit,
            not_after,
            node,
        }
    }

    async fn run(mut self) -> Result<Emptied, DrainError> {
        loop {
            let now = clock::now();
            let rest = self.rest_now(now);
            let mut step = self.plan.step(now, &self.pods.all(), rest.as_ref());
            step.held_up_by.splice(0..0, self.blind.clone());
            if now >= self.not_after {
                return Err(DrainError::Timeout(unfinished(&step)));
            }
            if self.pods.is_complete() && step.pods_left == 0 && now >= self.prove_at {
                if let Some(emptied) = self.prove(&step).await? {
                    return Ok(emptied);
                }
                self.prove_at = self
                    .prove_at
                    .max(now.saturating_add(PROVE_AGAIN).unwrap_or(Timestamp::MAX));
                continue;
            }
            let evict = std::mem::take(&mut step.evict);
            if !evict.is_empty() {
                self.evict(evict).await?;
            }
            let tell_at = if self.pods.is_complete() {
                self.progress.tell(now, &step)
            } else {
                None
            };
            let prove_at = (self.pods.is_complete() && step.pods_left == 0).then_some(self.prove_at);
            let rest_until = self.rest.as_ref().map(|rest| rest.until);
            let wake = [Some(self.not_after), step.look_again, tell_at, prove_at, rest_until];
            self.wait(wake.into_iter().flatten().min()).await?;
        }
    }

    /// The later of the rests that are due.
    fn rest_now(&mut self, now: Timestamp) -> Option<Rest> {
        self.rest = self.rest.take().filter(|rest| rest.until > now);
        let rests = [self.rest.clone(), self.tools.throttle.rest()];
        rests.into_iter().flatten().max_by_key(|rest| rest.until)
    }

    /// Starts one batch, if the order still stands.
    async fn evict(&mut self, pods: Vec<PodSeen>) -> Result<(), DrainError> {
        if let Err(error) = self.permit.confirm().await {
            if error.is_final() {
                return Err(error.into());
            }
            let why = bellwether_chassis::chain(&error);
            tracing::warn!(
                node = self.node,
                error = why,
                "Evictions rest until the attempt's record can be read"
            );
            self.rest = Some(Rest {
                until: clock::now().saturating_add(PERMIT_REST).unwrap_or(Timestamp::MAX),
                why,
            });
            return Ok(());
        }
        for pod in pods {
            self.plan.started(&pod.uid);
            warn_of_risks(&self.node, &pod);
            self.evictions
                .push(evict::evict(self.tools.client.0.clone(), pod).boxed());
        }
        Ok(())
    }

    /// Waits for the first thing that happens, and takes it in.
    async fn wait(&mut self, wake: Option<Timestamp>) -> Result<(), DrainError> {
        let sleep = wake.map_or(SLEEP_MAX, |wake| clock::until(wake).min(SLEEP_MAX));
        tokio::select! {
            event = self.pod_events.next() => {
                self.on_pod(event)?;
                // All that is there already, so that a burst is one step of the plan.
                while let Some(event) = self.pod_events.next().now_or_never() {
                    self.on_pod(event)?;
                }
                Ok(())
            }
            event = self.node_events.next() => self.on_node(event).await,
            Some((uid, answer)) = self.evictions.next() => self.on_answer(&uid, answer),
            () = self.progress.sent() => Ok(()),
            () = tokio::time::sleep(sleep) => Ok(()),
        }
    }

    fn on_pod(&mut self, event: Option<watcher::Result<Event<Pod>>>) -> Result<(), DrainError> {
        match event {
            Some(Ok(event)) => {
                self.blind = None;
                self.seeing_forbidden = None;
                self.pods.handle(event);
                Ok(())
            }
            Some(Err(error)) => self.on_trouble("pods", watch::trouble(error)),
            None => {
                self.pod_events = watch::pods(&self.tools.client.0, &self.node);
                Ok(())
            }
        }
    }

    async fn on_node(&mut self, event: Option<watcher::Result<Event<Node>>>) -> Result<(), DrainError> {
        let now = match event {
            Some(Ok(event)) => {
                self.blind = None;
                self.seeing_forbidden = None;
                self.node_now.handle(event)
            }
            Some(Err(error)) => return self.on_trouble("the node", watch::trouble(error)),
            None => {
                self.node_events = watch::node(&self.tools.client.0, &self.node);
                return Ok(());
            }
        };
        match now {
            Some(node) => self
                .mind_cordon(cordon::cordon_of(node.as_ref(), &self.permit.order))
                .await
                .map(|_| ()),
            None => Ok(()),
        }
    }

    /// True: the node carries our cordon, and has so since it was last looked at.
    async fn mind_cordon(&mut self, cordon: Cordon) -> Result<bool, DrainError> {
        match cordon {
            Cordon::Ours => Ok(true),
            Cordon::NodeGone(why) => Err(DrainError::NodeGone(why)),
            Cordon::Foreign(why) => Err(DrainError::ForeignCordon(why)),
            // D9: pods may have come meanwhile, so all that is known of them is void.
            Cordon::None => {
                tracing::warn!(
                    node = self.node,
                    "Node was uncordoned during its drain, it is cordoned again"
                );
                carry_cordon(self.tools, self.permit, self.not_after).await?;
                self.pods.distrust();
                self.prove_at = clock::now().saturating_add(SETTLE).unwrap_or(Timestamp::MAX);
                self.pod_events = watch::pods(&self.tools.client.0, &self.node);
                Ok(false)
            }
        }
    }

    fn on_answer(&mut self, uid: &str, answer: Answer) -> Result<(), DrainError> {
        self.tools.metrics.eviction(&answer);
        let answer = if let Answer::Forbidden(why) = answer {
            forbidden(&mut self.evicting_forbidden, &why)?;
            Answer::Failed(why)
        } else {
            self.evicting_forbidden = None;
            answer
        };
        match &answer {
            Answer::Throttled(wait) => self.tools.throttle.hold(*wait),
            Answer::Forbidden(_)
            | Answer::Accepted
            | Answer::Gone
            | Answer::Conflict
            | Answer::BudgetBlocked(_)
            | Answer::BudgetUnprocessed
            | Answer::SeveralBudgets
            | Answer::WebhookDenied(_)
            | Answer::NamespaceEnding
            | Answer::Failed(_) => (),
        }
        self.plan.answered(clock::now(), uid, answer, clock::jitter);
        Ok(())
    }

    /// Without sight nothing is assumed: the drain waits. Without the right to see it fails.
    fn on_trouble(&mut self, what: &str, error: ApiError) -> Result<(), DrainError> {
        if let ApiError::Forbidden(why) = &error {
            forbidden(&mut self.seeing_forbidden, why)?;
        }
        tracing::warn!(node = self.node, %error, "Cannot watch {what}, trying again");
        self.blind = Some(format!("{what} cannot be watched: {error}"));
        Ok(())
    }

    /// D49: the API server itself, not a cache, shows no pod that has to go; then the node still
    /// with our cordon; then the record still with our order. Only then the node is drained.
    async fn prove(&mut self, step: &Step) -> Result<Option<Emptied>, DrainError> {
        let pods: Api<Pod> = Api::all(self.tools.client.0.clone());
        // Without a resource version the list is read from a quorum.
        let params = ListParams::default().fields(&watch::on_node(&self.node));
        let list = match call(pods.list(&params)).await {
            Ok(list) => {
                self.blind = None;
                self.seeing_forbidden = None;
                list
            }
            Err(error) => return self.on_trouble("pods", error).map(|()| None),
        };
        let seen: Vec<PodSeen> = list
            .items
            .iter()
            .filter_map(|pod| PodSeen::of(pod, &self.node))
            .collect();
        let left: Vec<PodSeen> = seen.iter().filter(|pod| pod.has_to_go()).cloned().collect();
        if !left.is_empty() {
            self.pods.add(left);
            return Ok(None);
        }
        let node = match cordon::look(&self.tools.nodes(), &self.permit.order).await {
            Ok(node) => node,
            Err(error) => return self.on_trouble("the node", error).map(|()| None),
        };
        if !self
            .mind_cordon(cordon::cordon_of(node.as_ref(), &self.permit.order))
            .await?
        {
            return Ok(None);
        }
        match self.permit.read().await {
            Ok(_) => (),
            Err(error) if error.is_final() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(
                    node = self.node,
                    error = bellwether_chassis::chain(&error),
                    "Drained, but not known whether still wanted"
                );
                return Ok(None);
            }
        }
        tell_what_stays(&self.node, &seen);
        Ok(Some(Emptied {
            pods_gone: step.pods_gone,
            pods_left: u32::try_from(seen.len()).unwrap_or(u32::MAX),
        }))
    }
}

/// A missing right is fatal once it has been missing for long enough.
fn forbidden(since: &mut Option<Timestamp>, why: &str) -> Result<(), DrainError> {
    let now = clock::now();
    if now.duration_since(*since.get_or_insert(now)) > FORBIDDEN_MAX {
        return Err(DrainError::Forbidden(why.to_owned()));
    }
    Ok(())
}

/// What was still there and what held it.
fn unfinished(step: &Step) -> String {
    let held = if step.held_up_by.is_empty() {
        "nothing known held them".to_owned()
    } else {
        step.held_up_by.join("; ")
    };
    format!(
        "the time was over with {} pods gone and {} still there: {held}",
        step.pods_gone, step.pods_left
    )
}

fn warn_of_risks(node: &str, pod: &PodSeen) {
    let Class::Evictable { risks } = &pod.class else { return };
    if !risks.is_empty() {
        let risks: Vec<&str> = risks.iter().map(|risk: &Risk| risk.as_str()).collect();
        tracing::warn!(
            node,
            namespace = pod.namespace,
            pod = pod.name,
            risks = risks.join("; "),
            "Pod is evicted at a loss"
        );
    }
}

fn tell_what_stays(node: &str, pods: &[PodSeen]) {
    let count = |why: Stays| pods.iter().filter(|pod| pod.class == Class::Stays(why)).count();
    tracing::info!(
        node,
        daemon_set = count(Stays::DaemonSet),
        r#static = count(Stays::Static),
        finished = count(Stays::Finished),
        by_wish = count(Stays::ByWish),
        "Pods stay on purpose"
    );
}
