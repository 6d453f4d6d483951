//! `cancel NODE --reason`: ends an attempt, or releases the slot of a failed one.

use bellwether_check::text::{self, NOTHING};
use bellwether_proto::NodeName;
use bellwether_proto::wire::CancelAttemptRequest;

use super::about;
use crate::connect::{Client, Fleet};
use crate::{out, vocabulary};

pub(super) async fn run(fleet: &mut Fleet, node: &NodeName, by: String, reason: String) -> anyhow::Result<()> {
    let order = CancelAttemptRequest {
        node: node.to_string(),
        by,
        reason,
    };
    let answer = match fleet
        .call(async |mut client: Client| client.cancel_attempt(order.clone()).await)
        .await
    {
        Ok(answer) => answer,
        Err(error) => return Err(about(fleet, &order.node, error).await),
    };
    let phase = answer
        .attempt
        .map_or_else(|| NOTHING.to_owned(), |attempt| text::phase(attempt.phase));
    let what = vocabulary::or_nothing(&answer.message);
    Ok(out::show(&format!("{node}: {what} (phase: {phase})\n"))?)
}
