//! `report`: what the audit trail comes to, for each node.

use std::process::ExitCode;

use bellwether_proto::wire::ListNodesRequest;

use super::history;
use crate::args::{ConnectArgs, ReportArgs};
use crate::connect::{Client, Fleet};
use crate::{out, report, time};

pub(super) async fn run(connect: &ConnectArgs, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let node = args.node.as_ref().map(ToString::to_string);
    let mut fleet = Fleet::open(connect).await?;
    let trail = history::read(&mut fleet, node.as_deref().unwrap_or_default()).await?;
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let nodes = fleet.call(list).await?;
    let since = args.since.map(|since| since.instant(time::now()));
    let reports = report::of(&trail, &nodes, node.as_deref(), since);
    out::show(&report::text(&reports, args.output, time::now())?)?;
    Ok(ExitCode::SUCCESS)
}
