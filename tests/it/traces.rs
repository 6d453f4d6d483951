//! One trace tells the whole story of a reboot, across the reboot and across all services. Agents export none of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::attribute;
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::Workload;

use crate::fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_reaches_from_the_need_to_the_uncordon() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let web = Workload::new("web").replicas(2);
    fleet.world.create(&web.deployment()?).await?;
    fleet.world.wait_ready_pods("web", 2).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let attempt = fleet.attempt(host.name()).await?.context("a record")?;
    let trace = attempt
        .trace
        .to_string()
        .split('-')
        .nth(1)
        .context("a trace id")?
        .to_owned();

    let wanted = [
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
    let traces = &fleet.world.traces;
    wait::until(
        "every part to have sent its spans",
        Duration::from_secs(20),
        async || {
            let spans = traces.trace(&trace);
            for (service, name) in wanted {
                let found = spans.iter().any(|span| span.service == service && span.name == name);
                ensure!(found, "no {service}: {name} in\n{}", traces.tree(&trace));
            }
            Ok(())
        },
    )
    .await?;
    let spans = traces.trace(&trace);
    let roots: Vec<_> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    let tree = traces.tree(&trace);
    assert_eq!(roots.len(), 1, "one root:\n{tree}");
    assert_eq!(
        roots.first().map(|root| root.name.as_str()),
        Some("reboot required"),
        "{tree}"
    );
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
    assert!(!tree.contains("(orphan)"), "every span has its parent:\n{tree}");
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
