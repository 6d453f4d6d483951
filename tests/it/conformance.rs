//! Bellwether's own parts keep the contract, and so does a drainer in Go that was written from the pages alone.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::world::turn;
use rig::{tools, wait};
use tokio::process::Command;

/// The trials of one part take up to two minutes; the Go compiler may have to download and build before.
const DEADLINE: Duration = Duration::from_secs(600);

async fn output(command: &mut Command) -> Result<String> {
    let ended = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = wait::within("the command to end", DEADLINE, async { Ok(ended.await?) }).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}:\n{text}\n{errors}",
        command.as_std().get_program()
    );
    Ok(text)
}

/// Runs all trials of a part that do not wait for long; each must-check has to pass.
async fn keeps_the_contract(part: &str, program: Option<PathBuf>) -> Result<()> {
    let _turn = turn().await?;
    let mut command = Command::new(tools::binary("conformance")?);
    command.args([part, "--fast"]);
    command.args(program.iter().flat_map(|program| ["--".into(), program.clone()]));
    let report = output(&mut command).await?;
    ensure!(
        report.lines().any(|line| line.starts_with("must: ")),
        "no trial ran:\n{report}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn our_drainer_keeps_the_contract() -> Result<()> {
    keeps_the_contract("drainer", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn our_sentinel_keeps_the_contract() -> Result<()> {
    keeps_the_contract("sentinel", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn our_rebooter_keeps_the_contract() -> Result<()> {
    keeps_the_contract("rebooter", None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_in_another_language_keeps_the_contract() -> Result<()> {
    let folder = tools::target()?.join("conformance");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("drainer-go");
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .current_dir(tools::repository().join("tests/drainer-go"));
    output(&mut build).await.context("cannot build tests/drainer-go")?;
    // It finds in the contract's vectors of signatures what they state.
    let mut vectors = Command::new("go");
    vectors
        .args(["test", "-mod=readonly", "./..."])
        .env("GOWORK", "off")
        .env("GOFLAGS", "")
        .current_dir(tools::repository().join("tests/drainer-go"));
    output(&mut vectors).await.context("the vectors of signatures")?;
    keeps_the_contract("drainer", Some(program)).await
}
