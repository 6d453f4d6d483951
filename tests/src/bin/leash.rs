//! Ties a child process to the rig: `leash <pid of the rig> <program> [arguments]`.
//!
//! Asks the kernel to kill this process when the one that started it dies, then becomes the
//! program. The request survives `exec`, so it holds for any program, and it holds even when the
//! rig itself is killed with SIGKILL and cannot clean up.
#![allow(
    clippy::print_stderr,
    reason = "the log file that stderr goes to is all it can tell anybody"
)]

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(owner), Some(program)) = (args.next(), args.next()) else {
        eprintln!("usage: leash <pid of the rig> <program> [arguments]");
        return ExitCode::FAILURE;
    };
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("leash: cannot ask for a parent-death signal: {error}");
        return ExitCode::FAILURE;
    }
    // The owner may have died before the request was made: then nothing would ever kill us.
    let parent = getppid().map(|pid| OsString::from(pid.as_raw_nonzero().to_string()));
    if parent.as_ref() != Some(&owner) {
        eprintln!("leash: the rig is gone");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(args).exec();
    eprintln!("leash: cannot start {}: {error}", program.display());
    ExitCode::FAILURE
}
