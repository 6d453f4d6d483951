//! `policy check`: reads policies as the scheduler would, before they are applied.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context as _;
use jiff::tz::TimeZone;

use crate::args::{ConnectArgs, PolicyCheckArgs};
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
    if args.cluster {
        let kubectl = Kubectl::new(connect);
        let (nodes, present) = tokio::join!(
            kubectl.ask(&connect.namespace, &["get", "nodes"]),
            kubectl.ask(&connect.namespace, &["get", "rebootpolicies"]),
        );
        let cluster = Cluster::read(nodes, present)?;
        out::show(&report::of_cluster(&cluster.with(&policies)))?;
    }
    let is_good = policies.iter().all(|policy| policy.terms.is_ok());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> io::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file)
}
