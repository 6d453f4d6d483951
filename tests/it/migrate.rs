//! `kubectl reboots migrate` against a real API server: beside a kured that runs and holds its lock the command
//! refuses, with `--print` it translates, and once the commands that it names have been run nothing of kured is left.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::kubectl::Kubectl;
use rig::world::{World, WorldOptions};
use rig::{tools, wait};
use tokio::process::Command;

/// For controllers and commands on busy cores.
const DEADLINE: Duration = Duration::from_secs(60);

/// kured as its users run it, in the middle of a reboot.
const KURED: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kured
  namespace: kube-system
  annotations:
    weave.works/kured-node-lock: '{"nodeID":"node-9.rig","metadata":{"unschedulable":false},"created":"2026-01-01T00:00:00Z","TTL":0}'
spec:
  selector: { matchLabels: { name: kured } }
  template:
    metadata: { labels: { name: kured } }
    spec:
      automountServiceAccountToken: false
      tolerations: [{ operator: Exists }]
      volumes: [{ name: sentinel, hostPath: { path: /opt/updates } }]
      containers:
        - name: kured
          image: ghcr.io/kubereboot/kured:1.23.0
          volumeMounts: [{ name: sentinel, mountPath: /sentinel, readOnly: true }]
          args:
            - --reboot-sentinel=/sentinel/reboot-needed
            - --reboot-command=/usr/local/sbin/kexec-reboot --now
            - --concurrency=2
            - --reboot-days=mo,tu,we,th
            - --start-time=22:00
            - --end-time=05:00
            - --time-zone=Europe/Berlin
            - --prometheus-url=http://prometheus.monitoring:9090
            - --alert-filter-regexp=^Watchdog$
            - --blocking-pod-selector=app in (ci, batch),!debug
            - --annotate-nodes
            - --prefer-no-schedule-taint=weave.works/kured-node-reboot
            - --pre-reboot-node-labels=phase=rebooting
            - --post-reboot-node-labels=phase=rebooted
"#;

/// What kured leaves on the node NODE if it dies in mid-reboot, as commands of kubectl.
const LEFT: [&str; 5] = [
    "cordon NODE",
    "annotate node NODE weave.works/kured-reboot-in-progress=2026-01-01T00:00:00Z",
    "annotate node NODE weave.works/kured-most-recent-reboot-needed=2026-01-01T00:00:00Z",
    "label node NODE phase=rebooting",
    "taint node NODE weave.works/kured-node-reboot:PreferNoSchedule",
];

/// A cluster, and an operator at it with a shell.
struct Shell<'a> {
    world: &'a World,
}

impl Shell<'_> {
    async fn output(&self, mut command: Command) -> Result<Output> {
        let kubectl = tools::tool("kubectl")?;
        let folder = kubectl.parent().context("a folder")?.display();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = command
            .env("PATH", format!("{folder}:{path}"))
            .env("HOME", self.world.place.folder("kubectl")?)
            .env("KUBECONFIG", self.world.control_plane.admin_kubeconfig())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        wait::within("a command to end", DEADLINE, async { Ok(output.await?) }).await
    }

    /// Runs `kubectl reboots`; its exit code, output and errors.
    async fn reboots(&self, args: &[&str]) -> Result<(Option<i32>, String, String)> {
        let mut command = Command::new(tools::binary("kubectl-reboots")?);
        command.args(args);
        let Output { status, stdout, stderr } = self.output(command).await?;
        Ok((status.code(), String::from_utf8(stdout)?, String::from_utf8(stderr)?))
    }

    /// The output of a run that succeeds.
    async fn good(&self, args: &[&str]) -> Result<String> {
        let (code, out, errors) = self.reboots(args).await?;
        ensure!(code == Some(0) && errors.is_empty(), "{args:?}: {code:?} {errors}");
        Ok(out)
    }

    /// Runs a command as printed.
    async fn paste(&self, line: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        let output = self.output(command).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{line}`: {}", errors.trim());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kured_is_translated_while_it_runs_and_leaves_nothing_once_its_commands_are_run() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    let kubectl = world.kubectl()?;
    kubectl.run(&["apply", "-f", "-"], KURED).await?;
    let node = world.host(0)?.name().to_owned();
    for left in LEFT {
        let left = left.replace("NODE", &node);
        kubectl.run(&left.split(' ').collect::<Vec<_>>(), "").await?;
    }
    let shell = Shell { world: &world };

    // Beside a kured that runs, with its lock held.
    wait::until("the command to refuse", DEADLINE, async || {
        let (code, out, errors) = shell.reboots(&["migrate"]).await?;
        ensure!(code == Some(1) && out.is_empty(), "{code:?} {out}");
        for part in [
            "kured kube-system/kured is on 2 node(s)",
            "held by node-9.rig",
            "--print",
        ] {
            ensure!(errors.contains(part), "{part}: {errors}");
        }
        Ok(())
    })
    .await?;
    let policy = translated(&shell, &kubectl).await?;
    rendered(&shell, &kubectl).await?;
    let saved = world.place.folder("saved")?.join("kured.yaml");
    let manifest = kubectl
        .run(&["-n", "kube-system", "get", "daemonset", "kured", "-o", "yaml"], "")
        .await?;
    fs::write(&saved, manifest)?;
    let saved = saved.to_str().context("a path")?;

    // Off all nodes, but with its lock held.
    let nowhere = r#"{"spec":{"template":{"spec":{"nodeSelector":{"rig.bellwether.dev/none":""}}}}}"#;
    kubectl
        .run(&["-n", "kube-system", "patch", "daemonset", "kured", "-p", nowhere], "")
        .await?;
    wait::until("only the lock to be in the way", DEADLINE, async || {
        let (code, _, errors) = shell.reboots(&["migrate"]).await?;
        ensure!(code == Some(1) && errors.contains("held by node-9.rig"), "{errors}");
        ensure!(!errors.contains("node(s)"), "{errors}");
        Ok(())
    })
    .await?;
    let lock = "weave.works/kured-node-lock-";
    kubectl
        .run(&["-n", "kube-system", "annotate", "daemonset", "kured", lock], "")
        .await?;
    let report = shell.good(&["migrate"]).await?;
    ensure!(report.contains("delete daemonset kured"), "{report}");

    // Each command that the report names removes its trace; kubectl accepts all of them.
    let report = shell.good(&["migrate", "--file", saved]).await?;
    let commands: Vec<&str> = report
        .lines()
        .filter_map(|line| line.strip_prefix("    kubectl "))
        .collect();
    assert_eq!(commands.len(), 6, "{report}");
    for command in commands {
        shell.paste(&format!("kubectl {command}")).await?;
    }
    let report = shell.good(&["migrate", "--file", saved]).await?;
    ensure!(
        report.ends_with("kured left nothing on the nodes of the cluster.\n"),
        "{report}"
    );
    let object = world.node(&node).await?;
    ensure!(
        object.spec.and_then(|spec| spec.unschedulable) != Some(true),
        "the node is still cordoned"
    );
    kubectl.run(&["apply", "--validate=strict", "-f", "-"], &policy).await?;
    world.finish()
}

/// The policy, which `policy check` and the API server take.
async fn translated(shell: &Shell<'_>, kubectl: &Kubectl) -> Result<String> {
    let policy = shell.good(&["migrate", "--print", "-o", "policy"]).await?;
    let file = shell.world.place.folder("policy")?.join("policy.yaml");
    fs::write(&file, &policy)?;
    let file = file.to_str().context("a path")?;
    let check = shell.good(&["policy", "check", file, "--cluster"]).await?;
    for part in [
        "Mon-Thu 00:00 to 05:00, Europe/Berlin",
        "by kured: ",
        "but those called ^Watchdog$",
        "2 of its nodes",
    ] {
        ensure!(check.contains(part), "{part}: {check}");
    }
    kubectl
        .run(&["apply", "--validate=strict", "--dry-run=server", "-f", "-"], &policy)
        .await?;
    Ok(policy)
}

/// The component, which kustomize renders over the base as docs/kured.md has it.
async fn rendered(shell: &Shell<'_>, kubectl: &Kubectl) -> Result<()> {
    let component = shell.good(&["migrate", "--print", "-o", "overlay"]).await?;
    let folder = shell.world.place.folder("overlay")?.canonicalize()?;
    let own = folder.join("my-overlay");
    fs::create_dir_all(own.join("kured"))?;
    // The checkout as `bellwether` beside `my-overlay`; kustomize follows no link out of its folder.
    let deploy = tools::repository().canonicalize()?.join("deploy");
    let up = |from: &PathBuf| -> Result<String> {
        let levels = "../".repeat(from.components().count() - 1);
        Ok(format!(
            "{levels}{}",
            deploy.display().to_string().trim_start_matches('/')
        ))
    };
    let kured = own.join("kured");
    let component = component.replace("../../bellwether/deploy", &up(&kured)?);
    fs::write(kured.join("kustomization.yaml"), component)?;
    let overlay = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [{}/base]\ncomponents: [kured]\n",
        up(&own)?
    );
    fs::write(own.join("kustomization.yaml"), overlay)?;
    let all = kubectl.render(&own).await?.join("---\n");
    for part in [
        "BELLWETHER_SLOTS: \"2\"",
        "BELLWETHER_SENTINEL_FILE: /opt/updates/reboot-needed",
        "BELLWETHER_REBOOT_COMMAND: /usr/local/sbin/kexec-reboot --now",
        "BELLWETHER_REBOOT_METHOD: command",
        "name: prometheus-gates",
        "mountPath: /host/opt/updates",
        "path: /opt/updates",
    ] {
        ensure!(all.contains(part), "{part} is missing in\n{all}");
    }
    Ok(())
}
