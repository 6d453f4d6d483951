//! `check`: is Bellwether deployed right, and can it work?

use std::process::ExitCode;

use super::report;
use crate::args::{CheckArgs, ConnectArgs};
use crate::gather;

pub(super) async fn run(connect: &ConnectArgs, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    // Boxed: a dozen questions at the same time are large.
    let facts = Box::pin(gather::installation(connect, args)).await;
    report(&bellwether_check::examine(&facts), args.output)
}
