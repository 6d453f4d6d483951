//! Start and end of everything that the benchmark measures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, anyhow};
use rig::service::Service;
use rig::services::{Services, ServicesOptions};
use rig::wait;
use rig::world::{World, WorldOptions};
use tokio::task::JoinSet;

use crate::Args;
use crate::cpu::Sample;
use crate::hosts::Hosts;
use crate::load;
use crate::observer::Observer;

/// How long a host is down when it reboots.
pub(crate) const DOWN: Duration = Duration::from_secs(5);

/// How long a node is watched after its reboot. Shorter than the default, which would hide the delays of Bellwether.
pub(crate) const SOAK: Duration = Duration::from_secs(1);

/// How long a leader that died counts as leading: the default of the scheduler.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(15);

/// The longest wait for a replica to lead: a lease that has to end, and a load on busy cores.
const LEADS_MAX: Duration = Duration::from_secs(90);

/// The longest wait until the leader knows the fleet: all reports, on busy cores.
const KNOWN_MAX: Duration = Duration::from_secs(120);

/// Short against every time that is measured by such looks.
const POLL: Duration = Duration::from_millis(10);

/// Everything that runs.
pub(crate) struct Bench {
    pub(crate) parts: Parts,
    pub(crate) background: Background,
}

/// The parts that are measured.
pub(crate) struct Parts {
    pub(crate) world: World,
    pub(crate) services: Services,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) observer: Observer,
}

/// The stand-in and the watches.
pub(crate) struct Background(JoinSet<Result<()>>);

impl Bench {
    /// Starts everything, with a fleet of which the leader knows every node and report.
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let began = Instant::now();
        let world = World::start(WorldOptions {
            nodes: 0,
            kubelets: false,
            agents_stand_in: true,
            ..WorldOptions::default()
        })
        .await?;
        // Without Leases of kubelets the node controller would call every node silent, and pods there are none.
        world.control_plane.controller_manager.kill9();
        world.control_plane.scheduler.kill9();
        let hosts = Hosts::new(&world, usize::try_from(args.nodes)?, DOWN).await?;
        hosts.register_all().await?;
        progress(began, &format!("{} Node objects are created", hosts.count()));
        if let Some(drains) = args.drains {
            let pods = usize::try_from(args.pods)?;
            load::create(&world.client(), &hosts, pods, drains.into()).await?;
            progress(began, &format!("{pods} pods are created"));
        }

        let services = Services::start(&world, options(args)).await?;
        let mut tasks = JoinSet::new();
        let observer = Observer::start(&world, &mut tasks).await?;
        hosts.report_all().await?;
        let records = hosts.subscribe().await?;
        let hosts = Arc::new(hosts);
        let stand_in = Arc::clone(&hosts);
        tasks.spawn(async move { stand_in.run(records).await });
        let parts = Parts {
            world,
            services,
            hosts,
            observer,
        };
        parts.wait_known().await?;
        progress(began, "the leader knows every node and report");
        Ok(Self {
            parts,
            background: Background(tasks),
        })
    }

    /// Stops everything and removes all files.
    pub(crate) fn finish(self) -> Result<()> {
        drop(self.background);
        self.parts.world.finish()
    }
}

impl Background {
    /// Waits until a task of the background ends, which it does only with an error.
    pub(crate) async fn failed(&mut self) -> Error {
        match self.0.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(panic)) => panic.into(),
            Some(Ok(Ok(()))) | None => anyhow!("a task of the background ended"),
        }
    }
}

impl Parts {
    /// The replica that holds the Lease.
    pub(crate) fn leader(&self) -> Result<&Service> {
        let (_, holder) = self.observer.holder().context("no scheduler holds the Lease")?;
        self.scheduler(|name| name == holder)
    }

    /// The other replica.
    pub(crate) fn standby(&self) -> Result<&Service> {
        let (_, holder) = self.observer.holder().context("no scheduler holds the Lease")?;
        self.scheduler(|name| name != holder)
    }

    fn scheduler(&self, fits: impl Fn(&str) -> bool) -> Result<&Service> {
        let mut schedulers = self.services.schedulers.iter();
        let found = schedulers.find(|service| fits(&service.process.name()));
        found.context("there is no such scheduler")
    }

    /// Waits until the leader knows that all nodes are healthy and need nothing.
    pub(crate) async fn wait_known(&self) -> Result<()> {
        let count = self.hosts.count();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a fleet has far fewer nodes than a float is exact for"
        )]
        wait::until_equal(
            "nodes that the leader knows as idle",
            KNOWN_MAX,
            count as f64,
            async || self.leader()?.metric("bellwether_nodes{state=\"Idle\"}").await,
        )
        .await
    }

    /// One look at the processor time of all processes that belong to the benchmark, itself included.
    pub(crate) fn sample(&self) -> Result<Sample> {
        let control_plane = &self.world.control_plane;
        let servers = [&control_plane.etcd, &control_plane.api_server, &self.world.nats.process];
        let services = self.services.schedulers.iter().chain(&self.services.drainers);
        let processes = servers.into_iter().chain(services.map(|service| &*service.process));
        let mut all: Vec<(String, u32)> = processes.filter_map(|it| Some((it.name(), it.pid()?))).collect();
        all.push(("the benchmark".to_owned(), std::process::id()));
        Sample::take(&all)
    }
}

/// Waits until this replica has made its first decision as the leader; returns the instant at which its metrics show
/// so.
pub(crate) async fn first_decision(scheduler: &Service) -> Result<Instant> {
    let decided = async {
        loop {
            // Its admin server may not listen yet.
            if scheduler
                .metric("bellwether_scheduler_leading")
                .await
                .is_ok_and(|value| value == 1.0)
            {
                return Ok(Instant::now());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    wait::within("a scheduler to decide", LEADS_MAX, decided).await
}

/// Prints one line about the progress, with the seconds since the start.
pub(crate) fn progress(began: Instant, text: &str) {
    println!("{:6.1} s  {text}", began.elapsed().as_secs_f64());
}

fn options(args: &Args) -> ServicesOptions {
    // All others have the defaults of the services, which the rig shortens for tests.
    let options = ServicesOptions {
        schedulers: 2,
        scheduler_nodes: Vec::new(),
        drainers: 1,
        env: [("BELLWETHER_LOG_FORMAT".to_owned(), "json".to_owned())].into(),
    };
    let options = match args.drains {
        None => options.set("BELLWETHER_SLOTS", &args.slots.to_string()),
        Some(drains) => {
            let places = u32::from(drains) + 1;
            options
                .without_drain_checks()
                .set("BELLWETHER_SLOTS", &places.to_string())
                .set("BELLWETHER_DRAINER_CONCURRENCY", &places.to_string())
                .set("BELLWETHER_DRAIN_TIMEOUT", "1h")
        }
    };
    options
        .set("BELLWETHER_SOAK", &format!("{}s", SOAK.as_secs()))
        .set("BELLWETHER_LEASE_DURATION", &format!("{}s", LEASE_DURATION.as_secs()))
}
