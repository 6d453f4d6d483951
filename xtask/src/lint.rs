//! `cargo xtask lint`: checks that need tools of their own, which are fetched once.

use anyhow::{Result, bail};

use crate::git::git;
use crate::step::Steps;
use crate::{chart, crates, crd, tidy, tools, wheels};

pub(crate) const HELP: &str = "\
Check the repository's own rules, spelling, dependencies, licences, the wire contract, the definition of RebootPolicy
and the chart.

Usage: cargo xtask lint

Steps: tidy (see `cargo xtask tidy --help`), typos (spelling), cargo-machete (unused dependencies), cargo-deny (licences, banned crates,
sources), buf (protobuf style, and no breaking change against the last release), crd (deploy/base/crd.yaml is that of
the types), helm (the chart renders what deploy/base renders).
The tools are installed into the cache on the first run, which takes some minutes.

Environment:
  BELLWETHER_CACHE    Where to keep the tools [default: ~/.cache/bellwether]
  BELLWETHER_AGAINST  Commit that the wire contract must not break [default: newest tag v*]
";

/// Where the protobuf files and buf's settings are.
const PROTO: &str = "proto";

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("lint takes no argument, but got {arg:?}");
    }
    let mut steps = Steps::new();
    steps.work("tidy", tidy::check)?;
    let wheels = steps.work("typos and buf", wheels::ensure)?;
    let typos = wheels.join("typos").to_string_lossy().into_owned();
    let buf = wheels.join("buf").to_string_lossy().into_owned();
    let machete = steps.work("cargo-machete", || crates::tool("cargo-machete", "0.9.2", &[]))?;
    let deny_flags = ["--no-default-features"];
    let deny = steps.work("cargo-deny", || crates::tool("cargo-deny", "0.20.2", &deny_flags))?;

    steps.command("spelling", &[], &[&typos])?;
    steps.command("unused dependencies", &[], &[&machete])?;
    // Advisories are left out: they need a database from the network and change by themselves.
    let check = [deny.as_str(), "--locked", "check", "--hide-inclusion-graph"];
    steps.command("crates", &[], &[&check[..], &["bans", "licenses", "sources"]].concat())?;
    steps.command("wire style", &[], &[&buf, "lint", PROTO])?;
    breaking(&mut steps, &buf)?;
    steps.work("definition of RebootPolicy", crd::check)?;
    steps.work("tools", tools::ensure)?;
    steps.work("chart", chart::make)?;
    steps.finish("lint");
    Ok(())
}

/// Compares the protobuf files with those of the last release. Before the first release there is
/// no reader to break.
fn breaking(steps: &mut Steps, buf: &str) -> Result<()> {
    let against = std::env::var("BELLWETHER_AGAINST").ok();
    let Some(against) = against.or_else(last_release) else {
        println!("\n== wire compatibility: skipped, no release yet and BELLWETHER_AGAINST not set");
        return Ok(());
    };
    let commit = git(&["rev-parse", "--verify", &format!("{against}^{{commit}}")])?;
    let old = format!(".git#ref={commit},subdir={PROTO}");
    steps.command("wire compatibility", &[], &[buf, "breaking", PROTO, "--against", &old])
}

/// The newest release tag in the history of what is checked out.
fn last_release() -> Option<String> {
    git(&["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]).ok()
}
