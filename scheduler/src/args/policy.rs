//! The policy's arguments. Their defaults are the core's, and one function turns them into its policy.

use std::num::NonZeroU32;

use bellwether_proto::setting;
use bellwether_scheduler_core::{Policy, TracesRatio};

use crate::args::value::{Time, time, time_or_zero};

/// How many nodes may be disrupted, and how long each step may take.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PolicyArgs {
    /// How many nodes may be disrupted at once; nodes that are down or cordoned by others count
    #[arg(long, env = setting::SLOTS, default_value_t = Policy::default().slots, value_name = "N")]
    slots: NonZeroU32,

    /// How long a drain may take before it is given up and the node uncordoned
    #[arg(long, env = setting::DRAIN_TIMEOUT, default_value_t = Time(Policy::default().drain_timeout), value_name = "TIME", value_parser = time)]
    drain_timeout: Time,

    /// How long after its order a reboot may still begin
    #[arg(long, env = setting::REBOOT_START_TIMEOUT, default_value_t = Time(Policy::default().reboot_start_timeout), value_name = "TIME", value_parser = time)]
    reboot_start_timeout: Time,

    /// How long after its order a reboot may take to show a new boot
    #[arg(long, env = setting::REBOOT_TIMEOUT, default_value_t = Time(Policy::default().reboot_timeout), value_name = "TIME", value_parser = time)]
    reboot_timeout: Time,

    /// How long a rebooted node may take to be Ready
    #[arg(long, env = setting::VERIFY_TIMEOUT, default_value_t = Time(Policy::default().verify_timeout), value_name = "TIME", value_parser = time)]
    verify_timeout: Time,

    /// How long uncordoning may take before it is reported as stuck
    #[arg(long, env = setting::UNCORDON_TIMEOUT, default_value_t = Time(Policy::default().uncordon_timeout), value_name = "TIME", value_parser = time)]
    uncordon_timeout: Time,

    /// How long a node has to stay Ready before its slot is free
    #[arg(long, env = setting::SOAK, default_value_t = Time(Policy::default().soak), value_name = "TIME", value_parser = time_or_zero)]
    soak: Time,

    /// How long a node is left alone after a failure or a cancel; doubled with each failure in a row
    #[arg(long, env = setting::RETRY_DELAY, default_value_t = Time(Policy::default().retry_delay), value_name = "TIME", value_parser = time)]
    retry_delay: Time,

    /// Start a node only once a drainer has answered that the node can be drained; =false for a drainer that answers no such
    /// questions
    #[arg(long, env = setting::CHECK_DRAINS, default_value_t = Policy::default().check_drains, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    check_drains: bool,

    /// Show the course of each reboot by conditions of its Node object; =false takes away those that are there
    #[arg(long, env = setting::NODE_CONDITIONS, default_value_t = Policy::default().node_conditions, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    node_conditions: bool,

    /// Start reboots although kured or another Bellwether is in the cluster; only if it leaves these nodes alone
    ///
    /// Rivals know nothing of each other's slots: on the same nodes, more of them would be down
    /// at once than either allows. Meant for a migration in which kured is restricted to other
    /// nodes. Cordons of another Bellwether are left alone all the same.
    #[arg(long, env = setting::TOLERATE_RIVALS, default_value_t = Policy::default().tolerate_rivals, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    tolerate_rivals: bool,

    /// Part of the attempts of which all services export traces, from 0 to 1; decided when an attempt begins
    #[arg(long, env = setting::TRACES_RATIO, default_value_t = Policy::default().traces_ratio, value_name = "PART")]
    traces_ratio: TracesRatio,
}

impl PolicyArgs {
    /// The policy for the core. The compiler refuses a policy with a field that has no argument, and
    /// an argument that sets no field.
    ///
    /// # Errors
    /// Two times do not fit together.
    pub(crate) fn policy(&self) -> anyhow::Result<Policy> {
        let &Self {
            slots,
            drain_timeout: Time(drain_timeout),
            reboot_start_timeout: Time(reboot_start_timeout),
            reboot_timeout: Time(reboot_timeout),
            verify_timeout: Time(verify_timeout),
            uncordon_timeout: Time(uncordon_timeout),
            soak: Time(soak),
            retry_delay: Time(retry_delay),
            check_drains,
            node_conditions,
            tolerate_rivals,
            traces_ratio,
        } = self;
        anyhow::ensure!(
            reboot_start_timeout < reboot_timeout,
            "--reboot-start-timeout {reboot_start_timeout:#} has to be shorter than --reboot-timeout {reboot_timeout:#}: a reboot that may begin after the deadline would hit a node that is given up",
        );
        Ok(Policy {
            slots,
            drain_timeout,
            reboot_start_timeout,
            reboot_timeout,
            verify_timeout,
            uncordon_timeout,
            soak,
            retry_delay,
            check_drains,
            node_conditions,
            tolerate_rivals,
            traces_ratio,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::*;

    #[test]
    fn the_readme_lists_every_argument_with_its_default() {
        let listed = include_str!("../../../README.md").lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| `--")?.split('|').map(str::trim);
            let flag = cells.next()?.strip_suffix('`')?;
            Some((flag.to_owned(), cells.next()?.to_owned()))
        });
        let command = PolicyArgs::augment_args(Command::new("scheduler"));
        let defined = command.get_arguments().map(|arg| {
            let default = arg.get_default_values().first().unwrap().to_str().unwrap();
            let default = match default {
                "false" => "off",
                "true" => "on",
                other => other,
            };
            (arg.get_long().unwrap().to_owned(), default.to_owned())
        });
        assert_eq!(listed.collect::<Vec<_>>(), defined.collect::<Vec<_>>());
    }
}
