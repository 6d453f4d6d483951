//! The part of attempts of which traces are exported.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MILLION: u32 = 1_000_000;

/// A part of all attempts, in millionths: from none to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracesRatio(u32);

impl TracesRatio {
    /// Whether an attempt with this trace id belongs to the part: always the same for the same id, and for a larger part
    /// too.
    #[must_use]
    pub fn samples(self, trace_id: [u8; 16]) -> bool {
        // The last seven bytes. The byte before them states in a UUID that it is one, and would make the part another one.
        let random = u128::from_be_bytes(trace_id) & ((1 << 56) - 1);
        random * u128::from(MILLION) < u128::from(self.0) << 56
    }
}

impl Default for TracesRatio {
    fn default() -> Self {
        Self(MILLION)
    }
}

impl fmt::Display for TracesRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / MILLION, self.0 % MILLION);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{rest:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl FromStr for TracesRatio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "is no part of 1; write it as 0, 0.05 or 1, with six decimals at most".to_owned();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{decimals:0<6}");
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        if whole.len() != 1 || decimals.len() > 6 || !is_number {
            return Err(wrong());
        }
        let millionths = digits.parse().ok().filter(|millionths| *millionths <= MILLION);
        millionths.map(Self).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, Generation, TraceParent};
    use jiff::Timestamp;

    fn ratio(text: &str) -> TracesRatio {
        text.parse().unwrap()
    }

    #[test]
    fn a_part_is_written_as_it_is_read() {
        for text in ["0", "1", "0.5", "0.000001", "0.25"] {
            assert_eq!(ratio(text).to_string(), text);
        }
        assert_eq!(ratio("1.0"), TracesRatio::default());
        for wrong in [
            "",
            ".5",
            "-0.1",
            "1.1",
            "2",
            "0.0000001",
            "50%",
            "1e-1",
            "0,5",
            "0.+1",
            "nan",
        ] {
            let error = wrong.parse::<TracesRatio>().unwrap_err();
            assert!(error.contains("write it as 0, 0.05 or 1"), "{wrong}: {error}");
        }
    }

    /// By the ids as they are: of a need random, of an attempt made from a name.
    #[test]
    fn the_part_is_that_of_the_attempts_whatever_kind_their_ids_are() {
        let node = "2f1c5a52-4f5f-4d43-9f1d-3d4d6e1c9a10".parse().unwrap();
        let of_attempts =
            (0..5000).map(|number| AttemptId::new(&node, Generation(number), Timestamp::UNIX_EPOCH).bytes());
        let of_needs = (0..5000).map(|_| TraceParent::random().trace_id);
        let ids: Vec<[u8; 16]> = of_attempts.chain(of_needs).collect();
        for (part, from, to) in [
            ("0", 0, 0),
            ("0.1", 850, 1150),
            ("0.5", 4700, 5300),
            ("1", 10_000, 10_000),
        ] {
            let sampled = ids.iter().filter(|id| ratio(part).samples(**id)).count();
            assert!((from..=to).contains(&sampled), "{part} of 10,000: {sampled}");
        }
        let is_kept = |id: &&[u8; 16]| !ratio("0.1").samples(**id) || ratio("0.2").samples(**id);
        assert_eq!(
            ids.iter().filter(is_kept).count(),
            ids.len(),
            "a larger part has all of the smaller one"
        );
    }
}
