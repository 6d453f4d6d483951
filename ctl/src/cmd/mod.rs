//! The verbs. Each sends its request, and hands the response to `render` or `json`.

mod cancel;
mod check;
mod drain_check;
mod explain;
mod history;
mod migrate;
mod near;
mod notify;
mod order;
mod pause;
mod policy;
mod queue;
mod report;
mod resume;
mod status;
mod uninstall_check;
mod watch;

use std::process::ExitCode;

use bellwether_check::Report;
use bellwether_proto::wire::{ListNodesRequest, OrderKind};

use crate::args::{Args, CheckForm, ConnectArgs, FleetVerb, NotifyVerb, OrderTerms, PolicyVerb, Verb};
use crate::cmd::order::Subject;
use crate::connect::{CallError, Client, Fleet};
use crate::out;

/// Runs the verb that the operator gave.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.verb {
        Verb::DrainCheck(check) => drain_check::run(&args.connect, &check).await,
        Verb::Fleet(verb) => ask(&args.connect, verb).await.map(|()| ExitCode::SUCCESS),
        Verb::History(history) => history::run(&args.connect, &history).await,
        Verb::Report(report_args) => report::run(&args.connect, &report_args).await,
        Verb::Check(check) => check::run(&args.connect, &check).await,
        Verb::UninstallCheck(check) => uninstall_check::run(&args.connect, &check).await,
        Verb::Policy(PolicyVerb::Check(check)) => policy::check(&args.connect, &check).await,
        Verb::Notify(NotifyVerb::Preview(preview)) => notify::preview(&preview),
        Verb::Notify(NotifyVerb::Test(test)) => notify::test(&args.connect, &test).await,
        Verb::Migrate(migrate) => migrate::run(&args.connect, &migrate).await,
    }
}

async fn ask(connect: &ConnectArgs, verb: FleetVerb) -> anyhow::Result<()> {
    let mut fleet = Fleet::open(connect).await?;
    match verb {
        FleetVerb::Status(status) => status::run(fleet, connect, status).await,
        FleetVerb::Explain(explain) => explain::run(&mut fleet, &explain).await,
        FleetVerb::Queue(queue) => queue::run(&mut fleet, queue).await,
        FleetVerb::Watch { node } => watch::run(fleet, connect, node.as_ref()).await,
        FleetVerb::Pause { policy, terms } => match policy {
            None if terms.lasts.is_none() => pause::run(&mut fleet, terms.operator.by, terms.reason).await,
            None => order::give(&mut fleet, OrderKind::Block, &Subject::Fleet, terms).await,
            Some(policy) => order::give(&mut fleet, OrderKind::Block, &Subject::Policy(policy), terms).await,
        },
        FleetVerb::Resume { policy: None, operator } => resume::run(&mut fleet, operator.by).await,
        FleetVerb::Resume {
            policy: Some(policy),
            operator,
        } => order::end(&mut fleet, OrderKind::Block, &Subject::Policy(policy), operator.by).await,
        FleetVerb::Hold { node, terms } => order::give(&mut fleet, OrderKind::Block, &Subject::Node(node), terms).await,
        FleetVerb::Skip { node, terms } => order::give(&mut fleet, OrderKind::Skip, &Subject::Node(node), terms).await,
        FleetVerb::Release { node, operator } => order::release(&mut fleet, node, operator.by).await,
        FleetVerb::Approve { subject, revoke, terms } => {
            let subject = match (subject.node, subject.policy) {
                (Some(node), _) => Subject::Node(node),
                (None, policy) => Subject::Policy(policy.unwrap_or_default()),
            };
            give_or_end(&mut fleet, OrderKind::Approve, &subject, revoke, terms).await
        }
        FleetVerb::Now { node, revoke, terms } => {
            give_or_end(&mut fleet, OrderKind::Now, &Subject::Node(node), revoke, terms).await
        }
        FleetVerb::Cancel { node, reason, operator } => cancel::run(&mut fleet, &node, operator.by, reason).await,
    }
}

async fn give_or_end(
    fleet: &mut Fleet,
    kind: OrderKind,
    subject: &Subject,
    revoke: bool,
    terms: OrderTerms,
) -> anyhow::Result<()> {
    if revoke {
        order::end(fleet, kind, subject, terms.operator.by).await
    } else {
        order::give(fleet, kind, subject, terms).await
    }
}

/// Shows a report. Problems make the command fail, so that a script may wait for their end.
fn report(report: &Report, form: CheckForm) -> anyhow::Result<ExitCode> {
    let text = match form {
        CheckForm::Table => report.table(),
        CheckForm::Json => report.json()?,
    };
    out::show(&text)?;
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The error of a call about one node; if there is no such node, with the names that come near.
async fn about(fleet: &mut Fleet, node: &str, error: CallError) -> anyhow::Error {
    match error {
        CallError::NotFound(_) => {}
        CallError::Refused { .. } | CallError::Unreachable { .. } => return error.into(),
    }
    let list = async |mut client: Client| client.list_nodes(ListNodesRequest {}).await;
    let names = fleet.call(list).await.map(|answer| answer.nodes).unwrap_or_default();
    let near = near::names(node, names.iter().map(|status| status.node.as_str()));
    let hint = match near.as_slice() {
        [] => "`kubectl reboots status` lists all".to_owned(),
        some => format!("did you mean {}?", some.join(" or ")),
    };
    anyhow::anyhow!("there is no node `{node}`; {hint}")
}
