//! `report`: what the audit trail comes to, for each node.

use std::process::ExitCode;

use bellwether_proto::wire::ListNodesRequest;

use super::history;
use crate::args::{ConnectArgs, ReportArgs};
use crate::connect::{Client, Fleet};
use crate::history::{Asked, Listing};
use crate::report::{self, Reports};
use crate::{out, time};

pub(super) async fn run(connect: &ConnectArgs, args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let node = args.node.as_ref().map(ToString::to_string);
    let mut fleet = Fleet::open(connect).await?;
    let since = args.since.map(|since| since.instant(time::now()));
    // The begin of an attempt may lie before the span.
    let asked = Asked {
        node: node.clone(),
        ..Asked::default()
    };
    let mut listing = Listing::new(asked.clone());
    let mut reports = Reports::new(since);
    let count = |listing: &mut Listing| {
        listing.page().iter().for_each(|entry| reports.take(entry));
        Ok(())
    };
    history::read(&mut fleet, &asked, false, &mut listing, count).await?;
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let nodes = fleet.call(list).await?;
    let reports = reports.finish(&nodes, node.as_deref());
    out::show(&report::text(&reports, args.output, time::now())?)?;
    Ok(ExitCode::SUCCESS)
}
