//! Asks the drainers whether a node can be drained.

use std::time::Duration;

use bellwether_chassis::Bus;
use bellwether_proto::{CheckDrain, DrainForecast, DrainVerdict, encode, subject};
use bellwether_scheduler_core::reading::{Found, Outcome};
use futures_util::StreamExt as _;

/// How long an answer may take: longer than a drainer tries to look.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The answer of a drainer; without one, an answer that states so.
pub(crate) async fn ask(bus: &Bus, question: &CheckDrain) -> DrainForecast {
    let no_answer = |reason| DrainForecast::unknown(question, "", reason);
    match tokio::time::timeout(TIMEOUT, answer(bus, question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => no_answer(format!(
            "the question whether the node can be drained cannot be asked: {error:#}"
        )),
        Err(_) => no_answer(format!(
            "no drainer has answered within {} s whether the node can be drained: does one run, and of this version? \
             For a drainer that answers no questions: --check-drains=false",
            TIMEOUT.as_secs()
        )),
    }
}

async fn answer(bus: &Bus, question: &CheckDrain) -> anyhow::Result<DrainForecast> {
    let node = question.node.token();
    let mut answers = bus.subscribe(subject::drain_answer(&node), None).await?;
    bus.publish_unstored(subject::drain_question(&node), encode(question))
        .await?;
    while let Some(message) = answers.next().await {
        match message.decode::<DrainForecast>() {
            // Another question about the node may be under way, such as one of an operator.
            Ok(answer) if answer.asked_at != question.asked_at => (),
            Ok(answer) => {
                subject::same_node(&node, &answer.node)?;
                return Ok(answer);
            }
            Err(error) => tracing::warn!(node = %question.node, %error, "Answer of a drainer rejected"),
        }
    }
    anyhow::bail!("the connection to NATS is closed")
}

/// The answer of a drainer for the core, with the sentences for operators.
pub(crate) fn outcome_of(forecast: &DrainForecast) -> Outcome {
    let found = || Found {
        text: forecast.obstacles(),
        by_owner: forecast.by_owner(),
    };
    match forecast.verdict {
        DrainVerdict::Can => Outcome::Open,
        DrainVerdict::NotNow => Outcome::NotNow(found()),
        DrainVerdict::Cannot => Outcome::Shut(found()),
        DrainVerdict::Unknown => Outcome::Failed(forecast.obstacles()),
    }
}
