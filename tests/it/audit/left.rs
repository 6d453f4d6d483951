//! Events that have left the stream are no break of their chain, and a chain that was purged continues.

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::stream::EVENTS_STREAM;
use bellwether_proto::{NodeName, subject};
use rig::nats_front::Held;
use rig::wait;
use tokio::sync::watch;

use super::{PHASES, behind_a_front, chain, has_each_phase_once, verified};
use crate::fleet::DEADLINE;

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_the_stream_is_no_break_and_a_purge_while_events_wait_loses_none_of_them() -> Result<()> {
    let (fleet, front) = behind_a_front(1).await?;
    let host = fleet.world.host(0)?;
    let node: NodeName = host.name().parse()?;
    let own = subject::phase_changed(&node.token());
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(&host)).await?;
    has_each_phase_once(&fleet, &node).await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    // As the limits of the stream do: the oldest three events leave.
    let (fourth, _) = chain(&fleet, &node).await?.into_iter().nth(3).context("six events")?;
    stream.purge().filter(own.clone()).sequence(fourth).await?;
    verified(&fleet, &[]).await?;
    let text = fleet.services.ctl_ok(&["history", "--verify"]).await?;
    ensure!(text.contains("older events have left the stream"), "{text}");

    let held = watch::Sender::new(false);
    let (of_node, is_held) = (own.clone(), held.clone());
    front.hold(move |it| (it.subject == of_node).then(|| Held::Message(is_held.clone())));
    host.upgrade_kernel("6.12.50")?;
    wait::until("the second reboot to be over", DEADLINE, async || {
        let attempt = fleet.attempt(node.as_str()).await?.context("no attempt")?;
        let chain = attempt.event_chain.context("no chain")?;
        ensure!(
            attempt.phase.is_ended() && chain.sequence == 12,
            "{} of 12 events",
            chain.sequence
        );
        Ok(())
    })
    .await?;
    stream.purge().filter(own.clone()).await?;
    front.release();
    wait::until("the events of the second reboot", DEADLINE, async || {
        let events = chain(&fleet, &node).await?.len();
        ensure!(events >= PHASES.len(), "{events} events");
        Ok(())
    })
    .await?;
    verified(&fleet, &[]).await?;
    fleet.finish()
}
