//! The deploy folder against a real API server.

use anyhow::Result;
use rig::tools;
use rig::world::{World, WorldOptions};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_everything_that_the_quickstart_renders() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let kubectl = world.kubectl()?;
    for folder in ["deploy/base", "deploy/overlays/quickstart"] {
        let taken = kubectl.dry_run(&tools::repository().join(folder)).await?;
        for name in ["scheduler", "drainer", "sentinel", "rebooter"] {
            assert!(taken.contains(&format!("/{name} ")), "{folder} has no {name}: {taken}");
        }
    }
    world.finish()
}
