//! The real kubectl, and the objects that it renders from the deploy folder.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::record_keys::NAME;
use crate::{tools, wait};

/// For any command: longer than the longest wait that is asked of one, a rollout on real nodes. What
/// takes longer hangs, and its name is all that a reader of the log needs.
const DEADLINE: Duration = Duration::from_secs(660);

/// Kinds that the rig applies for real. Workloads are left out: their images do not exist here,
/// and the services run as processes.
const APPLIED_KINDS: [&str; 10] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "PriorityClass",
    "Role",
    "RoleBinding",
    "ServiceAccount",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// kubectl with the rig's admin rights.
#[derive(Clone, Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
    home: PathBuf,
}

/// A way into a pod.
#[derive(Debug)]
pub struct Forward {
    /// Its beginning, on loopback.
    pub port: u16,
    _child: Child,
    // Kept, or kubectl could not write its next line.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Kubectl {
    /// kubectl with the rights of this kubeconfig file, and a home folder of its own.
    #[must_use]
    pub fn new(kubeconfig: PathBuf, home: PathBuf) -> Self {
        Self { kubeconfig, home }
    }

    /// Runs it with these arguments and this input; returns its output.
    pub async fn run(&self, args: &[&str], input: &str) -> Result<String> {
        let output = self.output(args, input).await?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("`kubectl {}`: {}", args.join(" "), errors.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs it with these arguments and this input, however it ends.
    async fn output(&self, args: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(tools::tool("kubectl")?);
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .current_dir(tools::repository())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        wait::within(&format!("`kubectl {}` to end", args.join(" ")), DEADLINE, async {
            let mut child = command.spawn().context("cannot start kubectl")?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes()).await?;
            }
            Ok(child.wait_with_output().await?)
        })
        .await
    }

    /// Opens a way from a port of this machine to a port of a pod, which lasts as long as the value.
    pub async fn forward(&self, namespace: &str, pod: &str, port: u16) -> Result<Forward> {
        let mut command = Command::new(tools::tool("kubectl")?);
        let mut child = command
            .args(["port-forward", "--address=127.0.0.1", "--namespace", namespace])
            .args([&format!("pod/{pod}"), &format!(":{port}")])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start kubectl")?;
        let output = child.stdout.take().context("its output")?;
        let mut lines = BufReader::new(output).lines();
        let line = wait::within("kubectl to open a way", DEADLINE, async {
            Ok(lines.next_line().await?)
        })
        .await?;
        // "Forwarding from 127.0.0.1:40123 -> 4222"
        let line = line.context("kubectl port-forward ended")?;
        let local = line.split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:"));
        Ok(Forward {
            port: local.with_context(|| format!("no port in {line:?}"))?.parse()?,
            _child: child,
            _lines: lines,
        })
    }

    /// All objects of a kustomize folder, as the YAML documents that would be applied.
    pub async fn render(&self, folder: &Path) -> Result<Vec<String>> {
        let folder = folder.to_string_lossy().into_owned();
        let text = self.run(&["kustomize", &folder], "").await?;
        Ok(text.split("\n---\n").map(|document| format!("{document}\n")).collect())
    }

    /// Applies identities, rights and definitions of resources of a kustomize folder, without its workloads.
    pub async fn apply_rights(&self, folder: &Path) -> Result<()> {
        let documents = self.render(folder).await?;
        let wanted: Vec<String> = documents
            .into_iter()
            .filter(|document| kind(document).is_some_and(|it| APPLIED_KINDS.contains(&it)) || is_for_keys(document))
            .collect();
        let args = ["apply", "--server-side", "--validate=false", "-f", "-"];
        self.run(&args, &wanted.join("---\n")).await.map(drop)
    }

    /// Applies a kustomize folder as users do, with flags such as `--server-side`. A field that the
    /// API does not know is an error.
    pub async fn apply(&self, folder: &Path, flags: &[&str]) -> Result<()> {
        let folder = folder.to_string_lossy();
        let args = [&["apply", "--validate=strict", "-k", &folder], flags].concat();
        self.run(&args, "").await.map(drop)
    }

    /// The changes that another apply of a kustomize folder with these flags would make; empty if none.
    pub async fn diff(&self, folder: &Path, flags: &[&str]) -> Result<String> {
        let folder = folder.to_string_lossy();
        let args = [&["diff", "-k", &folder], flags].concat();
        let output = self.output(&args, "").await?;
        // 1 means that there is a difference.
        if output.status.code().is_none_or(|code| code > 1) {
            let errors = String::from_utf8_lossy(&output.stderr);
            bail!("`kubectl {}`: {}", args.join(" "), errors.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The document is an object that the scheduler fills with the keys of records.
fn is_for_keys(document: &str) -> bool {
    let name = format!("  name: {NAME}");
    document.lines().any(|line| line == name) && matches!(kind(document), Some("ConfigMap" | "Secret"))
}

/// The kind of a YAML document as kustomize writes it: top-level keys start a line.
fn kind(document: &str) -> Option<&str> {
    document.lines().find_map(|line| line.strip_prefix("kind: "))
}
