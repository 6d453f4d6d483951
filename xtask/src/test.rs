//! `cargo xtask test`: what must be true before anything lands, cheap steps first.

use anyhow::Result;

use crate::{step::Steps, tools};

pub(crate) const HELP: &str = "\
Check format, lints and docs, then run every test against real servers.

Usage: cargo xtask test [filter]
       cargo xtask test it [filter]

Steps: rustfmt, clippy, rustdoc (no warning allowed), tools, build of everything, tests.
With a filter only the tests whose name contains it are run.
`test it` builds and runs the integration tests only.
";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut steps = Steps::new();
    match args.split_first() {
        Some((&"it", filter)) => integration(&mut steps, filter)?,
        Some(_) | None => everything(&mut steps, &args)?,
    }
    steps.finish("test");
    Ok(())
}

fn everything(steps: &mut Steps, filter: &[&str]) -> Result<()> {
    steps.command("format", &[], &["cargo", "fmt", "--all", "--check"])?;
    let clippy = [
        "cargo",
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    steps.command("clippy", &[], &clippy)?;
    let doc = ["cargo", "doc", "--workspace", "--no-deps", "--document-private-items"];
    steps.command("doc", &[("RUSTDOCFLAGS", "-D warnings")], &doc)?;
    prepare(steps)?;
    let test = [&["cargo", "test", "--workspace", "--"], filter].concat();
    steps.command("tests", &[], &test)
}

fn integration(steps: &mut Steps, filter: &[&str]) -> Result<()> {
    prepare(steps)?;
    let test = [&["cargo", "test", "--workspace", "--test", "it", "--"], filter].concat();
    steps.command("integration tests", &[], &test)
}

/// Tools, and every binary that a test starts as a process of its own. All targets of the whole
/// workspace at once: another selection would give the dependencies other features, and cargo
/// would compile them a second time.
fn prepare(steps: &mut Steps) -> Result<()> {
    steps.work("tools", tools::ensure)?;
    steps.command("build", &[], &["cargo", "build", "--workspace", "--all-targets"])
}
