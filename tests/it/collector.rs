//! Traces in a real OpenTelemetry Collector, over TLS: whole, also when scheduler, drainer and collector are killed in between.
//! While the collector is away for longer than spans wait, their loss is counted, and the next leader writes its own again.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Phase, attribute, setting, span, span_event};
use rig::collector::Collector;
use rig::kubelet::TERMINATION;
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::spans::{self, Span, SpanLink};
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};
use crate::traces::{self, is_whole_in};

/// What the page states of every span's resource.
const OF_RESOURCE: [&str; 4] = [
    "service.instance.id",
    "service.name",
    "service.namespace",
    "service.version",
];

/// Two nodes with a workload that takes a moment to go, and a collector for all services.
async fn start() -> Result<(Fleet, Collector)> {
    let options = WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    };
    let world = Box::pin(World::start(options)).await?;
    let slow = Workload::new("slow").replicas(4).annotate(TERMINATION, "3s");
    world.create(&slow.deployment()?).await?;
    world.wait_ready_pods("slow", 4).await?;
    let collector = Collector::start(&world.place).await?;
    let authority = collector.authority().display().to_string();
    let options = ServicesOptions::default()
        .set(setting::OTLP_ENDPOINT, &collector.url())
        .set(setting::OTLP_CERTIFICATE, &authority);
    Ok((Fleet::start_in(world, options).await?, collector))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_has_one_trace_whose_gap_stands_between_the_last_sign_of_the_old_boot_and_the_first_of_the_new()
-> Result<()> {
    let (fleet, collector) = start().await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    let (spans, tree) = is_whole_in(&fleet, host.name(), || collector.spans()).await?;
    for (id, copies) in copies(&collector, &spans)? {
        ensure!(copies.len() == 1, "{} of {id}:\n{tree}", copies.len());
    }
    for span in &spans {
        let resource: Vec<&str> = span.resource.keys().map(String::as_str).collect();
        let of_page = |name: &&str| OF_RESOURCE.contains(name);
        ensure!(resource.iter().filter(|name| of_page(name)).count() == 4, "{span:?}");
        ensure!(
            span.resource.get("service.namespace").map(String::as_str) == Some("bellwether"),
            "{span:?}"
        );
        ensure!(span.start <= span.end, "{span:?}");
    }
    let (away, attempt) = (named(&spans, span::HOST_AWAY)?, named(&spans, span::REBOOT_NODE)?);
    let beside = || {
        spans
            .iter()
            .filter(|span| span.parent == attempt.id && span.id != away.id)
    };
    let before = beside()
        .filter(|span| span.end <= away.start)
        .max_by_key(|span| span.end);
    let after = beside()
        .filter(|span| span.start >= away.end)
        .min_by_key(|span| span.start);
    let (before, after) = (before.context("nothing before")?, after.context("nothing after")?);
    assert_eq!(
        (before.name.as_str(), before.end),
        (span::REBOOT_HOST, away.start),
        "{tree}"
    );
    assert_eq!((after.name.as_str(), after.start), ("Verifying", away.end), "{tree}");
    // By the host's own account, in whole seconds, the new boot began in the gap.
    let stat = std::fs::read_to_string(host.root().join("proc/stat"))?;
    let booted: u64 = stat.trim().trim_start_matches("btime ").parse()?;
    assert!(
        (away.start / SECOND..=away.end / SECOND).contains(&booted),
        "{booted}: {away:?}"
    );
    fleet.finish()
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn no_span_is_missing_when_scheduler_drainer_and_collector_are_killed_in_between_and_a_loss_is_counted()
-> Result<()> {
    let (mut fleet, collector) = start().await?;
    let (first, second) = (fleet.world.host(0)?, fleet.world.host(1)?);
    first.upgrade_kernel("6.12.48")?;
    fleet.kill_leader_entering(Phase::Draining).await?;
    let drainer = fleet.services.drainers.first().context("a drainer")?.clone();
    wait::until("the drain to be under way", DEADLINE, async || {
        let drains = drainer.metric("bellwether_drainer_drains_under_way").await?;
        ensure!(drains > 0.0, "none");
        Ok(())
    })
    .await?;
    drainer.process.kill9();
    drainer.process.restart()?;
    // Away while the spans of the drain are sent.
    fleet.entering(Phase::Rebooting).await?;
    collector.process.kill9();
    fleet.entering(Phase::Verifying).await?;
    collector.restart().await?;
    fleet.kill_leader_entering(Phase::Uncordoning).await?;
    fleet.rebooted_once(std::slice::from_ref(&first)).await?;
    let (spans, tree) = is_whole_in(&fleet, first.name(), || collector.spans()).await?;
    for (id, copies) in copies(&collector, &spans)? {
        let parts = |span: &Span| (span.name.clone(), span.parent.clone(), span.start, span.end);
        let differs = copies.iter().any(|copy| Some(parts(copy)) != copies.first().map(parts));
        ensure!(!differs, "{id} is not the same span each time: {copies:?}\n{tree}");
    }
    for service in fleet.services.schedulers.iter().chain([&drainer]) {
        assert_eq!(lost(service).await?, 0.0, "{}", service.process.name());
    }

    // Away for longer than spans wait.
    collector.process.kill9();
    fleet.services.ctl_ok(&["pause", "--reason", "release night"]).await?;
    second.upgrade_kernel("6.12.48")?;
    fleet.explained(second.name(), &["release night"]).await?;
    fleet.services.ctl_ok(&["resume"]).await?;
    fleet.rebooted_once(std::slice::from_ref(&second)).await?;
    let leader = fleet.services.leader(&fleet.world).await?.clone();
    wait::until("the loss of spans to be counted", DEADLINE, async || {
        for service in [&leader, &drainer] {
            ensure!(lost(service).await? > 0.0, "{} counts none", service.process.name());
        }
        Ok(())
    })
    .await?;
    collector.restart().await?;
    leader.process.kill9();
    let trace = traces::trace_of(&fleet, second.name()).await?;
    let again = wait::until("the next leader's spans", DEADLINE, async || {
        let spans = spans::trace(collector.spans()?, &trace);
        let tree = spans::tree(&spans);
        for (service, name) in traces::WANTED {
            let is_there = spans.iter().any(|span| span.name == name);
            ensure!(service != "scheduler" || is_there, "no {name}:\n{tree}");
        }
        ensure!(!tree.contains("(orphan)"), "a span has no parent:\n{tree}");
        // A drainer knows nothing of the drains of others: what it could not send is lost, and no more than it has counted.
        let of_drainer = spans.iter().filter(|span| span.service == "drainer").count();
        let (lost, wanted) = (
            lost(&drainer).await?,
            [span::DRAIN_NODE, span::DRAIN_WAVE, span::UNCORDON_NODE],
        );
        let missing = wanted
            .iter()
            .filter(|name| spans.iter().all(|span| span.name != **name))
            .count();
        ensure!(
            missing as f64 <= lost,
            "{missing} are missing and {lost} counted, {of_drainer} there:\n{tree}"
        );
        Ok(spans)
    })
    .await?;
    the_wait_has_its_gate(&again)?;
    leads_to_the_attempt_before(&again, &spans)?;
    fleet.finish()
}

fn named<'a>(spans: &'a [Span], name: &str) -> Result<&'a Span> {
    let span = spans.iter().find(|span| span.name == name);
    span.with_context(|| format!("no {name}"))
}

/// The pause is two events of the wait, within it.
fn the_wait_has_its_gate(spans: &[Span]) -> Result<()> {
    let waiting = named(spans, span::WAITING)?;
    let of_pause = waiting.events.iter().filter(|event| {
        let code = event.attributes.get(attribute::GATE_CODE);
        code.is_some_and(|code| code == "Paused")
    });
    let of_pause: Vec<_> = of_pause.collect();
    let [shut, open] = of_pause.as_slice() else {
        anyhow::bail!("{waiting:?}");
    };
    assert_eq!(
        [&*shut.name, &*open.name],
        [span_event::GATE_SHUT, span_event::GATE_OPEN]
    );
    let message = shut.attributes.get(attribute::GATE_MESSAGE).context("no message")?;
    assert!(message.contains("release night"), "{message}");
    assert!(
        waiting.start <= shut.at && shut.at < open.at && open.at <= waiting.end,
        "{waiting:?}"
    );
    Ok(())
}

/// The attempt of these spans links to that of the others, which links to none.
fn leads_to_the_attempt_before(spans: &[Span], before: &[Span]) -> Result<()> {
    let (attempt, before) = (named(spans, span::REBOOT_NODE)?, named(before, span::REBOOT_NODE)?);
    let link = SpanLink {
        trace: before.trace.clone(),
        span: before.id.clone(),
    };
    assert_eq!((&attempt.links, &before.links), (&vec![link], &vec![]));
    Ok(())
}

/// How many spans of the service were lost, by its metrics.
async fn lost(service: &Service) -> Result<f64> {
    service.sum("bellwether_trace_spans_dropped_total", "reason=").await
}

/// What the collector has received of each of these spans.
fn copies(collector: &Collector, spans: &[Span]) -> Result<BTreeMap<String, Vec<Span>>> {
    let mut copies: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for span in collector.spans()? {
        if spans.iter().any(|known| known.trace == span.trace) {
            copies.entry(span.id.clone()).or_default().push(span);
        }
    }
    Ok(copies)
}
