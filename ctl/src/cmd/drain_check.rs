//! `drain-check NODE|--all`: whether nodes could be drained now.

use std::process::ExitCode;

use bellwether_proto::wire::{CheckNodeDrainRequest, DrainForecast, ListNodesRequest};

use super::about;
use crate::args::{CheckForm, ConnectArgs, DrainCheckArgs};
use crate::connect::{Client, Fleet};
use crate::{drain_check, out};

/// How often the progress of many checks is shown, in nodes: each takes some hundredths of a second, and eight seconds
/// without a drainer.
const PROGRESS: usize = 50;

pub(super) async fn run(connect: &ConnectArgs, args: &DrainCheckArgs) -> anyhow::Result<ExitCode> {
    let mut fleet = Fleet::open(connect).await?;
    let forecasts = match &args.subject.node {
        Some(node) => vec![check(&mut fleet, node.as_str()).await?],
        None => check_all(&mut fleet).await?,
    };
    let text = match args.output {
        CheckForm::Table => drain_check::table(&forecasts),
        CheckForm::Json => drain_check::json(&forecasts)?,
    };
    out::show(&text)?;
    Ok(if forecasts.iter().all(drain_check::can) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// One after the other, so that a rehearsal costs the cluster little. A node that is gone meanwhile, or whose check fails,
/// is shown as unknown, and the others are checked nevertheless.
async fn check_all(fleet: &mut Fleet) -> anyhow::Result<Vec<DrainForecast>> {
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let nodes = fleet.call(list).await?.nodes;
    let mut forecasts = Vec::with_capacity(nodes.len());
    for node in &nodes {
        let forecast = check(fleet, &node.node).await;
        forecasts.push(forecast.unwrap_or_else(|error| drain_check::unknown(&node.node, format!("{error:#}"))));
        if forecasts.len().is_multiple_of(PROGRESS) && forecasts.len() < nodes.len() {
            out::note(&format!("{} of {} nodes checked", forecasts.len(), nodes.len()));
        }
    }
    Ok(forecasts)
}

async fn check(fleet: &mut Fleet, node: &str) -> anyhow::Result<DrainForecast> {
    let request = || CheckNodeDrainRequest { node: node.to_owned() };
    let ask = async |mut client: Client| client.check_node_drain(request()).await;
    match fleet.call(ask).await {
        Ok(answer) => Ok(answer.forecast.unwrap_or_default()),
        Err(error) => Err(about(fleet, node, error).await),
    }
}
