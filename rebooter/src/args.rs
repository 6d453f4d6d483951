//! The rebooter's flags. `--help` is their reference; each has an environment variable.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bellwether_chassis::args::duration;
use bellwether_chassis::{AgentArgs, ChassisArgs, RecordKeyArgs};
use bellwether_proto::setting;
use bellwether_rebooter_core::ladder::{Ladder, Step};

use crate::reboot::command::CommandLine;

/// Reboots its own host when the attempt record of its node orders it.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-rebooter", version)]
pub(crate) struct Args {
    /// How to reboot
    #[arg(long, env = setting::REBOOT_METHOD, value_enum, default_value_t = FirstMethod::Logind)]
    pub(crate) reboot_method: FirstMethod,

    /// Further methods for a host that does not obey the first one, each with its time after the first call, such as
    /// signal=3m,syscall=10m (signal: needs hostPID; command; syscall: needs hostPID and SYS_BOOT, and comes last)
    #[arg(long, env = setting::REBOOT_ESCALATION, default_value = "", hide_default_value = true, value_name = "METHOD=TIME,...")]
    pub(crate) reboot_escalation: Steps,

    /// The host's system bus, for logind and systemd [default: run/dbus/system_bus_socket under --host-root]
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

/// How to reboot at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum FirstMethod {
    /// Ask systemd-logind over D-Bus: inhibitors and the kubelet's graceful shutdown are respected.
    Logind,
    /// Signal the host's first process, which has to be a systemd: no inhibitor and no graceful shutdown counts.
    Signal,
    /// Run a command on the host.
    Command,
}

/// A way to reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodName {
    /// As [`FirstMethod::Logind`].
    Logind,
    /// As [`FirstMethod::Signal`].
    Signal,
    /// As [`FirstMethod::Command`].
    Command,
    /// The kernel stops at once.
    Syscall,
}

impl From<FirstMethod> for MethodName {
    fn from(first: FirstMethod) -> Self {
        match first {
            FirstMethod::Logind => Self::Logind,
            FirstMethod::Signal => Self::Signal,
            FirstMethod::Command => Self::Command,
        }
    }
}

/// The steps of an escalation, in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steps(pub(crate) Ladder<MethodName>);

impl FromStr for Steps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let steps = words.map(step).collect::<Result<Vec<_>, _>>()?;
        let early = steps
            .iter()
            .rev()
            .skip(1)
            .any(|step| step.method == MethodName::Syscall);
        if early {
            return Err("syscall has to be the last step: it loses what other methods would save".to_owned());
        }
        Ladder::new(steps).map(Self).map_err(|error| error.to_string())
    }
}

fn step(word: &str) -> Result<Step<MethodName>, String> {
    let (name, after) = word
        .split_once('=')
        .ok_or_else(|| format!("{word:?} has no time; write it as signal=3m"))?;
    let method = match name.trim() {
        "signal" => MethodName::Signal,
        "command" => MethodName::Command,
        "syscall" => MethodName::Syscall,
        other => return Err(format!("{other:?} is no step: signal, command and syscall are")),
    };
    let after = duration(after.trim())?;
    Ok(Step { method, after })
}

impl Args {
    /// The host's system bus.
    pub(crate) fn bus_socket(&self) -> PathBuf {
        let usual = || self.agent.host.host_root.join("run/dbus/system_bus_socket");
        self.dbus_socket.clone().unwrap_or_else(usual)
    }

    /// The first method, unless the escalation names it too.
    pub(crate) fn method(&self) -> anyhow::Result<MethodName> {
        let first = MethodName::from(self.reboot_method);
        let is_twice = self.reboot_escalation.0.steps().iter().any(|step| step.method == first);
        anyhow::ensure!(
            !is_twice,
            "--reboot-escalation ({}) names the method of --reboot-method: leave out that step",
            setting::REBOOT_ESCALATION
        );
        Ok(first)
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
    fn an_escalation_names_each_method_once_with_the_first_one() {
        let parse = |first: &str, steps: &str| {
            Args::try_parse_from([
                "rebooter",
                "--node-name",
                "n1",
                "--reboot-method",
                first,
                "--reboot-escalation",
                steps,
            ])
            .unwrap()
        };
        let args = parse("logind", "signal=3m, syscall=10m");
        let names: Vec<_> = args
            .reboot_escalation
            .0
            .steps()
            .iter()
            .map(|step| step.method)
            .collect();
        assert_eq!(names, [MethodName::Signal, MethodName::Syscall]);
        assert!(args.method().is_ok());
        let error = parse("signal", "signal=3m").method().unwrap_err().to_string();
        assert!(error.contains("--reboot-escalation"), "{error}");
        assert!(parse("logind", "").reboot_escalation.0.steps().is_empty());
    }

    #[test]
    fn a_wrong_value_names_its_flag() {
        for (flag, value) in [
            ("--reboot-method", "hammer"),
            ("--reboot-method", "syscall"),
            ("--reboot-escalation", "signal"),
            ("--reboot-escalation", "logind=3m"),
            ("--reboot-escalation", "signal=3"),
            ("--reboot-escalation", "signal=1s"),
            ("--reboot-escalation", "syscall=3m,signal=5m"),
            ("--reboot-escalation", "signal=5m,syscall=3m"),
            ("--reboot-escalation", "signal=3m,signal=5m"),
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
