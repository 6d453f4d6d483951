//! The streams of the contract, as scheduler and drainer create them, for tests that run neither.

use std::time::Duration;

use anyhow::{Context as _, Result};
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use bellwether_proto::stream::{Retention, STREAMS, StreamDefinition};

/// Creates all streams of the contract, each on so many servers.
pub async fn create(jetstream: &Context, replicas: usize) -> Result<()> {
    for definition in &STREAMS {
        create_one(jetstream, definition, replicas).await?;
    }
    Ok(())
}

/// Creates one stream of the contract.
pub async fn create_one(jetstream: &Context, definition: &StreamDefinition, replicas: usize) -> Result<()> {
    let subjects = definition.subjects.iter();
    let config = Config {
        name: definition.name.to_owned(),
        subjects: subjects.map(|subject| (*subject).to_owned()).collect(),
        retention: match definition.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        },
        discard: DiscardPolicy::Old,
        max_messages_per_subject: definition.per_subject.unwrap_or(-1),
        max_messages: -1,
        max_bytes: definition.max_bytes.unwrap_or(-1),
        max_age: definition.max_age.unwrap_or(Duration::ZERO),
        duplicate_window: definition.duplicate_window,
        allow_rollup: definition.rollup,
        allow_direct: true,
        num_replicas: replicas,
        ..Config::default()
    };
    let created = jetstream.create_stream(config).await;
    created
        .map(drop)
        .with_context(|| format!("cannot create the stream {}", definition.name))
}
