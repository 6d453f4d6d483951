//! `queue`: the nodes that wait for a reboot, in their order.

use bellwether_proto::wire::ListNodesRequest;

use crate::args::{Output, QueueArgs};
use crate::connect::{Client, Fleet};
use crate::{json, out, queue, time};

pub(super) async fn run(fleet: &mut Fleet, args: QueueArgs) -> anyhow::Result<()> {
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let answer = queue::waiting(fleet.call(list).await?);
    let text = match args.output {
        Output::Table => queue::table(&answer, false, time::now()),
        Output::Wide => queue::table(&answer, true, time::now()),
        Output::Json => json::status(&answer)?,
    };
    Ok(out::show(&text)?)
}
