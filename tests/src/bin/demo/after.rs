//! The results when the fleet has rolled: boots, costs, a trace.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, NodeName, Phase, decode, subject};
use rig::spans::{self, Span};
use rig::wait;
use rig::world::World;

/// The boot and kernel of every host.
pub(crate) fn boots(world: &World) -> BTreeMap<String, (String, String)> {
    let of = |host: std::sync::Arc<rig::host::Host>| (host.name().to_owned(), (host.boot_id(), host.kernel()));
    world.hosts().into_iter().map(of).collect()
}

/// Shows the boots and kernels of before and of now.
pub(crate) fn show_boots(world: &World, before: &BTreeMap<String, (String, String)>) -> Result<()> {
    println!("{:<10} {:<22} BOOT ID (first digits)", "NODE", "KERNEL");
    for (name, (boot, kernel)) in boots(world) {
        let (old_boot, old_kernel) = before.get(&name).context("hosts do not come and go here")?;
        let short = |id: &str| id.chars().take(8).collect::<String>();
        println!(
            "{name:<10} {:<22} {} -> {}",
            format!("{old_kernel} -> {kernel}"),
            short(old_boot),
            short(&boot)
        );
    }
    println!();
    Ok(())
}

/// Shows how long each phase of each reboot took; returns the attempts in the order of their start.
pub(crate) async fn show_costs(world: &World) -> Result<Vec<Attempt>> {
    let jetstream = async_nats::jetstream::new(world.nats.client().await?);
    let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
    let mut attempts: Vec<Attempt> = Vec::new();
    for host in world.hosts() {
        let node: NodeName = host.name().parse()?;
        let subject = subject::attempt_record(&node.token());
        let stored = stream.direct_get_last_for_subject(subject).await?;
        attempts.push(decode(
            |name| stored.headers.get(name).map(|it| it.as_str()),
            &stored.payload,
        )?);
    }
    attempts.sort_by_key(Attempt::started_at);
    println!(
        "{:<10} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8}",
        "NODE", "drain", "down", "verify", "uncordon", "soak", "all"
    );
    for attempt in &attempts {
        let column = |phase| took(attempt, phase).map_or_else(|| "-".to_owned(), |time| format!("{time:.2} s"));
        let end = attempt.history.last().context("a phase")?.at;
        println!(
            "{:<10} {:>8} {:>8} {:>8} {:>10} {:>8} {:>8}",
            attempt.node.as_str(),
            column(Phase::Draining),
            column(Phase::Rebooting),
            column(Phase::Verifying),
            column(Phase::Uncordoning),
            column(Phase::Soaking),
            format!("{:.2} s", end.duration_since(attempt.started_at()).as_secs_f64()),
        );
    }
    println!();
    Ok(attempts)
}

/// Seconds from a phase's begin to the next one's.
fn took(attempt: &Attempt, phase: Phase) -> Option<f64> {
    let mut from = attempt.history.iter().skip_while(|entered| entered.phase != phase);
    let (began, ended) = (from.next()?.at, from.next()?.at);
    Some(ended.duration_since(began).as_secs_f64())
}

/// An attempt's trace as a tree, as soon as its own span has been received.
pub(crate) async fn trace(attempt: &Attempt, received: impl Fn() -> Result<Vec<Span>>) -> Result<String> {
    let text = attempt.trace.to_string();
    let id = text.split('-').nth(1).context("a trace id")?.to_owned();
    wait::until("the trace to be complete", Duration::from_secs(15), async || {
        let tree = spans::tree(&spans::trace(received()?, &id));
        ensure!(
            tree.contains("reboot node") && tree.contains("uncordon node"),
            "it is\n{tree}"
        );
        Ok(tree)
    })
    .await
}
