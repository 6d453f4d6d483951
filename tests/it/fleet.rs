//! The common ground of the stories: a world with Bellwether in it, and the looks of an operator at it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::subject::Topic;
use bellwether_proto::{Attempt, Fact, Message as _, NodeEvent, NodeName, Phase, decode, subject};
use futures_util::StreamExt as _;
use rig::host::Host;
use rig::record::{NodeRecorder, node_state};
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::world::{World, WorldOptions};

/// Longer than any story on busy cores; a story that ends well never waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// A world, Bellwether, and a record of the API's answers from the start.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) services: Services,
    pub(crate) nodes: NodeRecorder,
    events: async_nats::Subscriber,
}

impl Fleet {
    pub(crate) async fn start(nodes: usize, services: ServicesOptions) -> Result<Self> {
        let options = WorldOptions {
            nodes,
            ..WorldOptions::default()
        };
        // Boxed: the largest part of each story's future.
        let world = Box::pin(World::start(options)).await?;
        Self::start_in(world, services).await
    }

    pub(crate) async fn start_in(world: World, services: ServicesOptions) -> Result<Self> {
        let nodes = NodeRecorder::start(world.client()).await?;
        let events = world.nats.client().await?.subscribe(subject::ALL_EVENTS).await?;
        let services = Services::start(&world, services).await?;
        Ok(Self {
            world,
            services,
            nodes,
            events,
        })
    }

    /// A package update on every host.
    pub(crate) fn upgrade_all(&self) -> Result<()> {
        self.world
            .hosts()
            .iter()
            .try_for_each(|host| host.upgrade_kernel("6.12.48"))
    }

    /// A package update on every host, while the leader starts no attempt until it knows all of them: which node goes first
    /// is the scheduler's decision alone then.
    pub(crate) async fn upgrade_all_at_once(&self) -> Result<()> {
        self.services.leader(&self.world).await?;
        self.services.ctl_ok(&["pause", "--reason", "collecting"]).await?;
        self.upgrade_all()?;
        let nodes = self.world.hosts().len();
        wait::until("all nodes to wait", DEADLINE, async || {
            let status = self.services.ctl_ok(&["status"]).await?;
            ensure!(status.matches("Waiting").count() == nodes, "{status}");
            Ok(())
        })
        .await?;
        self.services.ctl_ok(&["resume"]).await?;
        Ok(())
    }

    /// The next event of a node that fits.
    pub(crate) async fn event(&mut self, awaited: &str, fits: impl Fn(&NodeEvent) -> bool) -> Result<NodeEvent> {
        let events = &mut self.events;
        wait::within(awaited, DEADLINE, async {
            loop {
                let message = events.next().await.context("the subscription ended")?;
                if !matches!(Topic::parse(&message.subject), Some(Topic::Event(..))) {
                    continue;
                }
                let headers = message.headers.unwrap_or_default();
                let event: NodeEvent = decode(|name| headers.get(name).map(|it| it.as_str()), &message.payload)?;
                let own = subject::event(&event.node.token(), &event.fact);
                ensure!(*message.subject == *own, "{} carries {event:?}", message.subject);
                if fits(&event) {
                    return Ok(event);
                }
            }
        })
        .await
    }

    /// The next node that enters this phase.
    pub(crate) async fn entering(&mut self, phase: Phase) -> Result<NodeName> {
        let entered = |event: &NodeEvent| matches!(event.fact, Fact::PhaseChanged { to, .. } if to == phase);
        let event = self.event(&format!("a node to be {}", phase.as_str()), entered).await?;
        Ok(event.node)
    }

    /// Kills the scheduler that leads, once a node enters this phase; returns when the other one leads, with the dead one started
    /// again.
    pub(crate) async fn kill_leader_entering(&mut self, phase: Phase) -> Result<()> {
        self.entering(phase).await?;
        let killed = self.services.leader(&self.world).await?.clone();
        killed.process.kill9();
        let next = self.services.leader(&self.world).await?;
        ensure!(next.process.name() != killed.process.name(), "the dead one leads");
        killed.process.restart()
    }

    /// The stored record of a node's attempt.
    pub(crate) async fn attempt(&self, node: &str) -> Result<Option<Attempt>> {
        let node: NodeName = node.parse()?;
        let jetstream = async_nats::jetstream::new(self.world.nats.client().await?);
        let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
        let subject = subject::attempt_record(&node.token());
        match stream.direct_get_last_for_subject(subject).await {
            Ok(stored) if stored.payload.is_empty() => Ok(None),
            Ok(stored) => {
                let attempt = decode(|name| stored.headers.get(name).map(|it| it.as_str()), &stored.payload);
                Ok(Some(attempt.with_context(|| Attempt::TYPE)?))
            }
            Err(_) => Ok(None),
        }
    }

    /// Waits until a node's attempt is in this phase.
    pub(crate) async fn in_phase(&self, node: &str, phase: Phase) -> Result<Attempt> {
        let awaited = format!("{node} to be {}", phase.as_str());
        wait::until(&awaited, DEADLINE, async || {
            let attempt = self.attempt(node).await?.context("it has no attempt")?;
            let found = (attempt.phase, attempt.ending.clone());
            ensure!(found.0 == phase, "it is {found:?}");
            Ok(attempt)
        })
        .await
    }

    /// Waits for the end of a drain, and returns the message about it.
    pub(crate) async fn drained(&mut self) -> Result<String> {
        let is_drained = |event: &NodeEvent| matches!(event.fact, Fact::Drained { .. });
        let event = self.event("the end of the drain", is_drained).await?;
        let Fact::Drained { message, .. } = event.fact else {
            bail!("another event: {event:?}")
        };
        Ok(message)
    }

    /// Waits until `explain` shows all of these words for a node.
    pub(crate) async fn explained(&self, node: &str, words: &[&str]) -> Result<()> {
        wait::until(&format!("{node} to be explained by {words:?}"), DEADLINE, async || {
            let answer = self.services.ctl_ok(&["explain", node]).await?;
            ensure!(words.iter().all(|word| answer.contains(word)), "{answer}");
            Ok(())
        })
        .await
    }

    /// Waits until these hosts have rebooted once each and their nodes are back in service.
    pub(crate) async fn rebooted_once(&self, hosts: &[std::sync::Arc<Host>]) -> Result<()> {
        wait::until("every node to be rebooted once and back", DEADLINE, async || {
            for host in hosts {
                let name = host.name();
                ensure!(host.reboots() == 1, "{name} has rebooted {} times", host.reboots());
                let state = node_state(&self.world.node(name).await?);
                ensure!(!state.is_disrupted(), "{name} is {state:?}");
                let attempt = self.attempt(name).await?.context("no attempt")?;
                ensure!(attempt.phase == Phase::Done, "{name} is {}", attempt.phase.as_str());
            }
            Ok(())
        })
        .await
    }

    /// Waits for the end of the story and looks back on it: every host rebooted exactly once and
    /// was cordoned exactly once, never more than so many at a time, no node is left cordoned.
    pub(crate) async fn all_rolled(self, budget: usize) -> Result<()> {
        self.rebooted_once(&self.world.hosts()).await?;
        let most = self.nodes.most_disrupted();
        ensure!(
            most.len() <= budget,
            "Budget: {most:?} were disrupted at once: {:?}",
            self.nodes.changes()
        );
        for host in self.world.hosts() {
            ensure!(
                host.reboots() == 1,
                "Once: {} rebooted {} times",
                host.name(),
                host.reboots()
            );
            ensure!(
                self.nodes.cordons(host.name()) == 1,
                "{} was cordoned again",
                host.name()
            );
        }
        self.finish()
    }

    pub(crate) fn finish(self) -> Result<()> {
        drop(self.services);
        self.world.finish()
    }
}
