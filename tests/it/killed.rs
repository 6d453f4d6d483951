//! The drainer is killed (-9) at sixteen points between the command to drain and the end of the uncordon, and the next
//! one continues: each node is drained, rebooted and uncordoned once, and is as it was found.
//!
//! Fronts before the API server and NATS hold a message, or the answer to it: so each point is reached, and no clock
//! decides. Each point has its own node; three waves of nodes, each with one kill, keep the story short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{BlockerKind, Fact, NodeEvent, NodeName, Phase, subject};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt as _};
use rig::front::{Fault, Front, Observer, Request};
use rig::kubelet::TERMINATION;
use rig::nats_front::{Held, NatsFront, Published};
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::{NAMESPACE, Workload};
use rig::world::{World, WorldOptions};
use serde_json::Value;
use tokio::sync::watch;

use crate::fleet::{DEADLINE, Fleet};

/// Where a drainer dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The command has come; the read of its record is on the way.
    RecordRead,
    /// The node was read; its cordon is on the way.
    CordonSent,
    /// The node is cordoned, and the drainer does not know.
    CordonStored,
    /// The event `cordoned` is stored, and the drainer does not know.
    CordonedStored,
    /// The first eviction is on the way.
    EvictionSent,
    /// The pod was evicted, and the drainer does not know.
    EvictionDone,
    /// The eviction was answered, and the pod takes its time to end.
    PodTerminating,
    /// A disruption budget lets no pod go.
    BudgetBlocks,
    /// All pods are gone and the time to settle is over; the last list is on the way.
    LastList,
    /// The last list showed no pod; the last look at the node is on the way.
    LastLook,
    /// The drain is proved; the event `drained` is on the way.
    DrainedSent,
    /// The event `drained` is stored, and the drainer does not know.
    DrainedStored,
    /// The event `drained` is stored; the reply to the command is on the way.
    DrainedReply,
    /// The node was read; the patch that uncordons it is on the way.
    UncordonSent,
    /// The node is uncordoned, and the drainer does not know.
    UncordonStored,
    /// The event `uncordoned` is stored, and the drainer does not know.
    UncordonedStored,
}

/// The points of each kill.
const WAVES: [&[Point]; 3] = [
    &[
        Point::RecordRead,
        Point::CordonSent,
        Point::CordonStored,
        Point::CordonedStored,
        Point::EvictionSent,
        Point::EvictionDone,
        Point::PodTerminating,
        Point::BudgetBlocks,
        Point::LastList,
        Point::LastLook,
    ],
    &[Point::DrainedSent, Point::DrainedStored, Point::DrainedReply],
    &[Point::UncordonSent, Point::UncordonStored, Point::UncordonedStored],
];

/// Longer than the first wave takes to come to its points on busy cores, and shorter than the grace of a pod.
const TERMINATES_AFTER: &str = "25s";

/// The node of a point.
struct Place {
    point: Point,
    node: NodeName,
    /// The application of its one pod.
    app: String,
    reached: watch::Sender<bool>,
    asked: Mutex<Asked>,
}

/// What the drainer has asked for already.
#[derive(Debug, Default)]
struct Asked {
    eviction: bool,
    last_list: bool,
}

impl Place {
    fn new(point: Point, node: &str) -> Result<Self> {
        Ok(Self {
            point,
            node: node.parse()?,
            app: format!("{point:?}").to_lowercase(),
            reached: watch::Sender::new(false),
            asked: Mutex::default(),
        })
    }

    /// What becomes of a request of the drainer.
    fn of_request(&self, it: &Request) -> Option<Fault> {
        let path = format!("/api/v1/nodes/{}", self.node);
        let annotations = it.body.pointer("/metadata/annotations");
        let mark = annotations.and_then(|annotations| annotations.get(CORDONED_FOR));
        let patches = it.is("PATCH", &path);
        let evicts = it.is_eviction() && it.path.contains(&format!("/pods/{}-", self.app));
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.eviction |= evicts;
        let from_store = it.parameter("resourceVersion").is_none_or(|version| version.is_empty());
        let lists_last = asked.eviction
            && it.is("GET", "/api/v1/pods")
            && !it.is_watch()
            && from_store
            && it.query.contains(self.node.as_str());
        let looks_last = asked.last_list && it.is("GET", &path);
        asked.last_list |= lists_last;
        let silence = |is_it: bool| {
            is_it.then(|| {
                self.reached.send_replace(true);
                Fault::Silence
            })
        };
        let hold_answer = |is_it: bool| is_it.then(|| Fault::HoldAnswer(self.reached.clone()));
        match self.point {
            Point::CordonSent => silence(patches && mark.is_some_and(Value::is_string)),
            Point::CordonStored => hold_answer(patches && mark.is_some_and(Value::is_string)),
            Point::EvictionSent => silence(evicts),
            Point::EvictionDone => hold_answer(evicts),
            Point::LastList => silence(lists_last),
            Point::LastLook => silence(looks_last),
            Point::UncordonSent => silence(patches && mark.is_some_and(Value::is_null)),
            Point::UncordonStored => hold_answer(patches && mark.is_some_and(Value::is_null)),
            Point::RecordRead
            | Point::CordonedStored
            | Point::PodTerminating
            | Point::BudgetBlocks
            | Point::DrainedSent
            | Point::DrainedStored
            | Point::DrainedReply
            | Point::UncordonedStored => None,
        }
    }

    /// What becomes of a message of the drainer.
    fn of_message(&self, it: &Published) -> Option<Held> {
        let token = self.node.token();
        let reads = format!("$JS.API.STREAM.MSG.GET.{}", ATTEMPTS_STREAM.name);
        let is_event = |kind: &str| subject::events_of(&token).replace('*', kind) == it.subject;
        let message = |is_it: bool| is_it.then(|| Held::Message(self.reached.clone()));
        let answer = |is_it: bool| is_it.then(|| Held::Answer(self.reached.clone()));
        match self.point {
            Point::RecordRead => message(it.subject == reads && it.text.contains(&subject::attempt_record(&token))),
            Point::CordonedStored => answer(is_event("cordoned")),
            Point::DrainedSent => message(is_event("drained")),
            Point::DrainedStored => answer(is_event("drained")),
            Point::DrainedReply => {
                let settles = it.settles.as_deref() == Some(&subject::drain_command(&token));
                message(settles && it.text.starts_with("+ACK"))
            }
            Point::UncordonedStored => answer(is_event("uncordoned")),
            Point::CordonSent
            | Point::CordonStored
            | Point::EvictionSent
            | Point::EvictionDone
            | Point::PodTerminating
            | Point::BudgetBlocks
            | Point::LastList
            | Point::LastLook
            | Point::UncordonSent
            | Point::UncordonStored => None,
        }
    }

    /// Creates its pod, and its budget.
    async fn furnish(&self, world: &World) -> Result<()> {
        let mut workload = Workload::new(&self.app).on_node(self.node.as_str());
        if self.point == Point::PodTerminating {
            workload = workload.annotate(TERMINATION, TERMINATES_AFTER);
        }
        if self.point == Point::BudgetBlocks {
            world.create(&workload.min_available(1)?).await?;
        }
        world.create(&workload.deployment()?).await.map(drop)
    }
}

/// The answers to the drainer's evictions, by their paths.
#[derive(Default)]
struct Evictions(Mutex<Vec<(String, Option<u16>)>>);

impl Evictions {
    fn is_answered(&self, app: &str, code: u16) -> bool {
        let pods = format!("/pods/{app}-");
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .any(|(path, found)| path.contains(&pods) && *found == Some(code))
    }
}

impl Observer for Evictions {
    fn arrives(&self) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    fn begins(&self, request: Request) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let path = if request.is_eviction() {
            request.path
        } else {
            String::new()
        };
        all.push((path, None));
        all.len() - 1
    }

    fn answered(&self, number: usize, code: u16) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = all.get_mut(number) {
            *answer = Some(code);
        }
    }

    fn closed(&self, _number: usize) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_that_is_killed_at_any_point_leaves_nothing_undone_and_nothing_done_twice() -> Result<()> {
    let nodes = WAVES.iter().map(|wave| wave.len()).sum();
    let options = WorldOptions {
        nodes,
        ..WorldOptions::default()
    };
    let world = Box::pin(World::start(options)).await?;
    let mut hosts = world.hosts().into_iter();
    let mut waves = Vec::new();
    for wave in WAVES {
        let places = wave.iter().zip(hosts.by_ref());
        let places = places.map(|(point, host)| Ok(Arc::new(Place::new(*point, host.name())?)));
        waves.push(places.collect::<Result<Vec<_>>>()?);
    }
    for place in waves.iter().flatten() {
        place.furnish(&world).await?;
    }
    for place in waves.iter().flatten() {
        world.wait_ready_pods(&place.app, 1).await?;
    }
    let found = states(&world).await?;
    let options = ServicesOptions::default()
        .without_drain_checks()
        .set("BELLWETHER_SLOTS", &nodes.to_string())
        .set("BELLWETHER_DRAIN_TIMEOUT", "120s")
        // A command comes again 15 s after its drainer died.
        .set("BELLWETHER_UNCORDON_TIMEOUT", "60s");
    let mut fleet = Fleet::start_in(world, options).await?;
    let evictions = Arc::new(Evictions::default());
    let access = fleet.world.control_plane.access();
    let front = Front::start(access.port(), access.certificate(), Arc::<Evictions>::clone(&evictions))?;
    let nats = NatsFront::start(&fleet.world.nats)?;
    let drainer = fleet.services.drainers.first().context("no drainer")?.clone();
    fleet
        .services
        .reroute_to(&fleet.world, &drainer, front.port(), nats.port())
        .await?;

    for places in &waves {
        let (of_requests, of_messages) = (places.clone(), places.clone());
        let injection = front.inject(move |it| of_requests.iter().find_map(|place| place.of_request(it)));
        nats.hold(move |it| of_messages.iter().find_map(|place| place.of_message(it)));
        for place in places {
            fleet
                .world
                .machines
                .named(place.node.as_str())?
                .upgrade_kernel("6.12.48")?;
        }
        for place in places {
            reached(&mut fleet, &evictions, place).await?;
        }
        drainer.process.kill9();
        drop(injection);
        nats.release();
        drainer.process.restart()?;
        if places.iter().any(|place| place.point == Point::BudgetBlocks) {
            let app = format!("{:?}", Point::BudgetBlocks).to_lowercase();
            ensure!(!evictions.is_answered(&app, 201), "the budget was broken");
            let pods = fleet.world.pods(&app).await?;
            ensure!(
                pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_none()),
                "the budget was broken"
            );
            let budgets: Api<PodDisruptionBudget> = Api::namespaced(fleet.world.client(), NAMESPACE);
            budgets.delete(&app, &DeleteParams::default()).await?;
        }
    }

    fleet.rebooted_once(&fleet.world.hosts()).await?;
    for host in fleet.world.hosts() {
        let orders = host.reboot_orders();
        ensure!(orders == 1, "{} was ordered to reboot {orders} times", host.name());
    }
    wait::until_equal("the nodes as they were found", DEADLINE, found, async || {
        states(&fleet.world).await
    })
    .await?;
    let places: Vec<_> = waves.into_iter().flatten().collect();
    evicted_once_in_its_attempt(&fleet, &places).await?;
    fleet.all_rolled(nodes).await
}

/// Waits until the drainer is at this point.
async fn reached(fleet: &mut Fleet, evictions: &Evictions, place: &Place) -> Result<()> {
    let awaited = format!("the point {:?} of {}", place.point, place.node);
    if place.point == Point::PodTerminating {
        return wait::until(&awaited, DEADLINE, async || {
            ensure!(evictions.is_answered(&place.app, 201), "no eviction was answered");
            Ok(())
        })
        .await;
    }
    if place.point == Point::BudgetBlocks {
        let is_blocked = |event: &NodeEvent| {
            let Fact::DrainProgressed(progress) = &event.fact else {
                return false;
            };
            let mut blockers = progress.blockers.iter();
            event.node == place.node && blockers.any(|blocker| blocker.kind == BlockerKind::Budget)
        };
        return fleet.event(&awaited, is_blocked).await.map(drop);
    }
    wait::within(&awaited, DEADLINE, async {
        let mut reached = place.reached.subscribe();
        reached.wait_for(|reached| *reached).await?;
        Ok(())
    })
    .await
}

/// What an attempt may change of a node.
type State = (
    BTreeMap<String, String>,
    BTreeMap<String, String>,
    Vec<Taint>,
    Option<bool>,
);

async fn states(world: &World) -> Result<BTreeMap<String, State>> {
    let nodes: Api<Node> = Api::all(world.client());
    let mut states = BTreeMap::new();
    for node in nodes.list(&Default::default()).await? {
        let spec = node.spec.clone().unwrap_or_default();
        let (labels, annotations) = (node.labels().clone(), node.annotations().clone());
        let taints = spec.taints.unwrap_or_default();
        states.insert(node.name_any(), (labels, annotations, taints, spec.unschedulable));
    }
    Ok(states)
}

/// By the API server's audit log: the drainer had one eviction of each node, and while its attempt drained.
async fn evicted_once_in_its_attempt(fleet: &Fleet, places: &[Arc<Place>]) -> Result<()> {
    let log = std::fs::read_to_string(fleet.world.control_plane.audit_log())?;
    let mut evicted: Vec<(String, Timestamp)> = Vec::new();
    for line in log.lines() {
        let entry: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let is_done = entry.pointer("/responseStatus/code").and_then(Value::as_u64) == Some(201);
        if text("/objectRef/subresource") == "eviction" && is_done {
            evicted.push((
                text("/objectRef/name").to_owned(),
                text("/requestReceivedTimestamp").parse()?,
            ));
        }
    }
    let pods: BTreeSet<&String> = evicted.iter().map(|(pod, _)| pod).collect();
    ensure!(pods.len() == evicted.len(), "a pod was evicted twice: {evicted:?}");
    for place in places {
        let of = |pod: &str| pod.starts_with(&format!("{}-", place.app));
        let times: Vec<Timestamp> = evicted.iter().filter(|(pod, _)| of(pod)).map(|(_, at)| *at).collect();
        ensure!(times.len() == 1, "{:?}: {} evictions", place.point, times.len());
        let attempt = fleet.attempt(place.node.as_str()).await?.context("no attempt")?;
        let entered = |phase: Phase| {
            attempt
                .history
                .iter()
                .find(|entered| entered.phase == phase)
                .map(|it| it.at)
        };
        let (from, to) = (entered(Phase::Draining), entered(Phase::Rebooting));
        ensure!(
            times
                .iter()
                .all(|at| from.is_some_and(|from| from <= *at) && to.is_some_and(|to| *at <= to)),
            "{:?}: {times:?} is not between {from:?} and {to:?}",
            place.point
        );
    }
    Ok(())
}
