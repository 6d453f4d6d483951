//! The first connection of a process: tried as soon as a server listens.
//!
//! A process that starts is mostly one of a host that has just booted, whose network, name service or NATS comes a moment
//! later, and its first report is waited for. The client's own tries get rarer, up to several seconds apart, since a try of
//! thousands of clients is dear to a server: TLS, and a question to its gatekeeper. So between the first tries this looks
//! whether a port is open, which costs a server that is not there nothing, and one that is there a single connection. A
//! server that listens and does not let the client in is left to the client's own waits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{ReconnectToServer, Server, ServerAddr};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::spread;

/// The pause between two looks: the report of a new boot is stored within a second of NATS being there.
const PAUSE: Duration = Duration::from_millis(300);

/// How long a port may take to open. While a node boots, its rules for the addresses of Services come late, and a packet
/// that was sent before them is lost for good: only another connection takes the new way.
const OPEN_MAX: Duration = Duration::from_secs(1);

/// How long a look at the name service may take, which repeats a lost question after five seconds.
const LOOKUP_MAX: Duration = Duration::from_secs(6);

/// After so long the client tries by itself: its error is what `/readyz` and the log show.
const TURN: Duration = Duration::from_secs(5);

/// For how long after its start a process looks so often. A cluster that boots as a whole is up by then.
const FIRST_FOR: Duration = Duration::from_secs(600);

/// Whether a process still waits for its first connection.
#[derive(Debug)]
pub(super) struct First {
    begun: Instant,
    /// The client has asked for a server before, so its first try has failed.
    has_tried: AtomicBool,
    /// A server has listened once.
    found: AtomicBool,
}

impl First {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            begun: now,
            has_tried: AtomicBool::new(false),
            found: AtomicBool::new(false),
        }
    }

    /// Which server to try next, and when; none: the client's own rules hold. The first try is the client's.
    pub(super) async fn next(&self, servers: &[Server]) -> Option<ReconnectToServer> {
        let is_over = self.found.load(Ordering::Relaxed) || self.begun.elapsed() >= FIRST_FOR;
        // The client counts no failure of a server whose name is not found.
        let has_tried = self.has_tried.swap(true, Ordering::Relaxed);
        if is_over || !has_tried || servers.iter().any(|server| server.did_connect) {
            return None;
        }
        let addresses = servers.iter().map(|server| server.addr.clone()).collect::<Vec<_>>();
        if let Some(addr) = first_open(&addresses).await {
            self.found.store(true, Ordering::Relaxed);
            return Some(ReconnectToServer {
                addr,
                delay: Some(spread(PAUSE)),
            });
        }
        let addr = addresses.into_iter().next()?;
        Some(ReconnectToServer {
            addr,
            delay: Some(Duration::ZERO),
        })
    }
}

/// Looks until a server listens, for no longer than a turn.
async fn first_open(servers: &[ServerAddr]) -> Option<ServerAddr> {
    let end = Instant::now() + TURN;
    while Instant::now() < end {
        sleep(spread(PAUSE)).await;
        let mut looks: FuturesUnordered<_> = servers.iter().map(listens).collect();
        while let Some(found) = looks.next().await {
            if let Some(server) = found {
                return Some(server.clone());
            }
        }
    }
    None
}

async fn listens(server: &ServerAddr) -> Option<&ServerAddr> {
    let looking_up = lookup_host((server.host(), server.port()));
    let addresses: Vec<SocketAddr> = timeout(LOOKUP_MAX, looking_up).await.ok()?.ok()?.collect();
    for address in addresses {
        if let Ok(Ok(_)) = timeout(OPEN_MAX, TcpStream::connect(address)).await {
            return Some(server);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    /// A port that no other program takes, and that is not open.
    fn closed() -> (ServerAddr, TcpSocket) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (address.to_string().parse().unwrap(), socket)
    }

    #[tokio::test]
    async fn a_server_that_listens_is_found_among_others() {
        let ((other, _other), (server, socket)) = (closed(), closed());
        let _listener = socket.listen(8).unwrap();
        let found = first_open(&[other, server.clone()]).await;
        assert_eq!(found.map(|found| found.port()), Some(server.port()));
    }

    #[tokio::test]
    async fn a_turn_ends_though_no_server_listens() {
        let (server, _socket) = closed();
        assert!(first_open(&[server]).await.is_none());
    }
}
