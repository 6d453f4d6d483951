//! `pause --reason`: no new attempt starts.

use bellwether_check::text;
use bellwether_proto::wire::PauseFleetRequest;

use crate::connect::{Client, Fleet};
use crate::{out, time};

pub(super) async fn run(fleet: &mut Fleet, by: String, reason: String) -> anyhow::Result<()> {
    let order = PauseFleetRequest { by, reason };
    let answer = fleet
        .call(async |mut client: Client| client.pause_fleet(order.clone()).await)
        .await?;
    let control = answer.control.unwrap_or_default();
    let mut text = format!(
        "{}\nNo new reboot starts until `kubectl reboots resume`.\n",
        text::paused(&control, time::now())
    );
    if !answer.nodes_in_progress.is_empty() {
        text.push_str(&format!(
            "Attempts that continue all the same: {}\n",
            answer.nodes_in_progress.join(", ")
        ));
    }
    Ok(out::show(&text)?)
}
