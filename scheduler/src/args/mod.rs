//! Arguments of the scheduler, and the policy that follows from them.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use bellwether_chassis::{ChassisArgs, StreamArgs};
use bellwether_scheduler_core::Policy;
use jiff::SignedDuration;

/// Decides which node reboots when, and owns every attempt
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "bellwether-scheduler", version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) chassis: ChassisArgs,

    #[command(flatten)]
    pub(crate) streams: StreamArgs,

    /// Where to serve the fleet to people (gRPC); keep it on localhost, kubectl port-forward reaches it there
    #[arg(
        long,
        env = "BELLWETHER_API_ADDRESS",
        default_value = "127.0.0.1:9090",
        value_name = "HOST:PORT"
    )]
    pub(crate) api_address: SocketAddr,

    /// Name of this replica, unique among all: its pod's name
    #[arg(long, env = "BELLWETHER_IDENTITY", value_name = "NAME", value_parser = not_empty)]
    pub(crate) identity: String,

    /// Namespace of the Lease by which one replica leads
    #[arg(long, env = "BELLWETHER_NAMESPACE", default_value = "bellwether", value_name = "NAME", value_parser = not_empty)]
    pub(crate) namespace: String,

    /// Namespace of this installation's agents; a rebooter elsewhere is another installation's, and a rival
    #[arg(long, env = "BELLWETHER_AGENTS_NAMESPACE", default_value = "bellwether-agents", value_name = "NAME", value_parser = not_empty)]
    pub(crate) agents_namespace: String,

    /// How long a leader that has died still counts as leading
    #[arg(long, env = "BELLWETHER_LEASE_DURATION", default_value = "15s", value_name = "TIME", value_parser = lease)]
    pub(crate) lease_duration: SignedDuration,

    /// How many nodes may be disrupted at once; nodes that are down or cordoned by others count
    #[arg(long, env = "BELLWETHER_SLOTS", default_value = "1", value_name = "N")]
    pub(crate) slots: NonZeroU32,

    /// How long a drain may take before it is given up and the node uncordoned
    #[arg(long, env = "BELLWETHER_DRAIN_TIMEOUT", default_value = "30m", value_name = "TIME", value_parser = time)]
    pub(crate) drain_timeout: SignedDuration,

    /// How long after its order a reboot may still begin
    #[arg(long, env = "BELLWETHER_REBOOT_START_TIMEOUT", default_value = "5m", value_name = "TIME", value_parser = time)]
    pub(crate) reboot_start_timeout: SignedDuration,

    /// How long after its order a reboot may take to show a new boot
    #[arg(long, env = "BELLWETHER_REBOOT_TIMEOUT", default_value = "20m", value_name = "TIME", value_parser = time)]
    pub(crate) reboot_timeout: SignedDuration,

    /// How long a rebooted node may take to be Ready
    #[arg(long, env = "BELLWETHER_VERIFY_TIMEOUT", default_value = "10m", value_name = "TIME", value_parser = time)]
    pub(crate) verify_timeout: SignedDuration,

    /// How long uncordoning may take before it is reported as stuck
    #[arg(long, env = "BELLWETHER_UNCORDON_TIMEOUT", default_value = "2m", value_name = "TIME", value_parser = time)]
    pub(crate) uncordon_timeout: SignedDuration,

    /// How long a node has to stay Ready before its slot is free
    #[arg(long, env = "BELLWETHER_SOAK", default_value = "30s", value_name = "TIME", value_parser = time_or_zero)]
    pub(crate) soak: SignedDuration,

    /// How long a node is left alone after a failure or a cancel; doubled with each failure in a row
    #[arg(long, env = "BELLWETHER_RETRY_DELAY", default_value = "10m", value_name = "TIME", value_parser = time)]
    pub(crate) retry_delay: SignedDuration,

    /// Start reboots although kured or another Bellwether is in the cluster; only if it leaves these nodes alone
    ///
    /// Rivals know nothing of each other's slots: on the same nodes, more of them would be down
    /// at once than either allows. Meant for a migration in which kured is restricted to other
    /// nodes. Cordons of another Bellwether are left alone all the same.
    #[arg(long, env = "BELLWETHER_TOLERATE_RIVALS", default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) tolerate_rivals: bool,
}

impl Args {
    /// The policy, if the times fit together.
    pub(crate) fn policy(&self) -> anyhow::Result<Policy> {
        anyhow::ensure!(
            self.reboot_start_timeout < self.reboot_timeout,
            "--reboot-start-timeout {:#} has to be shorter than --reboot-timeout {:#}: a reboot that may begin after the deadline would hit a node that is given up",
            self.reboot_start_timeout,
            self.reboot_timeout,
        );
        Ok(Policy {
            slots: self.slots,
            drain_timeout: self.drain_timeout,
            reboot_start_timeout: self.reboot_start_timeout,
            reboot_timeout: self.reboot_timeout,
            verify_timeout: self.verify_timeout,
            uncordon_timeout: self.uncordon_timeout,
            soak: self.soak,
            retry_delay: self.retry_delay,
            tolerate_rivals: self.tolerate_rivals,
        })
    }
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(text.to_owned())
}

fn time_or_zero(text: &str) -> Result<SignedDuration, String> {
    let time: SignedDuration = text
        .parse()
        .map_err(|error| format!("{error}; write it as 90s, 30m or 2h"))?;
    // A day: what takes longer is not waited for, it is looked at by a person.
    if time.is_negative() || time > SignedDuration::from_hours(24) {
        return Err("has to be between 0s and 24h".to_owned());
    }
    Ok(time)
}

fn time(text: &str) -> Result<SignedDuration, String> {
    let time = time_or_zero(text)?;
    if time < SignedDuration::from_secs(1) {
        return Err("has to be at least 1s".to_owned());
    }
    Ok(time)
}

fn lease(text: &str) -> Result<SignedDuration, String> {
    let time = time(text)?;
    if time < SignedDuration::from_secs(3) || time.subsec_nanos() != 0 {
        return Err("has to be whole seconds, at least 3s".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

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
        assert_eq!(parse(&[]).unwrap().policy().unwrap(), Policy::default());
    }

    #[test]
    fn a_wrong_value_names_the_flag_and_the_remedy() {
        for (flag, value, said) in [
            ("--slots", "0", "non-zero"),
            ("--soak", "-1s", "between 0s and 24h"),
            ("--drain-timeout", "30", "write it as 90s, 30m or 2h"),
            ("--drain-timeout", "0s", "at least 1s"),
            ("--lease-duration", "1s", "at least 3s"),
            ("--nats-url", "::", "nats://HOST:PORT"),
            ("--identity", "", "is empty"),
            ("--agents-namespace", "", "is empty"),
            ("--tolerate-rivals", "kured", "true, false"),
        ] {
            let error = parse(&[&format!("{flag}={value}")]).unwrap_err();
            assert!(error.contains(said) && error.contains(flag), "{flag}={value}: {error}");
        }
    }

    #[test]
    fn rivals_are_tolerated_only_if_it_is_said() {
        for (more, tolerated) in [
            (&[][..], false),
            (&["--tolerate-rivals"], true),
            (&["--tolerate-rivals=false"], false),
        ] {
            let policy = parse(more).unwrap().policy().unwrap();
            assert_eq!(policy.tolerate_rivals, tolerated, "{more:?}");
        }
    }

    #[test]
    fn a_reboot_may_not_begin_after_its_deadline() {
        let error = parse(&["--reboot-timeout", "1m"]).unwrap().policy().unwrap_err();
        assert!(error.to_string().contains("--reboot-start-timeout"), "{error}");
    }
}
