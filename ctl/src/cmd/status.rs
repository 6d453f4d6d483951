//! `status`: the fleet, once or until Ctrl-C.

use std::time::Duration;

use bellwether_proto::wire::{ListNodesRequest, ListNodesResponse};

use crate::args::{ConnectArgs, Output, StatusArgs};
use crate::connect::{CallError, Client, Fleet};
use crate::{json, out, render, time};

/// How often `--watch` asks the scheduler.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(mut fleet: Fleet, connect: &ConnectArgs, args: StatusArgs) -> anyhow::Result<()> {
    let mut shown = list(&mut fleet).await?;
    let text = form(&shown, args.output)?;
    if !args.watch {
        return Ok(out::show(&text)?);
    }
    show(&text)?;
    let mut lost = false;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let answer = match list(&mut fleet).await {
            Ok(answer) => answer,
            Err(error) => {
                if !lost {
                    out::note(&format!("Lost the scheduler, trying again: {error}"));
                    lost = true;
                }
                // Through kubectl, the way to the next leader is another one.
                if let Ok(reopened) = Fleet::open(connect).await {
                    fleet = reopened;
                }
                continue;
            }
        };
        if lost {
            out::note("Reached the scheduler again.");
            lost = false;
        }
        // On a terminal ages grow; a file gets an entry for each change.
        if out::is_terminal() || answer != shown {
            show(&form(&answer, args.output)?)?;
        }
        shown = answer;
    }
}

async fn list(fleet: &mut Fleet) -> Result<ListNodesResponse, CallError> {
    fleet
        .call(async |mut client: Client| client.list_nodes(ListNodesRequest {}).await)
        .await
}

fn form(fleet: &ListNodesResponse, output: Output) -> anyhow::Result<String> {
    match output {
        Output::Table => Ok(render::status(fleet, false, time::now())),
        Output::Wide => Ok(render::status(fleet, true, time::now())),
        Output::Json => json::status(fleet),
    }
}

fn show(text: &str) -> std::io::Result<()> {
    if out::is_terminal() {
        out::redraw(text)
    } else {
        out::show(text)
    }
}
