//! Programs of the `tests` crate on top of the rig: built together with the services that they start, then run in the place
//! of this process, so that Ctrl-C and the exit code are their own.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::{cache, step::Steps, tools};

/// Runs the program of this name as tests are built, which is enough where speed does not matter.
pub(crate) fn run(program: &str, args: &[String]) -> Result<()> {
    let build = ["cargo", "build", "--locked", "--workspace", "--bins"];
    build_and_run(&build, &cache::target_dir().join("debug").join(program), args)
}

/// Runs the program of this name with these binaries beside it, built for release as the images are.
pub(crate) fn run_for_release(program: &str, binaries: &[&str], args: &[String]) -> Result<()> {
    let mut build = vec!["cargo", "build", "--release", "--locked"];
    for binary in binaries {
        build.extend(["--bin", binary]);
    }
    build_and_run(&build, &cache::target_dir().join("release").join(program), args)
}

fn build_and_run(build: &[&str], program: &Path, args: &[String]) -> Result<()> {
    let mut steps = Steps::new();
    steps.work("tools", tools::ensure)?;
    steps.command("build", &[], build)?;
    let error = Command::new(program).args(args).exec();
    Err(anyhow!("cannot start {}: {error}", program.display()))
}
