//! The arguments. `--help` is their reference; wrong arguments are refused here, with exit code 2.

mod history;
mod notify;

use std::path::PathBuf;
use std::str::FromStr;

use bellwether_proto::{NodeName, setting};
use jiff::{SignedDuration, Timestamp};
use tonic::transport::Endpoint;

pub(crate) use self::history::{HistoryArgs, ReportArgs, TrailForm};
pub(crate) use self::notify::{NotifyPreviewArgs, NotifyTestArgs, NotifyVerb};

/// Rolling reboots of Kubernetes nodes: their state, its reasons, and the remedies
///
/// Exit codes: 0 done, 1 it failed (the reason is on standard error) or a check found a problem,
/// 2 wrong usage, 130 interrupted.
#[derive(Debug, clap::Parser)]
#[command(
    name = "kubectl-reboots",
    bin_name = "kubectl reboots",
    version,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,

    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Arguments that name the scheduler and the cluster.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ConnectArgs {
    /// Addresses of the schedulers, separated by commas; they are tried until one leads
    /// [default: the leader's pod, through `kubectl port-forward`]
    #[arg(
        long,
        global = true,
        env = setting::SCHEDULER,
        value_name = "HOST:PORT",
        value_delimiter = ','
    )]
    pub(crate) scheduler: Vec<Address>,

    /// Namespace of the scheduler
    #[arg(long, short, global = true, default_value = "bellwether")]
    pub(crate) namespace: String,

    /// Context that kubectl uses
    #[arg(long, global = true)]
    pub(crate) context: Option<String>,

    /// Kubeconfig file that kubectl uses
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Requests and orders for the leading scheduler.
    #[command(flatten)]
    Fleet(FleetVerb),
    /// Rehearse a drain: whether a node, or each one, could be drained now, and what keeps its pods; changes nothing
    ///
    /// Fails unless every node could be drained, so that a script may wait for that.
    DrainCheck(DrainCheckArgs),
    /// List the phases of a node's reboots, or of all, from the audit trail
    ///
    /// With --verify it states instead whether the trail is whole, and fails if it is not.
    History(HistoryArgs),
    /// Sum up the audit trail: how long each node needed a reboot, its reboots, kernels and failures
    Report(ReportArgs),
    /// Check whether Bellwether is deployed right and can work; changes nothing
    Check(CheckArgs),
    /// Before a removal: report whether it is safe now. After it: list every trace. Changes nothing
    UninstallCheck(CheckArgs),
    /// Work with RebootPolicies
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// See what the notifier's targets get
    #[command(subcommand)]
    Notify(NotifyVerb),
    /// Translate the settings of kured into a RebootPolicy and settings that do the same; changes nothing
    ///
    /// Fails while kured runs or its lock is held, unless --print is given.
    Migrate(MigrateArgs),
}

/// Verbs for policies.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum PolicyVerb {
    /// Read policies from files: their meaning, their next openings, and every mistake; changes nothing
    Check(PolicyCheckArgs),
}

/// Arguments of `policy check`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PolicyCheckArgs {
    /// Files with RebootPolicies as YAML or JSON; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The time to look from, such as 2026-12-24T18:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Timestamp>,

    /// Show which nodes of the cluster each policy would govern, beside the policies that are there
    #[arg(long)]
    pub(crate) cluster: bool,

    /// The same without a cluster, for nodes that `kubectl get nodes -o yaml` (or json) saved; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "cluster")]
    pub(crate) nodes: Option<PathBuf>,
}

/// Arguments of `migrate`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MigrateArgs {
    /// Read kured's settings from this file instead of the cluster: the manifest of its DaemonSet, or the values of its
    /// chart, as YAML or JSON; `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Translate only: also while kured runs or its lock is held. With --file the cluster is not asked
    #[arg(long)]
    pub(crate) print: bool,

    /// The DaemonSet, if there are several of kured
    #[arg(long, value_name = "[NAMESPACE/]NAME")]
    pub(crate) daemon_set: Option<String>,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = MigrateForm::Report)]
    pub(crate) output: MigrateForm,
}

/// What `migrate` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MigrateForm {
    /// All of it, for reading.
    Report,
    /// The RebootPolicy alone, as a file for kubectl apply.
    Policy,
    /// The settings alone, as a component for an overlay of kustomize.
    Overlay,
    /// All of it, for programs; names of fields stay as they are.
    Json,
}

/// Requests and orders for the leading scheduler.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum FleetVerb {
    /// Show all nodes, with the reason of each that waits
    Status(StatusArgs),
    /// Explain a node: its state, the reason, since when, and its past events
    Explain(ExplainArgs),
    /// Show the nodes that wait for a reboot, in the order in which they go
    Queue(QueueArgs),
    /// Follow the events of all nodes, or of one, until Ctrl-C
    Watch {
        /// Only of this node
        node: Option<NodeName>,
    },
    /// Start no new reboots, of all nodes or of a policy's; attempts under way continue
    Pause {
        /// Only of the nodes that this RebootPolicy governs
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        #[command(flatten)]
        terms: OrderTerms,
    },
    /// Start reboots again after a pause
    Resume {
        /// End the pause of this RebootPolicy
        #[arg(long, value_name = "NAME")]
        policy: Option<String>,
        #[command(flatten)]
        operator: Operator,
    },
    /// Hold a node: no new reboot starts there until `release`; an attempt under way continues
    Hold {
        /// The node
        node: NodeName,
        #[command(flatten)]
        terms: OrderTerms,
    },
    /// Skip a node: its present need is left unserved, and a need that begins later is served again
    Skip {
        /// The node
        node: NodeName,
        #[command(flatten)]
        terms: OrderTerms,
    },
    /// End the hold and the skip of a node
    Release {
        /// The node
        node: NodeName,
        #[command(flatten)]
        operator: Operator,
    },
    /// Approve the reboot of a node, or of all nodes of a policy, where the policy demands an approval
    Approve {
        #[command(flatten)]
        subject: ApproveSubject,
        /// Take the approval back
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        terms: OrderTerms,
    },
    /// Reboot a node that needs it now: first and outside of its windows, within budget and all other gates
    Now {
        /// The node
        node: NodeName,
        /// Take the order back
        #[arg(long)]
        revoke: bool,
        #[command(flatten)]
        terms: OrderTerms,
    },
    /// Cancel a node's reboot, or release the slot that a failed one still holds
    Cancel {
        /// The node
        node: NodeName,
        /// The reason; shown with the node's past events
        #[arg(long, default_value = "")]
        reason: String,
        #[command(flatten)]
        operator: Operator,
    },
}

/// Arguments of `status`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct StatusArgs {
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,

    /// Show it again when it changes, until Ctrl-C
    #[arg(long, short)]
    pub(crate) watch: bool,
}

/// The subject of an approval.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ApproveSubject {
    /// The node
    pub(crate) node: Option<NodeName>,

    /// All nodes that this RebootPolicy governs
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
}

/// The terms of an order.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct OrderTerms {
    /// The reason; shown with the nodes
    #[arg(long, default_value = "")]
    pub(crate) reason: String,

    /// The time after which the order ends by itself, such as 90m or 12h
    /// [default: a pause, hold or skip never, an approval after 24h, a reboot now after 1h]
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<SignedDuration>,

    #[command(flatten)]
    pub(crate) operator: Operator,
}

/// Arguments of `queue`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct QueueArgs {
    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// The subject of a rehearsal.
#[derive(Debug, Clone, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct DrainCheckSubject {
    /// The node
    pub(crate) node: Option<NodeName>,

    /// All nodes, one after the other
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `drain-check`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct DrainCheckArgs {
    #[command(flatten)]
    pub(crate) subject: DrainCheckSubject,

    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = CheckForm::Table)]
    pub(crate) output: CheckForm,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The node
    pub(crate) node: NodeName,

    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// Arguments of `check` and `uninstall-check`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CheckArgs {
    /// Namespace of sentinel and rebooter
    #[arg(long, default_value = "bellwether-agents", value_name = "NAMESPACE")]
    pub(crate) agents_namespace: String,

    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = CheckForm::Table)]
    pub(crate) output: CheckForm,
}

/// Form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CheckForm {
    /// For reading.
    Table,
    /// For programs; names of fields stay as they are.
    Json,
}

/// The operator who gives an order.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Operator {
    /// Name of the operator, for the record
    #[arg(long = "as-name", env = "USER", default_value = "somebody", value_name = "NAME")]
    pub(crate) by: String,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For reading.
    Table,
    /// For reading, with more details.
    Wide,
    /// For programs; names of fields stay as they are.
    Json,
}

/// The address of a scheduler.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// As it was given, for messages.
    pub(crate) text: String,
    /// The same for the transport.
    pub(crate) endpoint: Endpoint,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no address: write it as HOST:PORT, for example 127.0.0.1:9090");
        let authority = text.strip_prefix("http://").unwrap_or(text);
        if authority.contains('/') {
            return Err(wrong());
        }
        let endpoint = Endpoint::from_shared(format!("http://{authority}")).map_err(|_| wrong())?;
        match endpoint.uri().port_u16() {
            Some(_) => Ok(Self {
                text: authority.to_owned(),
                endpoint,
            }),
            None => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in ["127.0.0.1:9090", "http://scheduler:9090", "[::1]:9090"] {
            assert!(good.parse::<Address>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "scheduler",
            "https://scheduler:9090",
            "scheduler:port",
            "scheduler:9090/path",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
