//! `check`: is it deployed right, and can it work?

use std::process::ExitCode;

use super::report;
use crate::args::{CheckArgs, ConnectArgs};
use crate::check::{self, Facts};

pub(super) async fn run(connect: &ConnectArgs, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let facts = Facts::gather(connect, args).await;
    report(&check::examine(&facts), args.output)
}
