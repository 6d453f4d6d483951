//! The API server's way to kubelets, for `kubectl logs` and `port-forward`: it asks a proxy to
//! connect it to `node-1:10250`, and the proxy knows on which port of the rig's loopback that is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::KUBELET_PORT;

/// Longer than any request for a connection.
const MAX_HEAD: usize = 8192;

/// The running proxy.
#[derive(Debug)]
pub struct Egress {
    socket: PathBuf,
    ports: Ports,
    _task: JoinSet<()>,
}

/// The port on loopback for each `<node>:<port>`.
type Ports = Arc<Mutex<BTreeMap<String, u16>>>;

impl Egress {
    /// Listens on a socket in this folder.
    pub fn start(folder: &Path) -> Result<Self> {
        let socket = folder.join("egress.sock");
        let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let ports = Ports::default();
        let mut task = JoinSet::new();
        task.spawn(serve(listener, Arc::clone(&ports)));
        Ok(Self {
            socket,
            ports,
            _task: task,
        })
    }

    /// Where the API server finds it.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Says where a node's kubelet is.
    pub fn route(&self, node: &str, port: u16) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.insert(format!("{node}:{KUBELET_PORT}"), port);
    }
}

async fn serve(listener: UnixListener, ports: Ports) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let ports = Arc::clone(&ports);
        connections.spawn(async move {
            // The API server notices, and reports the failure to its client.
            connect(stream, &ports).await.ok();
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(mut stream: UnixStream, ports: &Ports) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < MAX_HEAD, "no request");
        ensure!(stream.read_buf(&mut head).await? > 0, "it was closed");
    }
    let head = String::from_utf8_lossy(&head);
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let port = target.and_then(|target| {
        ports
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(target)
            .copied()
    });
    let kubelet = match port {
        Some(port) => TcpStream::connect(("127.0.0.1", port)).await.ok(),
        None => None,
    };
    let Some(mut kubelet) = kubelet else {
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await?;
        return Ok(());
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut kubelet).await?;
    Ok(())
}
