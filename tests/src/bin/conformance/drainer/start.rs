//! Start, readiness and streams.

use anyhow::Result;
use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy, StorageType};
use bellwether_proto::stream::{DRAINERS_CONSUMER, Retention, STREAMS};

use crate::check::{Check, expect, expect_health};
use crate::stage::Stage;

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "D-START-01",
            "While the verification fails, the service is not ready",
            |stage| Box::pin(async { ready_with_streams(stage) }),
        ),
        Check::must(
            "D-START-02",
            "Scheduler and drainer create missing streams and consumers when they start",
            |stage| Box::pin(streams(stage)),
        ),
        Check::must(
            "D-START-03",
            "| health | `/livez` and `/readyz` on the port of",
            |stage| Box::pin(expect_health(&stage.service)),
        ),
    ]
}

fn ready_with_streams(stage: &Stage) -> Result<()> {
    let missing = &stage.missing_when_ready;
    expect(missing.is_empty(), "ready only once all streams are there", || {
        format!("ready without {missing:?}")
    })
}

async fn streams(stage: &Stage) -> Result<()> {
    for wanted in STREAMS {
        let found = stage
            .bus
            .jetstream()
            .get_stream(wanted.name)
            .await?
            .cached_info()
            .config
            .clone();
        let name = wanted.name;
        let mut wrong = Vec::new();
        let retention = match wanted.retention {
            Retention::Limits => RetentionPolicy::Limits,
            Retention::WorkQueue => RetentionPolicy::WorkQueue,
        };
        let mut compare = |what: &str, same: bool| {
            if !same {
                wrong.push(what.to_owned());
            }
        };
        compare("subjects", found.subjects == wanted.subjects);
        compare("retention", found.retention == retention);
        compare(
            "messages per subject",
            found.max_messages_per_subject == wanted.per_subject.unwrap_or(-1),
        );
        compare("age", found.max_age == wanted.max_age.unwrap_or_default());
        compare("bytes", found.max_bytes == wanted.max_bytes.unwrap_or(-1));
        compare("discard", found.discard == DiscardPolicy::Old);
        compare("storage", found.storage == StorageType::File);
        compare("direct reads", found.allow_direct);
        compare("roll-ups", found.allow_rollup == wanted.rollup);
        compare("duplicate window", found.duplicate_window == wanted.duplicate_window);
        expect(wrong.is_empty(), &format!("{name} as in the table"), || {
            format!("other {}", wrong.join(", "))
        })?;
    }
    let wanted = DRAINERS_CONSUMER;
    let stream = stage.bus.jetstream().get_stream(wanted.stream).await?;
    let info = stream.consumer_info(wanted.name).await?;
    let (wait, pending) = (info.config.ack_wait, info.config.max_ack_pending);
    expect(
        wait == wanted.ack_wait && pending == wanted.max_ack_pending,
        "the consumer as in the table",
        || format!("an ack wait of {wait:?}, at most {pending} pending"),
    )
}
