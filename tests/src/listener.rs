//! The listening side of a server in this process: each connection is a task, and a test stops and restarts the whole.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::ports;

type Converse = dyn Fn(TcpStream) -> BoxFuture<'static, Result<()>> + Send + Sync;

/// Serves each connection of a port. Dropped or stopped, nothing listens there, and the connections are closed.
pub(crate) struct Listener {
    port: u16,
    converse: Arc<Converse>,
    task: JoinSet<()>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Listens on a port of its own. `converse` serves one connection; its error ends that connection alone, since a client
    /// notices by itself that an exchange breaks off.
    pub(crate) fn start<C>(converse: impl Fn(TcpStream) -> C + Send + Sync + 'static) -> Result<Self>
    where
        C: Future<Output = Result<()>> + Send + 'static,
    {
        let (listener, port) = ports::listener()?;
        let mut started = Self {
            port,
            converse: Arc::new(move |connection| Box::pin(converse(connection))),
            task: JoinSet::new(),
        };
        started.serve(listener);
        Ok(started)
    }

    /// Its port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Dies as a process would: nothing listens, and open connections are closed.
    pub(crate) async fn stop(&mut self) {
        self.task.shutdown().await;
    }

    /// Listens again on its port.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        self.serve(listener);
        Ok(())
    }

    fn serve(&mut self, listener: TcpListener) {
        let converse = Arc::clone(&self.converse);
        self.task.spawn(async move {
            // Aborted with this task.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((connection, _)) = accepted else { return };
                        let served = converse(connection);
                        connections.spawn(async move { drop(served.await) });
                    }
                    Some(_) = connections.join_next() => (),
                }
            }
        });
    }
}
