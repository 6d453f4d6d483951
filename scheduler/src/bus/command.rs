//! Commands to the drainers: each is queued once, and asked for again only in a new generation.

use bellwether_chassis::{Bus, Expect, Record};
use bellwether_proto::stream::COMMANDS_STREAM;
use bellwether_proto::{DrainNode, Encoded, TaintNode, UncordonNode, encode, subject};
use bellwether_scheduler_core::Command;

use crate::error::EffectError;

/// Queues a command.
pub(crate) async fn queue(bus: &Bus, command: &Command) -> Result<(), EffectError> {
    let (subject, encoded) = encoded(command);
    bus.publish(subject, encoded, None, Expect::Anything).await?;
    Ok(())
}

/// Queues a command about the taint of a node.
pub(crate) async fn queue_taint(bus: &Bus, command: &TaintNode) -> Result<(), EffectError> {
    let subject = subject::taint_command(&command.node.token());
    bus.publish(subject, encode(command), None, Expect::Anything).await?;
    Ok(())
}

/// True if the command is queued, or under way at a drainer.
pub(crate) async fn is_queued(bus: &Bus, command: &Command) -> Result<bool, EffectError> {
    let (subject, _) = encoded(command);
    let queued = bus.read(COMMANDS_STREAM.name, subject).await;
    let queued = queued.map_err(|error| EffectError::Queue(error.into()))?;
    Ok(queued.is_some_and(|queued| is_same(&queued, command)))
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
