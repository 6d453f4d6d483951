//! `history [NODE]`: the audit trail, and whether it is whole.

use std::process::ExitCode;

use bellwether_proto::wire::ReadHistoryRequest;
use bellwether_proto::wire::read_history_response::Part;

use crate::args::{ConnectArgs, HistoryArgs};
use crate::connect::{Client, Fleet, chain};
use crate::history::{self, History};
use crate::{out, time};

pub(super) async fn run(connect: &ConnectArgs, args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let node = args.node.as_ref().map(ToString::to_string).unwrap_or_default();
    let trail = read(&mut Fleet::open(connect).await?, &node).await?;
    if args.verify {
        let verdicts = trail.verify();
        out::show(&history::verdicts(&verdicts, args.output)?)?;
        return Ok(if verdicts.iter().all(history::Verdict::holds) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let since = args.since.map(|since| since.instant(time::now()));
    out::show(&history::events(&trail, since, args.output)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads the trail of a node; of all, if the name is empty.
pub(super) async fn read(fleet: &mut Fleet, node: &str) -> anyhow::Result<History> {
    let ask = async |mut client: Client| client.read_history(ReadHistoryRequest { node: node.to_owned() }).await;
    let mut parts = fleet.call(ask).await?;
    let mut trail = History::default();
    // Bounded by the scheduler, which ends the stream.
    loop {
        match parts.message().await {
            Ok(Some(part)) => match part.part {
                Some(Part::Before(head)) => trail.before(&head),
                Some(Part::Event(event)) => trail.event(event),
                Some(Part::After(head)) => trail.after(&head),
                Some(Part::Cut(_)) => {
                    anyhow::bail!("the audit trail has more events than one answer: ask for one node after the other")
                }
                None => {}
            },
            Ok(None) => return Ok(trail),
            Err(status) if status.message().is_empty() => anyhow::bail!("the audit trail: {}", chain(&status)),
            Err(status) => anyhow::bail!("the audit trail: {}", status.message()),
        }
    }
}
