//! A TCP proxy on loopback between one service and a server: the way of that one service can be silent or
//! cut while the others reach the server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::ports;

/// How many reads of up to 16 kB may wait on a way that is late or silent; then no more are taken, as by a router
/// whose queue is full.
const WAITING_MAX: usize = 256;

/// What the proxy does with connections, old and new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Forwards.
    Open,
    /// Forwards everything in its order, so long after it came.
    Late(Duration),
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
    forwarded: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens on a port of its own, in front of this port on loopback.
    pub fn start(server: u16) -> Result<Self> {
        let (listener, port) = ports::listener()?;
        let (way, changes) = watch::channel(Way::Open);
        let (silenced, birth) = watch::channel(0);
        let (closed, closing) = watch::channel(());
        let server = Arc::new(AtomicU16::new(server));
        let forwarded = Arc::default();
        let gate = Gate {
            way: changes,
            birth: 0,
            silenced: birth,
            forwarded: Arc::clone(&forwarded),
        };
        let mut task = JoinSet::new();
        task.spawn(accept(listener, Arc::clone(&server), gate, closing));
        Ok(Self {
            port,
            server,
            way,
            silenced,
            closed,
            forwarded,
            _task: task,
        })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes it has forwarded so far, in both directions.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
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

async fn accept(listener: TcpListener, server: Arc<AtomicU16>, gate: Gate, closing: watch::Receiver<()>) {
    let mut way = gate.way.clone();
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
                    birth: *gate.silenced.borrow(),
                    ..gate.clone()
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
    forwarded: Arc<AtomicU64>,
}

impl Gate {
    /// Returns once what came at `arrived` may be forwarded: never, if the connection is forgotten.
    async fn opened(&mut self, arrived: Instant) {
        loop {
            let due = match *self.way.borrow_and_update() {
                Way::Open => Some(arrived),
                Way::Late(time) => Some(arrived + time),
                Way::Silent | Way::Cut => None,
            };
            tokio::select! {
                () = sleep_until(due.unwrap_or(arrived)), if due.is_some() => break,
                // The proxy outlives its connections.
                changed = self.way.changed() => if changed.is_err() {
                    break;
                },
            }
        }
        if self.birth < *self.silenced.borrow() {
            std::future::pending().await
        }
    }
}

async fn connect(client: TcpStream, server: u16, mut gate: Gate) {
    gate.opened(Instant::now()).await;
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
async fn forward(from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: Gate) {
    let (sender, mut waiting) = mpsc::channel::<(Instant, Vec<u8>)>(WAITING_MAX);
    let write = async {
        while let Some((arrived, bytes)) = waiting.recv().await {
            gate.opened(arrived).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
            let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            gate.forwarded.fetch_add(count, Ordering::Relaxed);
        }
        to.shutdown().await.ok();
        // Nothing more can be passed on, so nothing more is read.
        waiting.close();
    };
    tokio::join!(read(from, sender), write);
}

async fn read(mut from: OwnedReadHalf, sender: mpsc::Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = tokio::select! {
            count = from.read(&mut buffer) => count.unwrap_or(0),
            () = sender.closed() => 0,
        };
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if count == 0 || sender.send((Instant::now(), bytes)).await.is_err() {
            return;
        }
    }
}
