//! Commands to the drainers: each is queued at most once.

use bellwether_chassis::{Bus, Expect, Record};
use bellwether_proto::stream::COMMANDS_STREAM;
use bellwether_proto::{DrainNode, Encoded, UncordonNode, encode, subject};
use bellwether_scheduler_core::Command;

use crate::error::EffectError;

/// Queues a command, unless the same one is queued or under way: a second copy would go to a
/// second drainer.
pub(crate) async fn queue(bus: &Bus, command: &Command) -> Result<(), EffectError> {
    let (subject, encoded) = encoded(command);
    let queued = bus.read(COMMANDS_STREAM.name, subject.clone()).await;
    let queued = queued.map_err(|error| EffectError::Queue(error.into()))?;
    if queued.is_some_and(|queued| is_same(&queued, command)) {
        return Ok(());
    }
    bus.publish(subject, encoded, None, Expect::Anything).await?;
    Ok(())
}

fn encoded(command: &Command) -> (String, Encoded) {
    match command {
        Command::Drain(drain) => (subject::drain_command(&drain.attempt.node.token()), encode(drain)),
        Command::Uncordon(uncordon) => (
            subject::uncordon_command(&uncordon.attempt.node.token()),
            encode(uncordon),
        ),
    }
}

fn is_same(queued: &Record, command: &Command) -> bool {
    match command {
        Command::Drain(drain) => queued.decode::<DrainNode>().is_ok_and(|queued| queued == *drain),
        Command::Uncordon(uncordon) => queued.decode::<UncordonNode>().is_ok_and(|queued| queued == *uncordon),
    }
}
