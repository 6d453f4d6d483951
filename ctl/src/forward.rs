//! The way into a pod: `kubectl port-forward`.
//!
//! So the right to forward ports in the scheduler's namespace is the right to use this tool: the API
//! server is the doorkeeper. The child lives as long as the value that owns it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_proto::mark::LEASE;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::args::ConnectArgs;
use crate::kubectl::{Kubectl, MISSING, words_of};

/// Where the scheduler listens in its pod.
const PORT: u16 = 9090;
/// Long enough for a slow credential plugin, short enough for an operator who waits.
const KUBECTL_TIMEOUT: Duration = Duration::from_secs(20);

/// A running `kubectl port-forward`.
#[derive(Debug)]
pub(crate) struct Forward {
    /// The pod at the other end.
    pub(crate) pod: String,
    /// The port at this end, on 127.0.0.1.
    pub(crate) port: u16,
    _child: Child,
    // Kept open: kubectl writes a line for each connection and would die of a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Forward {
    /// Finds the leader and opens a way to it.
    pub(crate) async fn open(args: &ConnectArgs) -> anyhow::Result<Self> {
        let kubectl = Kubectl::new(args);
        let pod = leader(&kubectl, &args.namespace).await?;
        Self::to(&kubectl, &args.namespace, &pod, PORT).await
    }

    /// Opens a way to a port of a pod.
    pub(crate) async fn to(kubectl: &Kubectl, namespace: &str, pod: &str, port: u16) -> anyhow::Result<Self> {
        let mut child = kubectl
            .command(namespace)
            .args(["port-forward", "--address=127.0.0.1"])
            .args([format!("pod/{pod}"), format!("0:{port}")])
            .spawn()
            .context(MISSING)?;
        let stdout = child.stdout.take().context("kubectl has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = timeout(KUBECTL_TIMEOUT, first_port(&mut lines))
            .await
            .with_context(|| format!("`kubectl port-forward pod/{pod}` printed nothing for {KUBECTL_TIMEOUT:?}"))??;
        match port {
            Some(port) => Ok(Self {
                pod: pod.to_owned(),
                port,
                _child: child,
                _stdout: lines,
            }),
            None => bail!(
                "`kubectl port-forward pod/{pod}` failed: {}",
                last_words(&mut child).await
            ),
        }
    }
}

async fn leader(kubectl: &Kubectl, namespace: &str) -> anyhow::Result<String> {
    let get = kubectl
        .command(namespace)
        .args(["get", "lease", LEASE, "--output=jsonpath={.spec.holderIdentity}"])
        .output();
    let output = timeout(KUBECTL_TIMEOUT, get)
        .await
        .with_context(|| format!("kubectl did not find the leader within {KUBECTL_TIMEOUT:?}"))?
        .context(MISSING)?;
    if !output.status.success() {
        bail!(
            "cannot find the leading scheduler in namespace {namespace} (another one: --namespace; \
             a known address: --scheduler): {}",
            words_of(&String::from_utf8_lossy(&output.stderr))
        );
    }
    let holder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if holder.is_empty() {
        bail!(
            "no scheduler leads at the moment: none holds the Lease {LEASE}; \
             see `kubectl --namespace {namespace} get pods`"
        );
    }
    Ok(holder)
}

async fn first_port(lines: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<Option<u16>> {
    while let Some(line) = lines.next_line().await? {
        if let Some(port) = parse_port(&line) {
            return Ok(Some(port));
        }
    }
    Ok(None)
}

fn parse_port(line: &str) -> Option<u16> {
    let (port, _) = line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(" -> ")?;
    port.parse().ok()
}

async fn last_words(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(stderr) = &mut child.stderr
        && stderr.read_to_string(&mut text).await.is_err()
    {
        text.push_str(" (its message could not be read)");
    }
    words_of(&text)
}

#[cfg(test)]
mod tests {
    use super::parse_port;

    #[test]
    fn the_local_port_is_read_from_the_line_that_names_it() {
        assert_eq!(parse_port("Forwarding from 127.0.0.1:41235 -> 9090"), Some(41235));
        assert_eq!(parse_port("Forwarding from [::1]:41235 -> 9090"), None);
        assert_eq!(parse_port("Handling connection for 41235"), None);
    }
}
