//! `uninstall-check`: may Bellwether be removed now; and after its removal, which traces are left?

use std::process::ExitCode;

use super::report;
use crate::args::{CheckArgs, ConnectArgs};
use crate::gather;

pub(super) async fn run(connect: &ConnectArgs, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let facts = gather::removal(connect, args).await;
    report(&bellwether_check::examine_removal(&facts), args.output)
}
