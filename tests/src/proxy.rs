//! A TCP proxy on loopback between one service and a server: the way of that one service can be silent or
//! cut while the others reach the server.

use std::net::Ipv4Addr;

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
    way: watch::Sender<Way>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of its own, in front of this port on loopback.
    pub async fn start(server: u16) -> Result<Self> {
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
        let (way, changes) = watch::channel(Way::Open);
        let mut task = JoinSet::new();
        task.spawn(accept(listener, server, changes));
        Ok(Self { port, way, _task: task })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on does this with all connections.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, server: u16, mut way: watch::Receiver<Way>) {
    // Aborted with this task, when the proxy is dropped.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { return };
                let (mut cut, open) = (way.clone(), way.clone());
                connections.spawn(async move {
                    tokio::select! {
                        _ = cut.wait_for(|way| *way == Way::Cut) => (),
                        () = connect(client, server, open) => (),
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

async fn connect(client: TcpStream, server: u16, mut way: watch::Receiver<Way>) {
    opened(&mut way).await;
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else {
        return;
    };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(
        forward(from_client, to_server, way.clone()),
        forward(from_server, to_client, way),
    );
}

/// Passes bytes on, and the end after them.
async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        opened(&mut way).await;
        let passed = to.write_all(buffer.get(..count).unwrap_or_default()).await;
        if count == 0 || passed.is_err() {
            to.shutdown().await.ok();
            return;
        }
    }
}

async fn opened(way: &mut watch::Receiver<Way>) {
    // The proxy outlives its connections.
    way.wait_for(|way| *way == Way::Open).await.ok();
}
