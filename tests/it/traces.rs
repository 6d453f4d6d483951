//! One trace tells the whole story of a reboot, across the reboot and across all services. Agents export none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Phase, attribute, setting};
use rig::services::ServicesOptions;
use rig::spans::{self, Span};
use rig::wait;
use rig::workload::Workload;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fleet::{DEADLINE, Fleet};

/// Longer than a service with a collector that never answers takes to end: what it else needs, and three seconds. Shorter
/// than the export of one batch.
const STOPPED: Duration = Duration::from_secs(15);

/// The spans of an attempt that went well, by the services that write them.
pub(crate) const WANTED: [(&str, &str); 12] = [
    ("scheduler", "reboot required"),
    ("scheduler", "waiting"),
    ("scheduler", "reboot node"),
    ("scheduler", "Draining"),
    ("drainer", "drain node"),
    ("scheduler", "Rebooting"),
    ("scheduler", "reboot host"),
    ("scheduler", "host away"),
    ("scheduler", "Verifying"),
    ("scheduler", "Uncordoning"),
    ("drainer", "uncordon node"),
    ("scheduler", "Soaking"),
];

/// The id of the trace of a node's attempt.
pub(crate) async fn trace_of(fleet: &Fleet, node: &str) -> Result<String> {
    let attempt = fleet.attempt(node).await?.context("a record")?;
    Ok(format!("{:032x}", u128::from_be_bytes(attempt.trace.trace_id)))
}

/// To be called once a node's attempt is done: its trace has every span, one root, and no span whose
/// parent is missing, whichever service was killed meanwhile. Returns the spans, and the tree of them.
pub(crate) async fn is_whole(fleet: &Fleet, node: &str) -> Result<(Vec<Span>, String)> {
    is_whole_in(fleet, node, || Ok(fleet.world.traces.spans())).await
}

/// The same, with the spans of another receiver.
pub(crate) async fn is_whole_in(
    fleet: &Fleet,
    node: &str,
    received: impl Fn() -> Result<Vec<Span>>,
) -> Result<(Vec<Span>, String)> {
    let trace = trace_of(fleet, node).await?;
    let (spans, tree) = wait::until("every part to have sent its spans", DEADLINE, async || {
        let spans = spans::trace(received()?, &trace);
        let tree = spans::tree(&spans);
        for (service, name) in WANTED {
            let found = spans.iter().any(|span| span.service == service && span.name == name);
            ensure!(found, "no {service}: {name} in\n{tree}");
        }
        ensure!(!tree.contains("(orphan)"), "a span has no parent:\n{tree}");
        Ok((spans, tree))
    })
    .await?;
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    let root = roots.first().map(|root| root.name.as_str());
    ensure!(
        roots.len() == 1 && root == Some("reboot required"),
        "another root:\n{tree}"
    );
    for name in WANTED
        .iter()
        .filter(|(service, _)| *service == "scheduler")
        .map(|(_, name)| name)
    {
        // A span that was written again is the same span.
        let count = spans.iter().filter(|span| span.name == *name).count();
        ensure!(count == 1, "{count} spans {name}:\n{tree}");
    }
    Ok((spans, tree))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_reaches_from_the_need_to_the_uncordon() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let web = Workload::new("web").replicas(2);
    fleet.world.create(&web.deployment()?).await?;
    fleet.world.wait_ready_pods("web", 2).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let (spans, tree) = is_whole(&fleet, host.name()).await?;
    assert!(spans.iter().any(|span| span.name == "drain wave"), "{tree}");
    let agents: BTreeMap<_, _> = spans
        .iter()
        .filter_map(|span| Some((span.attributes.get(attribute::AGENT)?.as_str(), span.name.as_str())))
        .collect();
    let of_agents = [("rebooter", "reboot host"), ("sentinel", "reboot required")];
    assert_eq!(
        agents,
        of_agents.into(),
        "the scheduler writes the spans of agents:\n{tree}"
    );
    let before = spans
        .iter()
        .find(|span| span.name == "reboot host")
        .context("the reboot")?;
    let after = spans
        .iter()
        .find(|span| span.name == "uncordon node")
        .context("the uncordon")?;
    let away = spans
        .iter()
        .find(|span| span.name == "host away")
        .context("the time without the host")?;
    assert!(
        before.end <= away.start && away.start < away.end && away.end < after.start,
        "the reboot lies between them:\n{tree}"
    );
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_slows_no_reboot_and_no_stop_and_a_wrong_setting_is_named() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let mut silence: JoinSet<()> = JoinSet::new();
    silence.spawn(async move {
        let mut open: JoinSet<()> = JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            open.spawn(async move {
                std::future::pending::<()>().await;
                drop(connection);
            });
        }
    });
    let options = ServicesOptions::default().set(setting::OTLP_ENDPOINT, &endpoint);
    let fleet = Fleet::start(1, options).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    wait::until("the loss of spans to be counted", DEADLINE, async || {
        let lost = leader
            .metric("bellwether_trace_spans_dropped_total{reason=\"Export\"}")
            .await?;
        ensure!(lost > 0.0, "none yet");
        Ok(())
    })
    .await?;
    let log = leader.process.output();
    assert_eq!(log.matches("Traces are lost").count(), 1, "{log}");

    let drainer = fleet.services.drainers.first().context("a drainer")?;
    for service in [leader, drainer] {
        let began = Instant::now();
        service.process.terminate(DEADLINE).await?;
        assert!(
            began.elapsed() < STOPPED,
            "{} took {:?}",
            service.process.name(),
            began.elapsed()
        );
    }
    let headers = fleet.world.place.folder("headers")?.join("headers");
    std::fs::write(&headers, "x-scope: 7\nBearer s3cr3t\n")?;
    for service in [leader, drainer] {
        for (name, value, named) in [
            (setting::OTLP_ENDPOINT, "collector:4317".to_owned(), "--traces-endpoint"),
            (setting::OTLP_PROTOCOL, "http/protobuf".to_owned(), "is not grpc"),
            (
                setting::OTLP_CERTIFICATE,
                "/nowhere/ca.crt".to_owned(),
                "--traces-ca /nowhere/ca.crt: the file is missing",
            ),
            (
                setting::TRACES_HEADERS,
                headers.display().to_string(),
                "--traces-headers: line 2 is no header",
            ),
        ] {
            let process = &service.process;
            process.reconfigure(|program| {
                program.env.insert(setting::OTLP_ENDPOINT.to_owned(), endpoint.clone());
                program.env.insert(name.to_owned(), value);
            });
            process.restart()?;
            service.wait_ready().await?;
            process.terminate(DEADLINE).await?;
            let log = process.output();
            assert!(log.contains(named), "{} with {name}: {log}", process.name());
            assert!(!log.contains("s3cr3t"), "{log}");
            process.reconfigure(|program| {
                program.env.remove(name);
            });
        }
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_began_without_traces_has_none_in_any_service_whatever_the_next_leader_is_set_to() -> Result<()>
{
    let options = ServicesOptions::default()
        .set(setting::TRACES_RATIO, "0")
        .set("OTEL_TRACES_SAMPLER", "always_on");
    let mut fleet = Fleet::start(1, options).await?;
    fleet.world.host(0)?.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    for scheduler in &fleet.services.schedulers {
        scheduler.process.reconfigure(|program| {
            program.env.insert(setting::TRACES_RATIO.to_owned(), "1".to_owned());
        });
        scheduler.process.restart()?;
    }
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let host = fleet.world.host(0)?;
    let attempt = fleet.in_phase(host.name(), Phase::Done).await?;
    assert!(!attempt.trace.sampled, "{}", attempt.trace);
    // In order, each service sends its last spans.
    for service in fleet.services.schedulers.iter().chain(&fleet.services.drainers) {
        service.process.terminate(DEADLINE).await?;
    }
    let trace = attempt.trace.to_string();
    let trace = trace.split('-').nth(1).context("a trace id")?;
    assert_eq!(fleet.world.traces.tree(trace), "");
    fleet.finish()
}
