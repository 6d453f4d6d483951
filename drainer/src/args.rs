//! The flags of the drainer. Each has an environment variable; the command line wins.
//!
//! Only ranges are checked here; the meaning of a flag is documented where it is used.

use bellwether_chassis::{ChassisArgs, StreamArgs};

/// Cordons, drains and uncordons nodes when Bellwether's scheduler commands it.
///
/// Finds the Kubernetes API server as kubectl does: KUBECONFIG, ~/.kube/config, or the pod's service account.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-drainer", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    /// Drains that this replica carries out at once; further ones go to other replicas, or wait
    #[arg(long, env = "BELLWETHER_DRAINER_CONCURRENCY", default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) concurrency: u16,

    /// Evictions of one node that may await the API server's answer at once
    #[arg(long, env = "BELLWETHER_DRAINER_EVICTIONS_PER_NODE", default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) evictions_per_node: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }
}
