//! The page about metrics, against what the services publish.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::setting;
use rig::nats_front::Held;
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::wait;
use tokio::sync::watch;

use crate::audit;
use crate::fleet::{DEADLINE, Fleet};

const PAGE: &str = include_str!("../../docs/metrics.md");

/// Metrics without a series before a fault that no story has together with all others.
pub(crate) const OF_FAULTS: [&str; 3] = [
    "bellwether_drainer_budget_blocked_seconds_total",
    "bellwether_not_ready",
    "bellwether_rebooter_refusals_total",
];

/// Labels of the format itself.
const OF_FORMAT: [&str; 1] = ["le"];

/// Labels whose values are words from lists.
const OF_LISTS: [&str; 8] = [
    "answer", "cause", "code", "outcome", "phase", "reason", "state", "verdict",
];

/// Each metric with its labels.
type Metrics = BTreeMap<String, BTreeSet<String>>;

/// The rows of the page's tables below these headings.
fn of_page(headings: &[&str]) -> Metrics {
    let code = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let sections = PAGE.split("\n## ").filter(|section| {
        let heading = section.lines().next().unwrap_or_default();
        headings.contains(&heading)
    });
    let rows = sections.flat_map(|section| section.lines().filter(|line| line.starts_with("| `")));
    let row = |line: &str| {
        let mut cells = line.split('|').skip(1);
        let name = cells.next()?.trim().trim_matches('`').to_owned();
        Some((name, code(cells.next()?)))
    };
    let rows: Vec<_> = rows.filter_map(row).collect();
    let count = rows.len();
    let metrics = Metrics::from_iter(rows);
    assert_eq!(metrics.len(), count, "a metric has two rows");
    metrics
}

/// All metrics of the page.
pub(crate) fn names_of_the_page() -> BTreeSet<String> {
    let headings: Vec<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    of_page(&headings).into_keys().collect()
}

/// The metrics that a service publishes, histograms by their names without a suffix.
async fn published(service: &Service, metrics: &mut Metrics) -> Result<()> {
    let text = service.metrics().await?;
    let histograms: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram"))
        .collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        // What follows "# " is an exemplar.
        let series = line.split(" # ").next().unwrap_or_default();
        let (series, _value) = series.rsplit_once(' ').unwrap_or_default();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let name = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix).filter(|name| histograms.contains(name)))
            .unwrap_or(name);
        // No value of ours has a comma or an equals sign.
        let labels = labels
            .trim_end_matches('}')
            .split(',')
            .filter_map(|label| label.split_once('='));
        let labels: Vec<(&str, &str)> = labels.collect();
        for (label, value) in labels.iter().filter(|(label, _)| OF_LISTS.contains(label)) {
            let word = value.trim_matches('"');
            let is_spelled = word.starts_with(|it: char| it.is_ascii_uppercase()) && !word.contains(['_', '-', ' ']);
            assert!(is_spelled, "{name} has another spelling of {label}: {value}");
        }
        let labels = labels.into_iter().map(|(label, _)| label.to_owned());
        let found = metrics.entry(name.to_owned()).or_default();
        found.extend(labels.filter(|label| !OF_FORMAT.contains(&label.as_str())));
    }
    Ok(())
}

/// Waits until the service publishes this value.
async fn shows(service: &Service, metric: &str, value: f64) -> Result<()> {
    wait::until_equal(metric, DEADLINE, value, async || service.metric(metric).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_shows_while_it_needs_its_reboot_and_its_trace_after_that() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default().set(setting::KURED_METRIC, "true")).await?;
    let [host, other] = [fleet.world.host(0)?, fleet.world.host(1)?];
    let leader = fleet.services.leader(&fleet.world).await?;
    let kured = |node| format!("kured_reboot_required{{node=\"{node}\"}}");
    let older_than = |age| format!("bellwether_needs{{older_than=\"{age}\"}}");
    // A cordon that is not ours keeps the node from its reboot.
    fleet.world.set_cordon(host.name(), true).await?;
    host.upgrade_kernel("6.12.48")?;
    shows(leader, &kured(host.name()), 1.0).await?;
    for (metric, value) in [
        (kured(other.name()), 0.0),
        (older_than("0d"), 1.0),
        (older_than("1d"), 0.0),
    ] {
        shows(leader, &metric, value).await?;
    }
    fleet.world.set_cordon(host.name(), false).await?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    shows(leader, &kured(host.name()), 0.0).await?;
    shows(leader, &older_than("0d"), 0.0).await?;
    shows(leader, "bellwether_exposure_seconds_count", 1.0).await?;
    let attempt = fleet.attempt(host.name()).await?.context("an attempt")?;
    let exemplar = format!("trace_id=\"{:032x}\"", u128::from_be_bytes(attempt.trace.trace_id));
    let metrics = leader.metrics().await?;
    for metric in [
        "bellwether_exposure_seconds_bucket",
        "bellwether_phase_duration_seconds_bucket",
    ] {
        let mut lines = metrics.lines().filter(|line| line.starts_with(metric));
        assert!(
            lines.any(|line| line.contains(&exemplar)),
            "{metric}, {exemplar}: {metrics}"
        );
    }
    fleet.finish()
}

/// Its pending messages cannot show that: it has them all.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_settles_no_event_shows_how_many_it_has_taken() -> Result<()> {
    let (fleet, front) = audit::behind_a_front(1).await?;
    let host = fleet.world.host(0)?;
    let leader = fleet.services.leader(&fleet.world).await?;
    let [taken, pending] =
        ["unacknowledged", "pending"].map(|figure| format!("bellwether_consumer_{figure}{{consumer=\"scheduler\"}}"));
    shows(leader, &taken, 0.0).await?;
    front.hold(|it| it.settles.is_some().then(|| Held::Message(watch::Sender::new(false))));
    host.upgrade_kernel("6.12.48")?;
    wait::until(&taken, DEADLINE, async || {
        let figures = (leader.metric(&taken).await?, leader.metric(&pending).await?);
        ensure!(figures.0 > 0.0, "{figures:?}");
        ensure!(figures.1 == 0.0, "{figures:?}");
        Ok(())
    })
    .await?;
    front.release();
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    // Each comes again after its ack wait.
    shows(leader, &taken, 0.0).await?;
    fleet.finish()
}

fn compare(found: Metrics, page: Metrics) {
    for (name, labels) in &found {
        assert_eq!(
            page.get(name),
            Some(labels),
            "labels of {name}: docs/metrics.md against what is published"
        );
    }
    let missing: Vec<&String> = page
        .keys()
        .filter(|name| !found.contains_key(*name) && !OF_FAULTS.contains(&name.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "on docs/metrics.md, and published by no service: {missing:?}"
    );
}

/// To be called at the end of a story in which every service has done its work, under a policy with a budget and one
/// whose window is shut.
pub(crate) async fn are_those_of_the_page(fleet: &Fleet) -> Result<()> {
    let agents = fleet.services.agents().into_values();
    let agents: Vec<Service> = agents.flat_map(|agents| [agents.sentinel, agents.rebooter]).collect();
    let mut found = Metrics::new();
    for service in fleet
        .services
        .schedulers
        .iter()
        .chain(&fleet.services.drainers)
        .chain(&agents)
    {
        published(service, &mut found).await?;
    }
    let page = of_page(&[
        "Of every service",
        "Of the scheduler",
        "Of scheduler, drainer and notifier",
        "Of scheduler and drainer",
        "Of the drainer",
        "Of drainer and rebooter",
        "Of the sentinel",
        "Of the rebooter",
    ]);
    compare(found, page);
    Ok(())
}

/// To be called at the end of a story in which a gatekeeper has let a client in and refused one.
pub(crate) async fn of_gatekeeper_are_those_of_the_page(gatekeeper: &Service) -> Result<()> {
    of_one(gatekeeper, &["Of every service", "Of the gatekeeper"]).await
}

/// To be called at the end of a story in which targets have taken, delayed and refused messages.
pub(crate) async fn of_notifier_are_those_of_the_page(notifier: &Service) -> Result<()> {
    let headings = [
        "Of every service",
        "Of scheduler, drainer and notifier",
        "Of the notifier",
    ];
    of_one(notifier, &headings).await
}

async fn of_one(service: &Service, headings: &[&str]) -> Result<()> {
    let mut found = Metrics::new();
    published(service, &mut found).await?;
    compare(found, of_page(headings));
    Ok(())
}
