//! Growing waits, spread so that drains do not act in step.
//!
//! The spread comes from a seed and not from a random source, so that the same facts always give
//! the same actions.

use std::time::Duration;

use jiff::Timestamp;

/// First wait after a fault.
const FIRST: Duration = Duration::from_millis(250);

/// Spreads durations by up to a fifth in both directions, by a fixed sequence.
#[derive(Debug, Clone)]
pub struct Spread(u64);

impl Spread {
    /// The sequence that belongs to this text: another attempt has another sequence.
    #[must_use]
    pub fn seeded_by(text: &str) -> Self {
        // FNV-1a: short, and unlike std's hasher the same in every release.
        Self(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// The duration times a factor between 0.8 and 1.2.
    pub fn vary(&mut self, duration: Duration) -> Duration {
        self.times_per_mille(duration, 800, 1200)
    }

    /// The duration times a factor between 1 and 1.2: a wait that a server asks for is not shortened.
    pub fn lengthen(&mut self, duration: Duration) -> Duration {
        self.times_per_mille(duration, 1000, 1200)
    }

    fn times_per_mille(&mut self, duration: Duration, least: u32, most: u32) -> Duration {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // Per mille in whole numbers, so that every machine rounds alike.
        let span = u64::from(most.saturating_sub(least)).saturating_add(1);
        let beyond = mixed.checked_rem(span).unwrap_or_default();
        let per_mille = least.saturating_add(u32::try_from(beyond).unwrap_or_default());
        duration.saturating_mul(per_mille) / 1000
    }
}

/// Doubling waits between tries of one request.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at a quarter of a second.
    pub(crate) fn up_to(longest: Duration) -> Self {
        Self { next: FIRST, longest }
    }

    /// The instant of the next try.
    pub(crate) fn next_try(&mut self, now: Timestamp, spread: &mut Spread) -> Timestamp {
        let wait = spread.vary(self.next);
        self.next = self.next.saturating_mul(2).min(self.longest);
        after(now, wait)
    }
}

/// The instant that is `wait` after `instant`; the end of time, if there is no such instant.
pub(crate) fn after(instant: Timestamp, wait: Duration) -> Timestamp {
    instant.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_within_a_fifth() {
        let mut backoff = Backoff::up_to(Duration::from_secs(5));
        let mut spread = Spread::seeded_by("attempt");
        for ideal in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            let wait = backoff.next_try(Timestamp::UNIX_EPOCH, &mut spread).as_millisecond();
            assert!((ideal * 8 / 10..=ideal * 12 / 10).contains(&wait), "{ideal}: {wait}");
        }
    }

    #[test]
    fn two_attempts_wait_differently_and_one_attempt_always_alike() {
        let waits = |seed| {
            let mut spread = Spread::seeded_by(seed);
            [0; 8].map(|_| spread.vary(Duration::from_secs(10)))
        };
        assert_eq!(waits("a"), waits("a"));
        assert_ne!(waits("a"), waits("b"));
    }

    #[test]
    fn a_wait_that_a_server_asks_for_is_spread_and_never_shortened() {
        let mut spread = Spread::seeded_by("attempt");
        let asked = Duration::from_secs(4);
        let waits = [0; 100].map(|_| spread.lengthen(asked));
        assert!(
            waits.iter().all(|wait| (asked..=asked * 12 / 10).contains(wait)),
            "{waits:?}"
        );
        assert_ne!(waits.iter().min(), waits.iter().max());
    }

    #[test]
    fn waits_come_from_the_published_sequences_so_every_release_waits_alike() {
        // Test vectors of FNV-1a and of SplitMix64, as their authors published them.
        assert_eq!(Spread::seeded_by("").0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(Spread::seeded_by("foobar").0, 0x8594_4171_f739_67e8);
        let mut spread = Spread(1_234_567);
        for number in [
            6_457_827_717_110_365_317_u64,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ] {
            let wait = spread.vary(Duration::from_secs(1));
            assert_eq!(wait, Duration::from_millis(800 + number % 401));
        }
    }
}
