//! Commands about the taint of nodes that wait for their reboot.
//!
//! They belong to no attempt, so no record permits them: a command that is late has no effect, and the scheduler, which
//! watches the node, corrects what a command of before has done.

use std::time::Duration;

use bellwether_chassis::{Verdict, clock};
use bellwether_drainer_core::taint::{TaintChange, taint_change};
use bellwether_drainer_core::{ApiFault, NodePatched};
use bellwether_proto::TaintNode;

use crate::kube::node;
use crate::metrics::TaintOutcome;
use crate::tools::Tools;

/// Tries of one command while other programs change the node at the same moment.
const TRIES: u32 = 4;
/// Wait before a command comes again that the API server did not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// Carries out one command.
pub(crate) async fn carry_out(tools: &Tools, command: &TaintNode) -> Verdict {
    let outcome = if clock::now() < command.not_after {
        change(tools, command).await
    } else {
        Ok(TaintOutcome::Late)
    };
    let name = &command.node;
    match outcome {
        Ok(outcome) => {
            tools.metrics.taint_ended(outcome);
            tracing::debug!(node = %name, present = command.present, ?outcome, "Taint of a waiting node");
            Verdict::Ack
        }
        Err(fault) => {
            tools.metrics.taint_ended(TaintOutcome::Failed);
            tracing::warn!(node = %name, error = %fault, "Taint of a waiting node cannot be changed, trying again");
            Verdict::RetryAfter(clock::jitter(AGAIN))
        }
    }
}

async fn change(tools: &Tools, command: &TaintNode) -> Result<TaintOutcome, ApiFault> {
    for _ in 0..TRIES {
        let object = node::object(tools.clients.requests.clone(), &command.node).await?;
        let patch = match taint_change(object.as_ref(), command) {
            TaintChange::Patch(patch) => patch,
            TaintChange::Unchanged => return Ok(TaintOutcome::Unchanged),
            TaintChange::Gone => return Ok(TaintOutcome::NodeGone),
        };
        match node::patch(tools.clients.requests.clone(), &command.node, patch).await {
            NodePatched::Written(_) => return Ok(TaintOutcome::Changed),
            NodePatched::Failed(fault) => return Err(fault),
            NodePatched::Changed => (),
        }
    }
    Err(ApiFault::Conflict(format!(
        "other programs changed the node during {TRIES} tries"
    )))
}
