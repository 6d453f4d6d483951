//! `migrate`: kured's settings as a policy and settings of Bellwether, and what is in the way of a change-over.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bellwether_check::Kured;
use serde_json::Value;

use crate::args::{ConnectArgs, MigrateArgs, MigrateForm};
use crate::input::read;
use crate::kubectl::Kubectl;
use crate::kured::file::{self, Found};
use crate::kured::plan::Traces;
use crate::kured::traces::Trace;
use crate::kured::{traces, translate};
use crate::policy::document;
use crate::{out, time};

pub(super) async fn run(connect: &ConnectArgs, args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let in_file = args.file.as_ref().map(|file| -> anyhow::Result<Vec<Found>> {
        let shown = file.display();
        let text = read(file).with_context(|| format!("cannot read {shown}"))?;
        let objects = document::objects(&text).with_context(|| format!("{shown}"))?;
        let is_kured = |object: &Value| Kured::read(object, time::now()).is_ok_and(|kured| kured.is_some());
        file::kureds(&objects, is_kured).with_context(|| format!("{shown}"))
    });
    let in_file = in_file.transpose()?;
    // Translating a file needs no cluster.
    let cluster = if args.print && in_file.is_some() {
        None
    } else {
        Some(Cluster::read(connect).await?)
    };
    let found = match (in_file, &cluster) {
        (Some(found), _) => found,
        (None, Some(cluster)) => cluster.found()?,
        (None, None) => Vec::new(),
    };
    let (origin, source) = one(found, args.daemon_set.as_deref())?;
    let plan = source.and_then(|source| translate::plan(&source)).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("  {fault}")).collect();
        anyhow::anyhow!("the settings of {origin} cannot be translated:\n{}", lines.join("\n"))
    })?;
    if !args.print
        && let Some(cluster) = &cluster
    {
        cluster.is_free()?;
    }
    let left = cluster.as_ref().map(|cluster| cluster.traces(&plan.settings));
    let traces = left.as_deref().map_or(Traces::NotLooked, Traces::Found);
    out::show(&match args.output {
        MigrateForm::Report => plan.report(&origin, &traces)?,
        MigrateForm::Policy => plan.policy_yaml()?,
        MigrateForm::Overlay => plan.overlay.yaml()?,
        MigrateForm::Json => plan.json(&origin, &traces),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The one kured to translate.
fn one(mut found: Vec<Found>, wanted: Option<&str>) -> anyhow::Result<Found> {
    if let Some(wanted) = wanted {
        let all = names(&found);
        found.retain(|(_, source)| {
            source
                .as_ref()
                .is_ok_and(|source| wanted == source.name || wanted == format!("{}/{}", source.namespace, source.name))
        });
        if found.is_empty() {
            bail!("--daemon-set: there is no kured {wanted}, but {all}");
        }
    }
    if found.len() > 1 {
        bail!(
            "there are several: {}; translate one after the other by --daemon-set NAMESPACE/NAME",
            names(&found)
        );
    }
    found.pop().context("there is no kured")
}

fn names(found: &[Found]) -> String {
    let names: Vec<&str> = found.iter().map(|(origin, _)| origin.as_str()).collect();
    names.join(", ")
}

/// What the cluster has of kured.
struct Cluster {
    daemon_sets: Vec<(Kured, Value)>,
    nodes: Vec<Value>,
}

impl Cluster {
    async fn read(connect: &ConnectArgs) -> anyhow::Result<Self> {
        let kubectl = Kubectl::new(connect);
        let (sets, nodes) = tokio::join!(
            kubectl.ask(&connect.namespace, &["get", "daemonsets", "--all-namespaces"]),
            kubectl.ask(&connect.namespace, &["get", "nodes"]),
        );
        // With a part of the DaemonSets a kured that runs could be overlooked.
        for (failure, kind) in [(sets.failure, "DaemonSets"), (nodes.failure, "nodes")] {
            if let Some(failure) = failure {
                bail!(
                    "the {kind} of the cluster cannot be listed, so kured may run there: {}; without a cluster: --file FILE --print",
                    failure.message
                );
            }
        }
        let mut daemon_sets = Vec::new();
        for object in sets.objects {
            let read = Kured::read(&object, time::now()).context("a DaemonSet cannot be read")?;
            daemon_sets.extend(read.map(|kured| (kured, object)));
        }
        Ok(Self {
            daemon_sets,
            nodes: nodes.objects,
        })
    }

    fn found(&self) -> anyhow::Result<Vec<Found>> {
        if self.daemon_sets.is_empty() {
            bail!("there is no kured in the cluster: give its manifest, or the values of its chart, by --file FILE");
        }
        Ok(self
            .daemon_sets
            .iter()
            .map(|(_, object)| file::of_daemon_set(object))
            .collect())
    }

    /// Whether no kured reboots nodes, or is in the middle of it.
    fn is_free(&self) -> anyhow::Result<()> {
        let mut obstacles = Vec::new();
        for (kured, _) in &self.daemon_sets {
            let name = format!("{}/{}", kured.namespace, kured.name);
            if kured.nodes > 0 {
                obstacles.push(format!(
                    "  kured {name} is on {} node(s): {}",
                    kured.nodes, kured.removal
                ));
            }
            for lock in kured.locks.iter().filter(|lock| !lock.holders.is_empty()) {
                obstacles.push(format!(
                    "  the lock of kured {name} is held {}: wait until it is free; if nothing comes of it: kubectl -n {} annotate daemonset {} {}-",
                    lock.holders.join(", "),
                    kured.namespace,
                    kured.name,
                    lock.annotation
                ));
            }
        }
        if obstacles.is_empty() {
            return Ok(());
        }
        bail!(
            "kured and Bellwether must not run at the same time (docs/kured.md has the order):\n{}\nTo translate only: --print",
            obstacles.join("\n")
        )
    }

    /// Everything that is left of kured.
    fn traces(&self, settings: &crate::kured::settings::Settings) -> Vec<Trace> {
        let sets = self.daemon_sets.iter().map(|(kured, _)| Trace {
            found: format!(
                "DaemonSet {}/{}; while it is there, Bellwether starts no reboot",
                kured.namespace, kured.name
            ),
            command: kured.removal.clone(),
        });
        sets.chain(traces::of_nodes(&self.nodes, settings)).collect()
    }
}
