//! Waiting for the order to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Returns when a signal asks the process to stop, with the signal's name.
pub(crate) async fn ordered() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}
