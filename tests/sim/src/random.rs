//! Chance, by seed.

use crate::moment::Ms;

/// The one source of chance in a run.
#[derive(Debug)]
pub(crate) struct Random(fastrand::Rng);

/// How long messages take on one way: mostly `usual`, now and then up to `worst`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lag {
    pub(crate) usual: Ms,
    pub(crate) worst: Ms,
    /// How many of a thousand messages are slow.
    pub(crate) slow: u32,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds differ in few bits: mixed first, so that their runs have nothing in common.
        let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self(fastrand::Rng::with_seed(mixed ^ (mixed >> 31)))
    }

    /// True in so many of a thousand cases.
    pub(crate) fn chance(&mut self, of_thousand: u32) -> bool {
        of_thousand > 0 && self.0.u32(0..1_000) < of_thousand
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: Ms, high: Ms) -> Ms {
        if high <= low { low } else { self.0.i64(low..=high) }
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.0.usize(0..len.max(1))
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.index(of.len())]
    }

    pub(crate) fn delay(&mut self, lag: Lag) -> Ms {
        if self.chance(lag.slow) {
            self.between(lag.usual, lag.worst)
        } else {
            self.between(1, lag.usual)
        }
    }
}
