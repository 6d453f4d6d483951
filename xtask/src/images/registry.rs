//! A registry in the memory of one process, on loopback, for as long as one run lasts: stock
//! `crane` changes images only in registries.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The registry only has to open a port.
const START_LIMIT: Duration = Duration::from_secs(20);

/// Ends the registry when the other end of its input is closed: when this is dropped, and also when this
/// program is killed.
const TIED: &str = "\"$0\" \"$@\" & read -r _; kill $!";

/// A running registry; ends when dropped.
pub(crate) struct Registry {
    process: Child,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

impl Registry {
    pub(crate) fn start(crane: &Path) -> Result<Self> {
        let process = Command::new("sh")
            .args(["-c", TIED])
            .arg(crane)
            // Port 0: the system chooses a free one.
            .args(["registry", "serve", "--address", "127.0.0.1:0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", crane.display()))?;
        // Owned before anything can fail, so that the process is ended in any case.
        let mut registry = Self {
            process,
            address: String::new(),
        };
        let log = registry.process.stderr.take().context("the registry has no log")?;
        let (sender, receiver) = mpsc::channel();
        // Reads to the end: it logs every request, and a full pipe would stop it.
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some(port) = port(&line)
                    && sender.send(port).is_err()
                {
                    // The receiver is gone: the registry is being ended.
                    break;
                }
            }
        });
        let port = receiver
            .recv_timeout(START_LIMIT)
            .context("`crane registry serve` did not say on which port it serves")?;
        registry.address = format!("127.0.0.1:{port}");
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // The registry may have ended by itself, which is fine here.
        drop(self.process.wait());
    }
}

/// The port in the line that says it.
fn port(line: &str) -> Option<u16> {
    line.rsplit_once("serving on port ")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn the_port_is_found_in_its_line_only() {
        assert_eq!(port("2026/11/23 23:11:19 serving on port 34567"), Some(34567));
        assert_eq!(port("2026/11/23 23:11:19 GET /v2/ 200"), None);
    }
}
