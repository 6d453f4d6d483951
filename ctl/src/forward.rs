//! The way to the leading scheduler when no address is given: `kubectl port-forward` to its pod.
//!
//! So whoever may do that in the scheduler's namespace may use this tool, and nobody else:
//! the API server is the doorkeeper. The child lives as long as the value that owns it.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::args::ConnectArgs;

/// The Lease by which the schedulers agree on who leads; its holder is the leader's pod.
const LEASE: &str = "bellwether-scheduler";
/// Where the scheduler listens in its pod.
const PORT: u16 = 9090;
/// Long enough for a slow credential plugin, short enough for a person who waits.
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
        let pod = leader(args).await?;
        let mut child = kubectl(args)
            .args(["port-forward", "--address=127.0.0.1"])
            .args([format!("pod/{pod}"), format!("0:{PORT}")])
            .spawn()
            .context(MISSING)?;
        let stdout = child.stdout.take().context("kubectl has no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let port = timeout(KUBECTL_TIMEOUT, first_port(&mut lines))
            .await
            .with_context(|| format!("`kubectl port-forward pod/{pod}` said nothing for {KUBECTL_TIMEOUT:?}"))??;
        match port {
            Some(port) => Ok(Self {
                pod,
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

const MISSING: &str = "cannot run kubectl: install it or give the scheduler's address by --scheduler";

fn kubectl(args: &ConnectArgs) -> Command {
    let mut command = Command::new("kubectl");
    command.arg("--namespace").arg(&args.namespace);
    if let Some(context) = &args.context {
        command.arg("--context").arg(context);
    }
    if let Some(file) = &args.kubeconfig {
        command.arg("--kubeconfig").arg(file);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn leader(args: &ConnectArgs) -> anyhow::Result<String> {
    let namespace = &args.namespace;
    let get = kubectl(args)
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
            "no scheduler leads at the moment: nobody holds the Lease {LEASE}; \
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

/// What kubectl says, without its log lines (`E1122 17:56:14.861650 …`), which repeat it at length.
fn words_of(stderr: &str) -> String {
    let is_log = |line: &&str| {
        let stamp = line.split(' ').next().unwrap_or_default();
        let digits = stamp.strip_prefix(['I', 'W', 'E', 'F']).unwrap_or_default();
        digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let words: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_log(line))
        .collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::{parse_port, words_of};

    #[test]
    fn of_what_kubectl_writes_only_its_words_are_shown() {
        let stderr = "E1122 17:56:14.861650    5526 memcache.go:265] \"Unhandled Error\"\nEvery end is hard\n";
        assert_eq!(words_of(stderr), "Every end is hard");
    }

    #[test]
    fn the_local_port_is_read_from_the_line_that_names_it() {
        assert_eq!(parse_port("Forwarding from 127.0.0.1:41235 -> 9090"), Some(41235));
        assert_eq!(parse_port("Forwarding from [::1]:41235 -> 9090"), None);
        assert_eq!(parse_port("Handling connection for 41235"), None);
    }
}
