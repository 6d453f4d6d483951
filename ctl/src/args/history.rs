//! The arguments of verbs about the audit trail.

use std::str::FromStr;

use bellwether_proto::NodeName;
use jiff::{SignedDuration, Timestamp};

/// Arguments of `history`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HistoryArgs {
    /// The node [default: all]
    pub(crate) node: Option<NodeName>,

    /// Compute the hashes of the trail, and compare them with the signed records
    #[arg(long)]
    pub(crate) verify: bool,

    /// Only what is younger, such as 12h or 30d, or what came after a time, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "verify")]
    pub(crate) since: Option<Since>,

    /// Only what is older, such as 12h or 30d, or what came before a time, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "verify")]
    pub(crate) until: Option<Since>,

    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = TrailForm::Table)]
    pub(crate) output: TrailForm,
}

/// Arguments of `report`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ReportArgs {
    /// The node [default: all]
    pub(crate) node: Option<NodeName>,

    /// Only reboots that ended in this span, such as 12h or 30d, or after a time, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,

    /// Form of the answer
    #[arg(long, short, value_enum, default_value_t = TrailForm::Table)]
    pub(crate) output: TrailForm,
}

/// Form of an answer from the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TrailForm {
    /// For reading.
    Table,
    /// For programs; names of fields stay as they are.
    Json,
    /// For spreadsheets, with the same columns as the table.
    Csv,
}

/// The begin of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// So long ago.
    Ago(SignedDuration),
    /// At this time.
    At(Timestamp),
}

impl Since {
    /// The time itself.
    pub(crate) fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::UNIX_EPOCH),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
        let ago = match days {
            Some(days) => Some(SignedDuration::from_hours(i64::from(days).saturating_mul(24))),
            None => text.parse::<SignedDuration>().ok(),
        };
        ago.filter(SignedDuration::is_positive).map(Self::Ago).ok_or_else(|| {
            format!("`{text}` is no time: write a span such as 12h or 30d, or a time such as 2026-12-24T18:00:00Z")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_begin_is_a_span_of_hours_or_days_or_a_time() {
        for (text, hours) in [("12h", 12), ("30d", 720), ("1h30m", 1)] {
            let Ok(Since::Ago(ago)) = text.parse::<Since>() else {
                panic!("{text}")
            };
            assert_eq!(ago.as_hours(), hours, "{text}");
        }
        let at: Timestamp = "2026-12-24T18:00:00Z".parse().unwrap();
        assert_eq!("2026-12-24T18:00:00Z".parse(), Ok(Since::At(at)));
        for wrong in ["", "soon", "-3h", "0s", "2026-12-24", "d", "99999999d"] {
            let error = wrong.parse::<Since>().unwrap_err();
            assert!(error.contains("30d"), "{error}");
        }
    }
}
