//! One check: a sentence of the contract, and the trial that shows whether a program keeps it.

use std::fmt;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use rig::service::Service;

/// What a sentence demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A program that breaks the sentence is no replacement.
    Must,
    /// The contract recommends it, or describes Bellwether's own program; another way is no fault.
    May,
    /// The contract leaves it open: what the program does is reported.
    Open,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Must => "must",
            Self::May => "may",
            Self::Open => "open",
        })
    }
}

/// Which other checks may run at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// Has a node of its own, and disturbs no other check.
    Beside,
    /// Stops the program, or disturbs all that it does.
    Alone,
}

/// The trial of a check, on its stage. Its error is what was observed instead.
pub(crate) type Trial<S> = for<'a> fn(&'a S) -> LocalBoxFuture<'a, Result<()>>;

/// One check.
pub(crate) struct Check<S> {
    /// Stable, for `--only` and for talking about it.
    pub(crate) id: &'static str,
    pub(crate) level: Level,
    pub(crate) manner: Manner,
    /// Waits longer than a test of each change may.
    pub(crate) slow: bool,
    /// From a page of the contract, word for word; only line breaks may differ.
    pub(crate) sentence: &'static str,
    pub(crate) trial: Trial<S>,
}

impl<S> Check<S> {
    pub(crate) fn must(id: &'static str, sentence: &'static str, trial: Trial<S>) -> Self {
        Self {
            id,
            level: Level::Must,
            manner: Manner::Beside,
            slow: false,
            sentence,
            trial,
        }
    }

    pub(crate) fn may(id: &'static str, sentence: &'static str, trial: Trial<S>) -> Self {
        Self {
            level: Level::May,
            ..Self::must(id, sentence, trial)
        }
    }

    pub(crate) fn open(id: &'static str, sentence: &'static str, trial: Trial<S>) -> Self {
        Self {
            level: Level::Open,
            ..Self::must(id, sentence, trial)
        }
    }

    /// Left out by `--fast`.
    pub(crate) fn slow(self) -> Self {
        Self { slow: true, ..self }
    }

    /// No other check runs meanwhile.
    pub(crate) fn alone(self) -> Self {
        Self {
            manner: Manner::Alone,
            ..self
        }
    }
}

/// What a trial expected, and what it observed instead.
#[derive(Debug)]
pub(crate) struct Miss {
    pub(crate) expected: String,
    pub(crate) observed: String,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; observed {}", self.expected, self.observed)
    }
}

impl std::error::Error for Miss {}

/// Ends the trial unless what was expected holds.
pub(crate) fn expect(holds: bool, expected: &str, observed: impl FnOnce() -> String) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(miss(expected, observed()))
}

/// The error of a trial.
pub(crate) fn miss(expected: &str, observed: String) -> anyhow::Error {
    let expected = expected.to_owned();
    Miss { expected, observed }.into()
}

/// The program answers on the port of its health.
pub(crate) async fn expect_health(service: &Service) -> Result<()> {
    for path in ["/livez", "/readyz"] {
        let (status, body) = service.get(path).await?;
        expect(status == 200, &format!("200 from {path}"), || {
            format!("{status} {body}")
        })?;
    }
    Ok(())
}
