//! `cargo xtask demo`: everything from nothing to the show. The show itself is a binary of the
//! `tests` crate, on top of the rig.

use anyhow::Result;

use crate::rigged;

pub(crate) const HELP: &str = "\
Start a real control plane, NATS and the services here, and show rolling reboots.

Usage: cargo xtask demo [--nodes N] [--slots N] [--policy FILE] [--observe] [--keep]
                  [more arguments of the demo]

Builds what is missing (tools, services), then starts everything on loopback in a temporary
folder. Nothing on this machine is rebooted, and nothing is left running.

Options:
  --nodes N      Number of simulated nodes [default: 6]
  --slots N      How many may be disrupted at once [default: 1]
  --policy FILE  Apply the RebootPolicies of this file first. If they let no node reboot now, the demo shows the reasons
                 and ends
  --observe      Start Prometheus with the alerts, and an OpenTelemetry collector, beside it
  --keep         Keep everything running at the end, with its addresses, until Ctrl-C
";

pub(crate) fn run(args: &[String]) -> Result<()> {
    rigged::run("demo", args)
}
