//! Commands for a machine, over a console of its own: it works without a network, without
//! Kubernetes, and again after each reboot.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use uuid::Uuid;

use crate::wait;

/// An emulated machine under load takes its time.
const DEADLINE: Duration = Duration::from_secs(180);

/// The rig's end of the console.
#[derive(Debug)]
pub struct Shell {
    socket: PathBuf,
}

impl Shell {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Runs one line; returns its output. A status other than 0 is an error.
    pub(super) async fn run(&self, line: &str) -> Result<String> {
        ensure!(!line.contains('\n'), "a command is one line");
        wait::within("an answer on the console", DEADLINE, self.ask(line)).await
    }

    async fn ask(&self, line: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket).await.context("the machine is off")?;
        // The answer to an older question may still be on its way: each has its own mark.
        let mark = Uuid::new_v4().to_string();
        stream.write_all(format!("{mark} {line}\n").as_bytes()).await?;
        let (begin, end) = (format!("\u{2}{mark}\n"), format!("\u{4}{mark} "));
        let mut bytes = Vec::new();
        loop {
            let count = stream.read_buf(&mut bytes).await?;
            ensure!(count > 0, "the machine went off");
            let text = String::from_utf8_lossy(&bytes);
            let Some((_, text)) = text.split_once(&begin) else {
                continue;
            };
            let Some((output, status)) = text.split_once(&end) else {
                continue;
            };
            match status.strip_suffix('\n') {
                Some("0") => return Ok(output.to_owned()),
                Some(status) => bail!("status {status}: {}", output.trim()),
                None => {}
            }
        }
    }
}
