//! How much of the audit trail the stream of events keeps. Of a stream that is created: an operator who edits a stream is not
//! overruled.

use std::time::Duration;

use bellwether_proto::setting;
use bellwether_proto::stream::EVENTS_STREAM;

use super::duration;

/// Shortest age of an event that leaves the stream: the scheduler takes the facts of an attempt from it, and a drain may last
/// a day.
const AGE_MIN: Duration = Duration::from_secs(48 * 60 * 60);

/// Smallest size of the stream: some ten thousand events, more than two days of a rollout have.
const BYTES_MIN: i64 = 16 * 1024 * 1024;

/// Units of sizes, as Kubernetes writes them.
const UNITS: [(&str, i64); 4] = [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("Ti", 1 << 40)];

/// Flags of the services that create the stream of events.
#[derive(Debug, Clone, clap::Args)]
pub struct RetentionArgs {
    /// For how long a stream of events that is created keeps them: at least 48h
    #[arg(long, env = setting::EVENTS_MAX_AGE, default_value = "720h", value_name = "DURATION", value_parser = age)]
    pub events_max_age: Duration,

    /// How much a stream of events that is created keeps, the oldest events leave first: at least 16Mi
    #[arg(long, env = setting::EVENTS_MAX_BYTES, default_value = "512Mi", value_name = "SIZE", value_parser = bytes)]
    pub events_max_bytes: i64,

    /// How many events of each kind for each node a stream of events that is created keeps
    #[arg(long, env = setting::EVENTS_PER_NODE, default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(i64).range(64..=100_000))]
    pub events_per_node: i64,
}

impl RetentionArgs {
    /// What the contract names.
    pub const DEFAULT: Self = Self {
        events_max_age: match EVENTS_STREAM.max_age {
            Some(age) => age,
            None => AGE_MIN,
        },
        events_max_bytes: match EVENTS_STREAM.max_bytes {
            Some(bytes) => bytes,
            None => BYTES_MIN,
        },
        events_per_node: match EVENTS_STREAM.per_subject {
            Some(events) => events,
            None => -1,
        },
    };
}

fn age(text: &str) -> Result<Duration, String> {
    let age = duration(text)?;
    if age < AGE_MIN {
        return Err("is shorter than 48h: the scheduler needs the events of attempts that run".to_owned());
    }
    Ok(age)
}

fn bytes(text: &str) -> Result<i64, String> {
    let unit = UNITS.iter().find(|(unit, _)| text.ends_with(unit));
    let (number, factor) = unit.map_or((text, 1), |(unit, factor)| (text.trim_end_matches(unit), *factor));
    let size = number.parse::<i64>().ok().and_then(|number| number.checked_mul(factor));
    match size {
        Some(size) if size >= BYTES_MIN => Ok(size),
        Some(_) => Err("is less than 16Mi: the scheduler needs the events of attempts that run".to_owned()),
        None => Err("is no size: write it as 512Mi or 4Gi".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Args {
        #[command(flatten)]
        retention: RetentionArgs,
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let given = Args::parse_from(["x"]).retention;
        let default = RetentionArgs::DEFAULT;
        assert_eq!(given.events_max_age, default.events_max_age);
        assert_eq!(given.events_max_bytes, default.events_max_bytes);
        assert_eq!(given.events_per_node, default.events_per_node);
    }

    #[test]
    fn a_retention_below_what_the_scheduler_needs_is_refused_with_the_least_that_is_taken() {
        assert_eq!(age("8760h"), Ok(Duration::from_secs(365 * 24 * 3600)));
        assert_eq!(bytes("4Gi"), Ok(4 << 30));
        assert_eq!(bytes("16777216"), Ok(16 << 20));
        for (refused, part) in [
            (age("47h").unwrap_err(), "48h"),
            (age("30").unwrap_err(), "write it as"),
            (bytes("15Mi").unwrap_err(), "16Mi"),
            (bytes("-1").unwrap_err(), "16Mi"),
            (bytes("4GB").unwrap_err(), "512Mi"),
            (bytes("99999999999Ti").unwrap_err(), "512Mi"),
        ] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(Args::try_parse_from(["x", "--events-per-node", "63"]).is_err());
    }
}
