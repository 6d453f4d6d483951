//! The flags of the drainer. Each has an environment variable; the command line wins.
//!
//! Only ranges are checked here; the meaning of a flag is documented where it is used.

use bellwether_chassis::{ChassisArgs, RecordKeyArgs, StreamArgs, TraceArgs};
use bellwether_drainer_core::OwnerKind;
use bellwether_proto::NodeLabel;

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

    /// Labels that a node gets with its cordon, as kured's flag of this name; with narrow rights name their keys there too
    #[arg(
        long = "pre-reboot-node-labels",
        env = "BELLWETHER_DRAINER_PRE_REBOOT_NODE_LABELS",
        value_delimiter = ',',
        value_name = "KEY=VALUE"
    )]
    pub(crate) pre_reboot_node_labels: Vec<NodeLabel>,

    /// Labels that a node gets with the end of its cordon, rebooted or not, in place of those before
    #[arg(
        long = "post-reboot-node-labels",
        env = "BELLWETHER_DRAINER_POST_REBOOT_NODE_LABELS",
        value_delimiter = ',',
        value_name = "KEY=VALUE"
    )]
    pub(crate) post_reboot_node_labels: Vec<NodeLabel>,

    /// Annotate nodes as kured does: weave.works/kured-reboot-in-progress while cordoned, and
    /// weave.works/kured-most-recent-reboot-needed
    #[arg(long, env = "BELLWETHER_DRAINER_ANNOTATE_NODES", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) annotate_nodes: bool,
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
    fn a_wrong_label_is_named_with_its_flag_and_the_remedy() {
        for flag in ["--pre-reboot-node-labels", "--post-reboot-node-labels"] {
            let args = |labels| Args::try_parse_from(["drainer", flag, labels]);
            assert!(args("phase=rebooting,example.com/a=").is_ok());
            let error = args("phase").unwrap_err().to_string();
            assert!(
                error.contains(flag) && error.contains("write it as KEY=VALUE"),
                "{error}"
            );
            let error = args("bellwether.dev/a=1").unwrap_err().to_string();
            assert!(error.contains(flag) && error.contains("a key of your own"), "{error}");
        }
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
