//! The flags of the drainer. Each has an environment variable; the command line wins.
//!
//! Only ranges are checked here; the meaning of a flag is documented where it is used.

use bellwether_chassis::{ChassisArgs, RecordKeyArgs, StreamArgs, TraceArgs};
use bellwether_drainer_core::OwnerKind;

/// Cordons, drains and uncordons nodes when Bellwether's scheduler commands it.
///
/// Finds the Kubernetes API server as kubectl does: KUBECONFIG, ~/.kube/config, or the pod's service account.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-drainer", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,

    #[command(flatten)]
    pub(crate) traces: TraceArgs,

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    #[command(flatten)]
    pub(crate) record_keys: RecordKeyArgs,

    /// Drains that this replica carries out at once; further ones go to other replicas, or wait
    #[arg(long, env = "BELLWETHER_DRAINER_CONCURRENCY", default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) concurrency: u16,

    /// Evictions of one node that may await the API server's answer at once
    #[arg(long, env = "BELLWETHER_DRAINER_EVICTIONS_PER_NODE", default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) evictions_per_node: u16,

    /// Evictions of this replica that may await the API server's answer at once, over all its drains; each drain may
    /// always have one
    #[arg(long, env = "BELLWETHER_DRAINER_EVICTIONS", default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) evictions: u16,

    /// Further kinds of controllers whose pods stay as those of DaemonSets do, without a version, such as
    /// example.com/NodeSet; DaemonSets of apps and apps.kruise.io, and Datadog's ExtendedDaemonSet, stay always
    #[arg(
        long = "daemon-set-kind",
        env = "BELLWETHER_DRAINER_DAEMON_SET_KINDS",
        value_delimiter = ',',
        value_name = "GROUP/KIND"
    )]
    pub(crate) daemon_set_kinds: Vec<OwnerKind>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, Parser as _};

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_kind_of_daemon_sets_that_is_wrong_is_named_with_its_flag() {
        let args = |kinds| Args::try_parse_from(["drainer", "--daemon-set-kind", kinds]);
        let two = args("example.com/NodeSet,edge.example.com/Agents").unwrap();
        assert_eq!(two.daemon_set_kinds.len(), 2);
        for wrong in [
            "example.com/v1/NodeSet",
            "NodeSet",
            "apps/ReplicaSet",
            "example.com/NodeSet,",
        ] {
            let error = args(wrong).unwrap_err().to_string();
            assert!(error.contains("--daemon-set-kind <GROUP/KIND>"), "{error}");
        }
    }
}
