//! Answers arrive below the inbox of their service and node, and nowhere else.

use anyhow::{Result, ensure};
use bellwether_proto::{NodeToken, setting, subject};
use rig::services::ServicesOptions;
use rig::world::{World, WorldOptions};

use crate::fleet::Fleet;

/// The rig needs no name; the services may subscribe to the contract's subjects and to their own inboxes.
fn config() -> Result<String> {
    let node: NodeToken = "node-1_rig".parse()?;
    let inboxes = [
        subject::inbox("scheduler", None),
        subject::inbox("drainer", None),
        subject::inbox("sentinel", Some(&node)),
        subject::inbox("rebooter", Some(&node)),
    ];
    let inboxes = inboxes.map(|inbox| format!("\"{inbox}.>\"")).join(", ");
    let records = subject::all_attempt_records();
    Ok(format!(
        "authorization {{ users: [ {{ user: rig, password: rig }}, {{ user: services, password: secret, permissions: {{ \
         publish: \">\", subscribe: [ \"{records}\", \"bellwether.>\", {inboxes} ] }} }} ] }}\nno_auth_user: rig\n"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_needs_no_answer_outside_of_the_inboxes_of_its_services() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        // The options hold what is known when the test is compiled.
        nats_config: config()?.leak(),
        ..WorldOptions::default()
    })
    .await?;
    let password = world.place.file("password", "secret")?.display().to_string();
    let options = ServicesOptions::default()
        .set(setting::NATS_USER, "services")
        .set(setting::NATS_PASSWORD, &password);
    let fleet = Fleet::start_in(world, options).await?;
    fleet.upgrade_all()?;
    let log = fleet.world.nats.process.log();
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    let violations = std::fs::read_to_string(log)?;
    ensure!(!violations.contains("Violation"), "{violations}");
    fleet.finish()
}
