//! `explain NODE`: a node's state, reason, attempt and past events.

use bellwether_proto::wire::ExplainNodeRequest;

use super::about;
use crate::args::{ExplainArgs, Output};
use crate::connect::{Client, Fleet};
use crate::{json, out, render, time};

pub(super) async fn run(fleet: &mut Fleet, args: &ExplainArgs) -> anyhow::Result<()> {
    let node = args.node.to_string();
    let ask = async |mut client: Client| client.explain_node(ExplainNodeRequest { node: node.clone() }).await;
    let story = match fleet.call(ask).await {
        Ok(story) => story,
        Err(error) => return Err(about(fleet, &node, error).await),
    };
    let text = match args.output {
        Output::Table => render::explain(&story, false, time::now()),
        Output::Wide => render::explain(&story, true, time::now()),
        Output::Json => json::explain(&story)?,
    };
    Ok(out::show(&text)?)
}
