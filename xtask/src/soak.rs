//! `cargo xtask soak`: fifty nodes under mishaps, judged by an independent watch. The soak itself is a binary of the
//! `tests` crate, on top of the rig.

use anyhow::Result;

use crate::rigged;

pub(crate) const HELP: &str = "\
Soak Bellwether: nodes need reboots again and again, while parts of the cluster die.

Usage: cargo xtask soak [--minutes N] [--nodes N] [--slots N] [--seed S]

Runs a real control plane and NATS with 50 simulated nodes and 1,500 pods, under every kind of controller and disruption
budget. Drainers, schedulers, NATS and the API server are killed (-9) and stopped (SIGSTOP) at random. A watch of its own,
straight from the API server, judges: no budget is broken by an eviction, no pod goes but by the Eviction API and within
an attempt, no node reboots twice for one need, no more nodes are cordoned than there are slots, and no node is left
cordoned at the end. Prints the figures; the exit code is 1 if a promise was broken, and the logs are kept then.

Options:
  --minutes N  Minutes of mishaps, beside the start of the cluster and its end [default: 10]
  --nodes N    Number of nodes, 10 to 50, each with thirty pods [default: 50]
  --slots N    How many nodes may be disrupted at once [default: 5]
  --seed S     The mishaps of this seed; else of a random one, which is printed
";

pub(crate) fn run(args: &[String]) -> Result<()> {
    rigged::run("soak", args)
}
