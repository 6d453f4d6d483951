//! Entering the host: this program, run again with hidden arguments, goes into the host's mount
//! namespace and there becomes another program.
//!
//! A process of its own, since only one with a single thread may change its mount namespace,
//! and since the image has no `nsenter`. It never returns to being a rebooter.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The first argument that makes this program another one.
const ENTER: &str = "enter-host";

/// This program's own file, also after its image was replaced.
const SELF: &str = "/proc/self/exe";

/// Where hosts keep their programs; our own image may not say.
const HOST_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to do on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// See whether the program could be run.
    Check,
    /// Run it.
    Run,
}

impl Errand {
    fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Run => "run",
        }
    }
}

/// The command line that enters the namespace and does the errand there.
pub(crate) fn command_line(errand: Errand, namespace: &Path, program: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(SELF);
    command
        .args([OsStr::new(ENTER), OsStr::new(errand.as_str())])
        .args([namespace, program])
        .args(arguments);
    command
}

/// Does the errand, if this process was started for one.
pub(crate) fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ENTER {
        return None;
    }
    Some(match enter(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // There is no log here; whoever started us reads this.
            writeln!(std::io::stderr(), "{problem}").ok();
            ExitCode::FAILURE
        }
    })
}

fn enter(mut arguments: impl Iterator<Item = OsString>) -> Result<(), String> {
    let usage = || format!("usage: {ENTER} check|run NAMESPACE PROGRAM [ARGUMENT..]");
    let (Some(errand), Some(namespace), Some(program)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(usage());
    };
    let file = File::open(&namespace).map_err(|error| {
        format!(
            "{} cannot be opened ({error}): are hostPID and privileged set?",
            namespace.display()
        )
    })?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Mount))
        .map_err(|error| format!("the host's files cannot be entered ({error}): is the container privileged?"))?;
    if errand == Errand::Check.as_str() {
        runnable(Path::new(&program))
    } else if errand == Errand::Run.as_str() {
        // On success this process is that program, and nothing below happens.
        let error = Command::new(&program).args(arguments).env("PATH", HOST_PATH).exec();
        Err(format!("{} cannot be started: {error}", program.display()))
    } else {
        Err(usage())
    }
}

/// Whether there is such a program, as far as that shows without running it.
pub(crate) fn runnable(program: &Path) -> Result<(), String> {
    let meta =
        std::fs::metadata(program).map_err(|error| format!("{} cannot be found ({error})", program.display()))?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        return Err(format!("{} is not an executable file", program.display()));
    }
    Ok(())
}
