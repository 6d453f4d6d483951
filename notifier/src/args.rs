//! The notifier's flags. `--help` is their reference; each has an environment variable.

use std::path::PathBuf;

use bellwether_chassis::ChassisArgs;
use bellwether_proto::setting;

/// Sends messages about reboots to chat services and webhooks.
///
/// Reads the events in NATS with the consumer that the schedulers create, and nothing else. Takes no part in a reboot.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-notifier", version)]
pub(crate) struct Args {
    /// File with targets and routes (YAML)
    #[arg(long, env = setting::NOTIFIER_CONFIG, default_value = "/etc/bellwether/notifier/config.yaml", value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Folder that keeps over a restart which messages are delivered, the threads and the numbers of the rollout
    /// [default: none, a restart may repeat messages]
    #[arg(long, env = setting::NOTIFIER_STATE, value_name = "FOLDER")]
    pub(crate) state: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,

    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
}

/// What to do instead of the service.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum Mode {
    /// Send one marked message to each target, print what it answers, and end; fails unless each has taken it
    Test {
        /// Only to this target
        #[arg(long, value_name = "NAME")]
        target: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_flags_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }
}
