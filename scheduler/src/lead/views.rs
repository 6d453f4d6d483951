//! What the leader observes: nodes, DaemonSets, policies and reports. The watches outlive the core, so a leader that loads its
//! records again lists nothing again: the next core is given what the last one was given.

use anyhow::{Context as _, ensure};
use bellwether_chassis::{Record, Watched};
use bellwether_proto::stream::HOSTS_STREAM;
use bellwether_proto::subject;
use bellwether_scheduler_core::Input;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use jiff::Timestamp;

use crate::bus::wire::{self, HostRecord};
use crate::cluster::watch::{ClusterWatch, WatchEvent};
use crate::lead::{Leader, LeaderContext};

/// How many facts are taken before the next decision: a new list of a large fleet costs one decision,
/// not thousands, and a flood of reports cannot keep requests waiting for ever.
const FACTS_PER_DECISION: usize = 10_000;

/// All watches, and what they have shown.
pub(super) struct Views {
    /// While one of its watches fails, nothing is decided.
    pub(super) cluster: ClusterWatch,
    hosts: BoxStream<'static, anyhow::Result<Watched>>,
    /// When the bucket of the reports was created.
    hosts_created: Timestamp,
    /// Sequence of the newest report that the core has.
    hosts_sequence: u64,
    /// Sequence of the newest report that was stored at the last look.
    hosts_stored: u64,
    /// All reports that were stored before the watch began have been taken.
    all_reports: bool,
    /// What the core before was given.
    observed: Vec<Input>,
    /// A watch failed, or may have missed changes: only new watches show all.
    broken: bool,
}

/// What a watch shows.
pub(super) enum Fact {
    Cluster(WatchEvent),
    Report(Option<anyhow::Result<Watched>>),
}

impl Views {
    /// Begins to watch. Nothing is known yet.
    pub(super) async fn watch(context: &LeaderContext) -> anyhow::Result<Self> {
        // First the bucket, then its watch: one that is created again in between is noticed.
        let bucket = context.bus.state(HOSTS_STREAM.name).await?;
        let hosts = context.bus.watch(HOSTS_STREAM.name, subject::all_host_records());
        Ok(Self {
            cluster: ClusterWatch::new(&context.client, context.agents_namespace.clone()),
            hosts: hosts.await.context("watch the reports")?,
            hosts_created: bucket.created,
            hosts_sequence: 0,
            hosts_stored: 0,
            all_reports: false,
            observed: Vec::new(),
            broken: false,
        })
    }

    /// The watches with what the core was given, for the next core. None: a watch may have missed changes.
    pub(super) fn kept(self, observed: impl Iterator<Item = Input>) -> Option<Self> {
        if self.broken || self.cluster.failure().is_some() || !self.is_complete() {
            return None;
        }
        let observed = observed.collect();
        Some(Self { observed, ..self })
    }

    /// What the core before was given.
    pub(super) fn take_observed(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.observed)
    }

    /// The watches may have missed changes.
    pub(super) fn have_missed_changes(&mut self) {
        self.broken = true;
    }

    fn is_complete(&self) -> bool {
        self.cluster.is_complete() && self.all_reports
    }

    /// The next fact. Dropping this future loses none.
    pub(super) async fn next(&mut self) -> Fact {
        tokio::select! {
            event = self.cluster.next() => Fact::Cluster(event),
            watched = self.hosts.next() => Fact::Report(watched),
        }
    }
}

impl Leader<'_> {
    /// Gives the core every node, rival and report before its first decision.
    pub(super) async fn observe_all(&mut self) -> anyhow::Result<()> {
        while !self.views.is_complete() {
            let fact = self.views.next().await;
            self.take(fact)?;
        }
        Ok(())
    }

    /// Gives a fact to the core, with the facts that wait already, so that one decision covers them all.
    pub(super) fn take_with_waiting(&mut self, fact: Fact) -> anyhow::Result<()> {
        self.take(fact)?;
        for _ in 0..FACTS_PER_DECISION {
            match self.views.next().now_or_never() {
                Some(fact) => self.take(fact)?,
                None => break,
            }
        }
        Ok(())
    }

    fn take(&mut self, fact: Fact) -> anyhow::Result<()> {
        match fact {
            Fact::Cluster(event) => {
                let inputs = self.views.cluster.apply(event);
                self.feed(inputs);
                Ok(())
            }
            Fact::Report(watched) => {
                let taken = self.take_report(watched);
                if taken.is_err() {
                    self.views.have_missed_changes();
                }
                taken
            }
        }
    }

    /// Gives a report to the core.
    fn take_report(&mut self, watched: Option<anyhow::Result<Watched>>) -> anyhow::Result<()> {
        let watched = watched.context("the watch of the reports ended")?;
        let record = match watched.context("watch the reports")? {
            Watched::CaughtUp => {
                self.views.all_reports = true;
                return Ok(());
            }
            Watched::Record(record) => record,
        };
        self.views.hosts_sequence = self.views.hosts_sequence.max(record.sequence);
        if record.deleted {
            return Ok(());
        }
        let report = wire::host_record(&record);
        if report.as_ref().is_ok_and(HostRecord::has_unknown_code) {
            self.context.metrics.unknown_problem_code();
        }
        match report {
            Ok(HostRecord::Sentinel(report)) => self.feed([Input::Sentinel(report)]),
            Ok(HostRecord::Rebooter(report)) => self.feed([Input::Rebooter(report)]),
            Err(rejection) => self.reject(&record, &rejection),
        }
        Ok(())
    }

    pub(super) fn reject(&self, record: &Record, rejection: &wire::Rejection) {
        self.context.metrics.rejected();
        let error = bellwether_chassis::chain(rejection);
        tracing::warn!(
            subject = record.subject,
            sequence = record.sequence,
            error,
            "Message rejected"
        );
    }

    /// Makes sure that the watch of the reports is not silent: the bucket is the one that is watched, and what was
    /// stored at the last look has arrived by now.
    pub(super) async fn check_reports(&mut self) -> anyhow::Result<()> {
        let bus = &self.context.bus;
        let bucket = bus.state(HOSTS_STREAM.name).await?;
        let views = &mut self.views;
        let same = bucket.created == views.hosts_created;
        let heard = views.hosts_sequence >= views.hosts_stored;
        views.broken |= !(same && heard);
        // The watch of a bucket that was deleted and created again continues at the old sequence.
        ensure!(same, "the bucket of the reports was deleted and created again");
        ensure!(
            heard,
            "reports up to sequence {} are stored, and the watch of the reports gave none since {}",
            views.hosts_stored,
            views.hosts_sequence
        );
        let stored = bus.newest(HOSTS_STREAM.name, subject::all_host_records()).await?;
        views.hosts_stored = stored.unwrap_or_default();
        Ok(())
    }
}
