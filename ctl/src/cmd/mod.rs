//! The verbs. Each asks, and hands the answer to `render` or `json`.

mod cancel;
mod explain;
mod near;
mod pause;
mod resume;
mod status;
mod watch;

use bellwether_proto::wire::ListNodesRequest;

use crate::args::{Args, Verb};
use crate::connect::{CallError, Client, Fleet};

/// Does what was asked for.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut fleet = Fleet::open(&args.connect).await?;
    match args.verb {
        Verb::Status(status) => status::run(fleet, &args.connect, status).await,
        Verb::Explain(explain) => explain::run(&mut fleet, &explain).await,
        Verb::Watch { node } => watch::run(fleet, &args.connect, node.as_ref()).await,
        Verb::Pause { reason, person } => pause::run(&mut fleet, person.by, reason).await,
        Verb::Resume { person } => resume::run(&mut fleet, person.by).await,
        Verb::Cancel { node, reason, person } => cancel::run(&mut fleet, &node, person.by, reason).await,
    }
}

/// The error of a call about one node; if there is no such node, with the names that come near.
async fn about(fleet: &mut Fleet, node: &str, error: CallError) -> anyhow::Error {
    match error {
        CallError::NotFound(_) => {}
        CallError::Refused { .. } | CallError::Unreachable { .. } => return error.into(),
    }
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let names = fleet.call(list).await.map(|answer| answer.nodes).unwrap_or_default();
    let near = near::names(node, names.iter().map(|status| status.node.as_str()));
    let hint = match near.as_slice() {
        [] => "`kubectl reboots status` lists all".to_owned(),
        some => format!("did you mean {}?", some.join(" or ")),
    };
    anyhow::anyhow!("there is no node `{node}`; {hint}")
}
