//! Arguments of the scheduler: the only place where its settings are read.

mod policy;
mod record_keys;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;

use bellwether_chassis::{ChassisArgs, StreamArgs, TraceArgs};
use bellwether_proto::{NodeName, setting};
use jiff::SignedDuration;

use crate::args::policy::PolicyArgs;
use crate::args::record_keys::RecordKeyArgs;
use crate::args::value::{lease, not_empty};
use crate::readings::DEFAULT_FOLDER;

/// Decides which node reboots when, and owns every attempt
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-scheduler", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,

    #[command(flatten)]
    pub(crate) traces: TraceArgs,

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    /// Where to serve the API for `kubectl reboots` (gRPC); keep it on localhost, kubectl port-forward reaches it there
    #[arg(
        long,
        env = setting::API_ADDRESS,
        default_value = "127.0.0.1:9090",
        value_name = "HOST:PORT"
    )]
    pub(crate) api_address: SocketAddr,

    /// Name of this replica, unique among all: its pod's name
    #[arg(long, env = setting::IDENTITY, value_name = "NAME", value_parser = not_empty)]
    pub(crate) identity: String,

    /// Namespace of the Lease by which one replica leads
    #[arg(long, env = setting::NAMESPACE, default_value = "bellwether", value_name = "NAME", value_parser = not_empty)]
    pub(crate) namespace: String,

    /// Node on which this replica runs: when it is drained, another replica on another node leads
    #[arg(long, env = setting::NODE_NAME, value_name = "NODE")]
    pub(crate) node_name: Option<NodeName>,

    /// Namespace of this installation's agents; a rebooter elsewhere is another installation's, and a rival
    #[arg(long, env = setting::AGENTS_NAMESPACE, default_value = "bellwether-agents", value_name = "NAME", value_parser = not_empty)]
    pub(crate) agents_namespace: String,

    /// How long a leader that has died still counts as leading
    #[arg(long, env = setting::LEASE_DURATION, default_value = "15s", value_name = "TIME", value_parser = lease)]
    pub(crate) lease_duration: SignedDuration,

    /// Folder in which to record everything that decisions depend on, for a report of a fault
    ///
    /// Each replica writes one file, named by its --identity, from its start on until the file has
    /// 256 MiB, and keeps the file before. It holds names of nodes, reports and orders, and no credential.
    #[arg(long, env = setting::RECORD_INPUTS, value_name = "FOLDER")]
    pub(crate) record_inputs: Option<PathBuf>,

    /// Folder of the files that the gates of RebootPolicies may name: tokens, passwords, certificates of authorities
    ///
    /// A policy names a file below this folder and no other one, since a gate sends the content of such a file to the
    /// server that the policy names. The files are read for each query, so a renewed secret needs no restart.
    #[arg(long, env = setting::GATE_SECRETS, default_value = DEFAULT_FOLDER, value_name = "FOLDER")]
    pub(crate) gate_secrets: PathBuf,

    /// Also publish kured's metric `kured_reboot_required`, by node, for alerts and dashboards that read that
    #[arg(long, env = setting::KURED_METRIC, default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) kured_metric: bool,

    #[command(flatten)]
    pub(crate) record_keys: RecordKeyArgs,

    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
}

#[cfg(test)]
mod tests {
    use bellwether_scheduler_core::Policy;
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    fn parse(more: &[&str]) -> Result<Args, String> {
        let identity = ["--identity=one"]
            .iter()
            .filter(|_| !more.iter().any(|arg| arg.starts_with("--identity")));
        let args = ["bellwether-scheduler"].iter().chain(identity).chain(more);
        Args::try_parse_from(args).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_cores_defaults() {
        assert_eq!(parse(&[]).unwrap().policy.policy().unwrap(), Policy::default());
    }

    #[test]
    fn a_wrong_value_names_the_flag_and_the_remedy() {
        for (flag, value, remedy) in [
            ("--slots", "0", "non-zero"),
            ("--soak", "-1s", "between 0s and 24h"),
            ("--drain-timeout", "30", "write it as 90s, 30m or 2h"),
            ("--drain-timeout", "0s", "at least 1s"),
            ("--lease-duration", "1s", "at least 3s"),
            ("--nats-url", "::", "nats://HOST:PORT"),
            ("--identity", "", "is empty"),
            ("--agents-namespace", "", "is empty"),
            ("--tolerate-rivals", "kured", "true, false"),
            ("--traces-ratio", "5", "write it as 0, 0.05 or 1"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(
                error.contains(remedy) && error.contains(flag),
                "{flag}={value}: {error}"
            );
        }
    }

    #[test]
    fn every_variable_is_named_after_its_flag() {
        let command = Args::command();
        let named = command
            .get_arguments()
            .filter_map(|arg| Some((arg.get_long()?, arg.get_env()?)));
        let own = named.filter(|(_, variable)| variable.to_str().unwrap().starts_with("BELLWETHER_"));
        let own: Vec<_> = own.collect();
        assert!(own.iter().any(|(flag, _)| *flag == "drain-timeout"), "{own:?}");
        for (flag, variable) in own {
            let expected = format!("BELLWETHER_{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(variable.to_str(), Some(&*expected));
        }
    }

    #[test]
    fn rivals_are_tolerated_only_by_the_flag() {
        for (more, tolerated) in [
            (&[][..], false),
            (&["--tolerate-rivals"], true),
            (&["--tolerate-rivals=false"], false),
        ] {
            let policy = parse(more).unwrap().policy.policy().unwrap();
            assert_eq!(policy.tolerate_rivals, tolerated, "{more:?}");
        }
    }

    #[test]
    fn a_key_may_not_be_replaced_before_it_signs() {
        let args = |lifetime| parse(&["--record-key-lifetime", lifetime, "--record-key-notice", "20s"]);
        let error = args("20s").unwrap().record_keys.lifetime().unwrap_err();
        assert!(error.to_string().contains("--record-key-notice"), "{error}");
        assert_eq!(
            args("21s").unwrap().record_keys.lifetime().unwrap(),
            SignedDuration::from_secs(21)
        );
        assert!(args("400d").is_err() && args("0s").is_err());
    }

    #[test]
    fn a_reboot_may_not_begin_after_its_deadline() {
        let error = parse(&["--reboot-timeout", "1m"]).unwrap().policy.policy().unwrap_err();
        assert!(error.to_string().contains("--reboot-start-timeout"), "{error}");
    }
}
