//! `policy check`: reads policies as the scheduler would, before they are applied.

use std::process::ExitCode;

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::args::{ConnectArgs, PolicyCheckArgs};
use crate::input::read;
use crate::kubectl::Kubectl;
use crate::policy::cluster::Cluster;
use crate::policy::{document, report};
use crate::{out, time};

pub(super) async fn check(connect: &ConnectArgs, args: &PolicyCheckArgs) -> anyhow::Result<ExitCode> {
    let mut policies = Vec::new();
    for file in &args.files {
        let shown = file.display();
        let text = read(file).with_context(|| format!("cannot read {shown}"))?;
        policies.extend(document::policies(&text).with_context(|| format!("{shown}"))?);
    }
    anyhow::ensure!(!policies.is_empty(), "no file has an object of the kind RebootPolicy");
    let at = args.at.unwrap_or_else(time::now);
    let zone = TimeZone::system();
    for policy in &policies {
        out::show(&report::of_policy(policy, at, &zone))?;
    }
    if let Some(file) = &args.nodes {
        let shown = file.display();
        let text = read(file).with_context(|| format!("cannot read {shown}"))?;
        let objects = document::objects(&text).with_context(|| format!("{shown}"))?;
        let saved = Cluster::saved(&objects).with_context(|| format!("{shown}"))?;
        out::show(&report::of_nodes(&shown.to_string(), &saved.with(&policies)))?;
    } else if args.cluster {
        let kubectl = Kubectl::new(connect);
        let (nodes, present) = tokio::join!(
            kubectl.ask(&connect.namespace, &["get", "nodes"]),
            kubectl.ask(&connect.namespace, &["get", "rebootpolicies"]),
        );
        let cluster = Cluster::read(nodes, present)?;
        out::show(&report::of_nodes("the cluster", &cluster.with(&policies)))?;
    }
    let is_good = policies.iter().all(|policy| policy.terms.is_ok());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
