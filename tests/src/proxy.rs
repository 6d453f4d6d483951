//! A TCP proxy on loopback between one service and a server: the way of that one service can be silent or
//! cut while the others reach the server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports::free_port;

/// What the proxy does with connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Forwards.
    Open,
    /// Forwards nothing and closes nothing: as a router does that has lost its table.
    Silent,
    /// Closes old connections, and new ones at once.
    Cut,
}

/// The proxy. Dropped, all its connections are closed.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server: Arc<AtomicU16>,
    way: watch::Sender<Way>,
    /// Older connections than this stay silent.
    silenced: watch::Sender<u64>,
    /// Changes when all connections are to be closed.
    closed: watch::Sender<()>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of its own, in front of this port on loopback.
    pub async fn start(server: u16) -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
        let (way, changes) = watch::channel(Way::Open);
        let (silenced, birth) = watch::channel(0);
        let (closed, closing) = watch::channel(());
        let server = Arc::new(AtomicU16::new(server));
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&server), changes, birth, closing));
        Ok(Self {
            port,
            server,
            way,
            silenced,
            closed,
            _task: task,
        })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connects new connections to another server on loopback.
    pub fn redirect(&self, server: u16) {
        self.server.store(server, Ordering::Relaxed);
    }

    /// Forwards nothing more on the connections that there are, and closes none; new ones work. So it is
    /// when a router has forgotten them.
    pub fn forget_connections(&self) {
        self.silenced.send_modify(|birth| *birth += 1);
    }

    /// Closes the connections that there are; new ones work.
    pub fn close_connections(&self) {
        self.closed.send_replace(());
    }

    /// From now on does this with all connections.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(
    listener: TcpListener,
    server: Arc<AtomicU16>,
    mut way: watch::Receiver<Way>,
    silenced: watch::Receiver<u64>,
    closing: watch::Receiver<()>,
) {
    // Aborted with this task, when the proxy is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                let mut cut = way.clone();
                let mut closed = closing.clone();
                closed.mark_unchanged();
                let gate = Gate {
                    way: way.clone(),
                    birth: *silenced.borrow(),
                    silenced: silenced.clone(),
                };
                let server = server.load(Ordering::Relaxed);
                connections.spawn(async move {
                    tokio::select! {
                        _ = cut.wait_for(|way| *way == Way::Cut) => (),
                        _ = closed.changed() => (),
                        () = connect(client, server, gate) => (),
                    }
                });
            }
            Some(_) = connections.join_next() => (),
            changed = way.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Whether a connection may forward.
#[derive(Clone)]
struct Gate {
    way: watch::Receiver<Way>,
    birth: u64,
    silenced: watch::Receiver<u64>,
}

impl Gate {
    /// Returns once the connection may forward: never, if it is forgotten.
    async fn opened(&mut self) {
        // The proxy outlives its connections.
        self.way.wait_for(|way| *way == Way::Open).await.ok();
        if self.birth < *self.silenced.borrow() {
            std::future::pending().await
        }
    }
}

async fn connect(client: TcpStream, server: u16, mut gate: Gate) {
    gate.opened().await;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(
        forward(from_client, to_server, gate.clone()),
        forward(from_server, to_client, gate),
    );
}

/// Passes bytes on, and the end after them.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Gate) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        gate.opened().await;
        let passed = to.write_all(buffer.get(..count).unwrap_or_default()).await;
        if count == 0 || passed.is_err() {
            to.shutdown().await.ok();
            return;
        }
    }
}
