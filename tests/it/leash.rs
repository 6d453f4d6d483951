//! Nothing outlives the rig, even when it cannot clean up.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rig::wait;
use rig::world::{self, World, WorldOptions};

/// Not a test: the rig that [`no_child_outlives_a_rig_that_was_killed`] kills. Started only by it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "runs until it is killed"]
#[allow(clippy::print_stdout, reason = "this is how it talks to the test that started it")]
async fn rig_that_waits_to_be_killed() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    for process in world.control_plane.processes() {
        println!("child {}", process.pid().context("it runs")?);
    }
    println!("child {}", world.nats.process.pid().context("it runs")?);
    println!("folder {}", world.place.path().display());
    println!("all");
    std::future::pending().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_child_outlives_a_rig_that_was_killed() -> Result<()> {
    let _turn = world::turn().await?;
    let mut owner = Command::new(std::env::current_exe()?)
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "leash::rig_that_waits_to_be_killed",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut children = Vec::new();
    let mut folder = None;
    for line in BufReader::new(owner.stdout.take().context("piped")?).lines() {
        let line = line?;
        if let Some(pid) = line.strip_prefix("child ") {
            children.push(pid.to_owned());
        }
        if let Some(path) = line.strip_prefix("folder ") {
            folder = Some(path.to_owned());
        }
        if line == "all" {
            break;
        }
    }
    assert_eq!(children.len(), 5);
    assert!(children.iter().all(|pid| is_alive(pid)));

    owner.kill()?;
    owner.wait()?;
    wait::until_equal("children alive", Duration::from_secs(5), 0, async || {
        Ok(children.iter().filter(|pid| is_alive(pid)).count())
    })
    .await?;
    std::fs::remove_dir_all(folder.context("the rig printed its folder")?)?;
    Ok(())
}

/// Whether a process exists and is more than a zombie that its parent has not reaped yet.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
