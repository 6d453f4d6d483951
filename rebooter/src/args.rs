//! The rebooter's flags. `--help` is their reference; each has an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_chassis::args::duration;
use bellwether_chassis::{AgentArgs, ChassisArgs, RecordKeyArgs};
use bellwether_proto::setting;

use crate::reboot::command::CommandLine;

/// Reboots its own host when the attempt record of its node orders it.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-rebooter", version)]
pub(crate) struct Args {
    /// How to reboot
    #[arg(long, env = setting::REBOOT_METHOD, value_enum, default_value_t = MethodName::Logind)]
    pub(crate) reboot_method: MethodName,

    /// The host's system bus, for logind [default: run/dbus/system_bus_socket under --host-root]
    #[arg(long, env = setting::DBUS_SOCKET, value_name = "SOCKET")]
    pub(crate) dbus_socket: Option<PathBuf>,

    /// What is run to reboot, for command: an absolute path and its arguments, quoted as in a shell
    #[arg(
        long,
        env = setting::REBOOT_COMMAND,
        default_value = "/bin/systemctl reboot",
        value_name = "COMMAND"
    )]
    pub(crate) reboot_command: CommandLine,

    /// Run the command among the host's files (needs hostPID and privileged), not among those of this image
    #[arg(long, env = setting::HOST_NAMESPACES, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) host_namespaces: bool,

    /// How often the attempt record is read without a hint, since hints get lost
    #[arg(long, env = setting::REREAD_INTERVAL, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub(crate) reread_interval: Duration,

    #[command(flatten)]
    pub(crate) record_keys: RecordKeyArgs,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,
}

/// How to reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MethodName {
    /// Ask systemd-logind over D-Bus: inhibitors and the kubelet's graceful shutdown are respected.
    Logind,
    /// Run a command on the host.
    Command,
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
            ("--reboot-method", "hammer"),
            ("--reboot-command", ""),
            ("--reboot-command", "systemctl reboot"),
            ("--reboot-command", "/bin/sh -c 'open"),
            ("--host-namespaces", "perhaps"),
            ("--reread-interval", "0s"),
        ] {
            let error = Args::try_parse_from(["rebooter", "--node-name", "n1", flag, value])
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}
