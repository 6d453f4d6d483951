//! `cargo xtask test`: the checks that a change must pass before it lands, cheap steps first.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::node::{self, Readiness};
use crate::{cache, images, step::Steps, tools};

pub(crate) const HELP: &str = "\
Check format, lints and docs, then run every test against real servers.

Usage: cargo xtask test [filter]
       cargo xtask test it [filter]
       cargo xtask test node [--story NAME] [--minutes N]

Steps: rustfmt, clippy, rustdoc (no warning allowed), tools, build of everything, tests.
With a filter, only tests whose name contains the filter run.
`test it` builds and runs the integration tests only.
`test node` starts two virtual machines with real kubelets, installs Bellwether there and lets it
reboot them. It needs mmdebstrap and a Debian archive, and root once to build the machines' disk;
without one of these the verb prints the reason and runs nothing. `--story methods` reboots them by each method of
the rebooter instead, with inhibitors, and `faults` has the rebooter killed, logind hang, NATS be away and hosts not obey;
`whole` is the default. With CI=true and as root it installs mmdebstrap itself. With --minutes it stops after that time, preparations included, and prints the steps that
were not tested. Its artefacts are in <target>/node-test.
";

/// A machine that takes longer is too slow for a developer to wait for.
const NODE_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// A story waits more than it computes: for a lease to end, a pod to stop, a host to boot. So three of them fit on two cores, with a
/// thread for the tests without a world.
const THREADS: (&str, &str) = ("RUST_TEST_THREADS", "4");

/// The tests of `tests/node`.
const STORIES: [&str; 3] = ["whole", "methods", "faults"];

/// What to run on the machines.
struct NodeRun {
    story: String,
    limit: Duration,
}

impl NodeRun {
    fn parse(options: &[&str]) -> Result<Self> {
        let [whole, ..] = STORIES;
        let mut run = Self {
            story: whole.to_owned(),
            limit: NODE_LIMIT,
        };
        for option in options.chunks(2) {
            match option {
                ["--minutes", minutes] => {
                    let minutes: u32 = minutes
                        .parse()
                        .with_context(|| format!("--minutes {minutes}: write a whole number"))?;
                    run.limit = Duration::from_secs(60) * minutes;
                }
                ["--story", story] => {
                    let known = STORIES.contains(story);
                    ensure!(known, "--story {story}: choose among {}", STORIES.join(", "));
                    run.story = (*story).to_owned();
                }
                _ => bail!("{}: write --story NAME or --minutes N", option.join(" ")),
            }
        }
        Ok(run)
    }
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut steps = Steps::new();
    match args.split_first() {
        Some((&"it", filter)) => integration(&mut steps, filter)?,
        Some((&"node", options)) => on_machines(&mut steps, &NodeRun::parse(options)?)?,
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
    steps.command("tests", &[THREADS], &test)
}

fn integration(steps: &mut Steps, filter: &[&str]) -> Result<()> {
    prepare(steps)?;
    let test = [&["cargo", "test", "--workspace", "--test", "it", "--"], filter].concat();
    steps.command("integration tests", &[THREADS], &test)
}

/// Runs one test alone and with its output: the story takes minutes, and prints each step.
fn on_machines(steps: &mut Steps, run: &NodeRun) -> Result<()> {
    let start = Instant::now();
    let left = || run.limit.saturating_sub(start.elapsed()).as_secs();
    if left() == 0 {
        println!("\nnode: SKIPPED: there is no time left for it");
        return Ok(());
    }
    if let Readiness::Not(why) = steps.work("machines", node::ensure)? {
        println!("\nnode: SKIPPED: {why}");
        return Ok(());
    }
    prepare(steps)?;
    // Only the images of the machines, in a folder apart from the one that `cargo xtask images` has left for a user to push.
    let plan = images::Plan {
        out: cache::target_dir().join("node-images"),
        services: images::in_cluster(),
        sbom: false,
        foreign: false,
        ..images::Plan::default()
    };
    steps.work("images", || images::ensure(&plan).map(drop))?;
    let test = [
        "cargo",
        "test",
        "--workspace",
        "--test",
        "node",
        "--",
        "--ignored",
        "--nocapture",
        "--exact",
        &run.story,
    ];
    steps.command("node", &[("BELLWETHER_NODE_SECONDS", &left().to_string())], &test)
}

/// Tools, and every binary that a test starts as a process of its own. All targets of the whole
/// workspace at once: another selection would give the dependencies other features, and cargo
/// would compile them a second time.
fn prepare(steps: &mut Steps) -> Result<()> {
    steps.work("tools", tools::ensure)?;
    steps.command("build", &[], &["cargo", "build", "--workspace", "--all-targets"])
}
