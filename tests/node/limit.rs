//! A limit of time, for a CI with a limit of its own: a story that is stopped before its end reports
//! that, and has not failed.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, timeout_at};

/// Seconds that the story may take.
const LIMIT_ENV: &str = "BELLWETHER_NODE_SECONDS";

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(Instant);

impl Limit {
    /// From now on, as `cargo xtask test node` has set it.
    pub(crate) fn from_env() -> Result<Self> {
        let text = std::env::var(LIMIT_ENV).with_context(|| format!("{LIMIT_ENV}: use `cargo xtask test node`"))?;
        let seconds = text
            .parse()
            .with_context(|| format!("{LIMIT_ENV}={text}: write whole seconds"))?;
        Ok(Self(Instant::now() + Duration::from_secs(seconds)))
    }

    /// Does a part of the story, if there is time; [`TimeIsUp`] if there is not.
    pub(crate) async fn keep<T>(self, step: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        match timeout_at(self.0, work).await {
            Ok(result) => result,
            Err(_) => Err(TimeIsUp(step.to_owned()).into()),
        }
    }
}

/// The step during which the time was up.
#[derive(Debug)]
pub(crate) struct TimeIsUp(String);

impl fmt::Display for TimeIsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the time was up during: {}", self.0)
    }
}

impl std::error::Error for TimeIsUp {}
