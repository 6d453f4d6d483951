//! The sentinel's flags. `--help` is their reference; each has an environment variable.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_chassis::args::duration;
use bellwether_chassis::{AgentArgs, ChassisArgs};
use bellwether_proto::setting;
use bellwether_sentinel_core::setting::{Probes, probes};

/// Watches its host and reports whether it needs a reboot.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-sentinel", version)]
pub(crate) struct Args {
    /// The sentinel file: while it exists the host needs a reboot. A path of the host; its directory is watched
    #[arg(
        long,
        env = setting::SENTINEL_FILE,
        default_value = "/var/run/reboot-required",
        value_name = "FILE",
        value_parser = sentinel_file
    )]
    pub(crate) sentinel_file: PathBuf,

    /// What shows that the host needs a reboot: entries of KIND NAME=VALUE, separated by `;`. Kinds: file (path), kernel,
    /// uptime (older-than), command (preset, max-age); each also takes name, interval and limit. See docs/probes.md
    #[arg(long, env = setting::PROBES, default_value = "file", value_name = "LIST", value_parser = probes)]
    pub(crate) probes: Probes,

    /// How often the host is looked at without a hint, since hints get lost on some file systems
    #[arg(long, env = setting::RESCAN_INTERVAL, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub(crate) rescan_interval: Duration,

    #[command(flatten)]
    pub(crate) agent: AgentArgs,

    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,
}

fn sentinel_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() && path.file_name().is_some() {
        Ok(path)
    } else {
        Err("is not the absolute path of a file; write it as /var/run/reboot-required".to_owned())
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
            ("--node-name", "No Name"),
            ("--sentinel-file", "reboot-required"),
            ("--rescan-interval", "0s"),
            ("--probes", "command preset=none"),
            ("--probes", "file path=reboot-required"),
            ("--probes", "kernel interval=0s"),
            ("--probes", "file; file"),
            ("--refresh-interval", "often"),
            ("--log", "info=loud=x"),
        ] {
            let line: &[&str] = match flag {
                "--node-name" => &["sentinel", flag, value],
                _ => &["sentinel", "--node-name", "n1", flag, value],
            };
            let error = Args::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(flag), "{error}");
        }
    }
}
