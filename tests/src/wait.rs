//! Waiting for a state, never for a time.
//!
//! Each wait has a limit, and its error names the awaited state and the last state found.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use tokio::time::{Instant, sleep, timeout_at};

/// The pause between two looks, to begin with: well below any wait of a test, well above the cost of a
/// look.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// How often at least: after minutes, a second more does not matter.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Waits until `look` gives a value; its error describes the state that it found instead.
pub async fn until<T>(awaited: &str, deadline: Duration, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let end = start + deadline;
    let mut last = anyhow!("no look has ended yet");
    loop {
        // A look that hangs must not outlast the limit either.
        match timeout_at(end, look()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = error,
            Err(_) => return Err(gave_up(awaited, deadline, &last)),
        }
        // Looks take time from the awaited work: each adds a fiftieth to a wait that is long already.
        let pause = (start.elapsed() / 50).clamp(POLL_INTERVAL, POLL_INTERVAL_MAX);
        if Instant::now() + pause > end {
            return Err(gave_up(awaited, deadline, &last));
        }
        sleep(pause).await;
    }
}

/// Waits until `holds` is true.
pub async fn eventually(awaited: &str, deadline: Duration, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    until(awaited, deadline, async || {
        ensure!(holds().await?, "it does not hold");
        Ok(())
    })
    .await
}

/// Waits until `look` gives something equal to `wanted`.
pub async fn until_equal<T: PartialEq + std::fmt::Debug>(
    awaited: &str,
    deadline: Duration,
    wanted: T,
    mut look: impl AsyncFnMut() -> Result<T>,
) -> Result<()> {
    until(awaited, deadline, async || {
        let found = look().await?;
        ensure!(found == wanted, "it is {found:?}, not {wanted:?}");
        Ok(())
    })
    .await
}

/// Makes sure that `holds` stays true for a while. For events that must *not* happen, where only
/// time can be awaited.
pub async fn steadily(awaited: &str, duration: Duration, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        ensure!(holds().await?, "did not last for {duration:?}: {awaited}");
        sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Bounds any future by a limit, with a message that names it.
pub async fn within<T>(awaited: &str, deadline: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout_at(Instant::now() + deadline, work).await {
        Ok(result) => result,
        Err(_) => Err(anyhow!("not within {deadline:?}: {awaited}")),
    }
}

fn gave_up(awaited: &str, deadline: Duration, last: &anyhow::Error) -> anyhow::Error {
    anyhow!("not within {deadline:?}: {awaited}; at last: {last:#}")
}
