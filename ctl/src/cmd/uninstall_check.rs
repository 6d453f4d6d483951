//! `uninstall-check`: may it be removed now; and once it is removed, what is left?

use std::process::ExitCode;

use super::report;
use crate::args::{CheckArgs, ConnectArgs};
use crate::check::{self, Remains};

pub(super) async fn run(connect: &ConnectArgs, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let remains = Remains::gather(connect, args).await;
    report(&check::examine_removal(&remains), args.output)
}
