//! What the program has tried on the bus during all trials before.

use anyhow::Result;

use crate::check::{Check, expect};
use crate::stage::Stage;

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "D-RIGHTS-01",
            "A drainer uses no other rights in NATS than [these](README.md#nats-permissions), with the set-up.",
            |stage| Box::pin(async { had_its_rights(stage) }),
        )
        .alone(),
    ]
}

fn had_its_rights(stage: &Stage) -> Result<()> {
    let violations = stage.nats.violations();
    expect(violations.is_empty(), "no request without the right to", || {
        violations.join("; ")
    })
}
