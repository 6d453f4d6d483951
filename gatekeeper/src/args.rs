//! The gatekeeper's flags. `--help` is their reference; each has an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_chassis::ChassisArgs;
use bellwether_chassis::args::duration;
use bellwether_gatekeeper_core::{AccountName, Table};
use bellwether_proto::permission::Role;
use bellwether_proto::setting;

/// Answers the NATS server beside it whether a client may connect, and as what.
///
/// Finds the Kubernetes API server as kubectl does: KUBECONFIG, ~/.kube/config, or the pod's service account. Connects to
/// NATS with a key of its own: it takes no credentials.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-gatekeeper", version)]
pub(crate) struct Args {
    /// Folder of the server's files: gate.conf, routes.conf, its certificate and the authority's. In memory, and shared
    /// with the server under the same path
    #[arg(
        long,
        env = setting::SERVER_DIR,
        default_value = "/etc/bellwether/gate",
        value_name = "FOLDER",
        value_parser = absolute
    )]
    pub(crate) server_dir: PathBuf,

    /// Names of the server in its certificate, separated by commas; localhost and 127.0.0.1 are in it always
    #[arg(long, env = setting::SERVER_NAMES, value_delimiter = ',', value_name = "NAME", required = true)]
    pub(crate) server_names: Vec<String>,

    /// How long a certificate of the server counts; after two thirds of it there is a new one
    #[arg(long, env = setting::CERTIFICATE_LIFETIME, default_value = "720h", value_name = "DURATION", value_parser = duration)]
    pub(crate) certificate_lifetime: Duration,

    /// Namespace of the Secret with the seed of all keys
    #[arg(long, env = setting::NAMESPACE, default_value = "bellwether", value_name = "NAMESPACE")]
    pub(crate) namespace: String,

    /// Name of that Secret
    #[arg(long, env = setting::GATE_SECRET, default_value = "bellwether-gate", value_name = "NAME")]
    pub(crate) secret: String,

    /// Namespaces of the clients, separated by commas: in each, the ConfigMap bellwether-nats-ca gets the authority's
    /// certificate
    #[arg(
        long,
        env = setting::CLIENT_NAMESPACES,
        default_value = "bellwether,bellwether-agents",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub(crate) client_namespaces: Vec<String>,

    /// How often the Secret and the ConfigMaps are looked at
    #[arg(long, env = setting::GATE_INTERVAL, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub(crate) interval: Duration,

    /// ServiceAccount of the sentinels
    #[arg(long, env = setting::SENTINEL_ACCOUNT, default_value = "bellwether-agents/sentinel", value_name = "NAMESPACE/NAME")]
    pub(crate) sentinel_account: AccountName,

    /// ServiceAccount of the rebooters
    #[arg(long, env = setting::REBOOTER_ACCOUNT, default_value = "bellwether-agents/rebooter", value_name = "NAMESPACE/NAME")]
    pub(crate) rebooter_account: AccountName,

    /// ServiceAccount of the drainers
    #[arg(long, env = setting::DRAINER_ACCOUNT, default_value = "bellwether/drainer", value_name = "NAMESPACE/NAME")]
    pub(crate) drainer_account: AccountName,

    /// ServiceAccount of the schedulers
    #[arg(long, env = setting::SCHEDULER_ACCOUNT, default_value = "bellwether/scheduler", value_name = "NAMESPACE/NAME")]
    pub(crate) scheduler_account: AccountName,

    /// ServiceAccount of the notifier, which may read events
    #[arg(long, env = setting::NOTIFIER_ACCOUNT, default_value = "bellwether/notifier", value_name = "NAMESPACE/NAME")]
    pub(crate) notifier_account: AccountName,

    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,
}

impl Args {
    /// The ServiceAccount of each role.
    pub(crate) fn table(&self) -> Result<Table, String> {
        Table::new(
            [
                (&self.sentinel_account, Role::Sentinel),
                (&self.rebooter_account, Role::Rebooter),
                (&self.drainer_account, Role::Drainer),
                (&self.scheduler_account, Role::Scheduler),
                (&self.notifier_account, Role::Notifier),
            ]
            .map(|(account, role)| (account.clone(), role)),
        )
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("is no absolute path; write it as the server finds it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_wrong_value_names_its_flag() {
        for (flag, value) in [
            ("--server-dir", "gate"),
            ("--certificate-lifetime", "0s"),
            ("--interval", "soon"),
            ("--sentinel-account", "sentinel"),
        ] {
            let line = ["gatekeeper", "--server-names", "nats", flag, value];
            let error = Args::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn two_roles_of_one_account_are_refused() {
        let line = [
            "gatekeeper",
            "--server-names",
            "nats",
            "--drainer-account",
            "bellwether/scheduler",
        ];
        let refused = Args::parse_from(line).table().unwrap_err();
        assert!(refused.contains("bellwether/scheduler"), "{refused}");
    }
}
