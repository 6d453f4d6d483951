//! `resume`: the end of a pause.

use bellwether_proto::wire::ResumeFleetRequest;

use crate::connect::{Client, Fleet};
use crate::out;

pub(super) async fn run(fleet: &mut Fleet, by: String) -> anyhow::Result<()> {
    let order = ResumeFleetRequest { by };
    let answer = fleet
        .call(async |mut client: Client| client.resume_fleet(order.clone()).await)
        .await?;
    let paused = answer.control.is_some_and(|control| control.paused);
    anyhow::ensure!(
        !paused,
        "the fleet is still paused: another operator paused it again; see `kubectl reboots status`"
    );
    Ok(out::show("Resumed. Nodes that need it reboot in turn.\n")?)
}
