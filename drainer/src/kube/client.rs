//! The clients of the API server: one for requests and one for watches, since silence means something else to each.
//!
//! An API server whose machine dies closes no connection. A request has a time limit of its own; a watch is silent while
//! nothing changes, so the API server is asked to end each watch soon, and a connection that is silent for longer is dead.
//! Each side has its own connections: a watch that begins again never takes a dead one that a request has left.

use std::time::Duration;

use bellwether_chassis::kubernetes;
use kube::Client;

use super::request::REQUEST_TIMEOUT;

/// How long the API server keeps a watch open before it is renewed: two requests in this time for each drain, which
/// the API server answers from memory.
pub(crate) const WATCH_SECONDS: u32 = 10;

/// So long a watch may be silent: longer than a watch lasts, yet less than the time after which the watcher renews a
/// silent watch without a word, so that the drain names the fault.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 4);

/// The clients of the API server.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For requests that are answered at once.
    pub(crate) requests: Client,
    /// For watches of [`WATCH_SECONDS`], and the lists before them.
    pub(crate) watches: Client,
}

impl Clients {
    /// Both clients, with the API server as kubectl would find it.
    ///
    /// # Errors
    /// Neither a kubeconfig nor a service account is there, or one of them cannot be used.
    pub(crate) async fn set_up() -> anyhow::Result<Self> {
        let (requests, _) = kubernetes::client(REQUEST_TIMEOUT).await?;
        let (watches, _) = kubernetes::client(WATCH_SILENCE).await?;
        Ok(Self { requests, watches })
    }
}
