//! Rebooting by a command, among the host's files or among our own.
//!
//! For hosts without logind. It needs hostPID and a privileged container to reach the host;
//! what becomes of inhibitors and of the kubelet is up to the command. It has no shell: the
//! command line is split once, when the process starts.

use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use crate::error::{CallError, RebootError};
use crate::reboot::enter::{self, Errand};

/// `systemctl reboot` returns within a second; what takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How much of the output is kept for operators to read.
const OUTPUT_BYTES_MAX: usize = 2048;

/// How long to wait for output after the program has ended: what it left running may keep its output open.
const OUTPUT_TIMEOUT: Duration = Duration::from_millis(200);

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    program: PathBuf,
    arguments: Vec<String>,
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = shlex::split(text).ok_or("has an open quote or ends with a backslash; quote it as in a shell")?;
        let mut words = words.into_iter();
        let program = words.next().map(PathBuf::from).unwrap_or_default();
        if !program.is_absolute() {
            return Err("has to begin with the absolute path of a program, such as /bin/systemctl reboot".to_owned());
        }
        Ok(Self {
            program,
            arguments: words.collect(),
        })
    }
}

/// The command that reboots the host.
#[derive(Debug, Clone)]
pub(crate) struct HostCommand {
    line: CommandLine,
    /// The host's mount namespace, to enter first.
    namespace: Option<PathBuf>,
}

impl HostCommand {
    pub(crate) fn new(line: CommandLine, namespace: Option<PathBuf>) -> Self {
        Self { line, namespace }
    }

    /// Sees whether the program is there, from where it would be run.
    pub(crate) async fn preflight(&self) -> Result<(), RebootError> {
        let CommandLine { program, .. } = &self.line;
        match &self.namespace {
            None => enter::runnable(program).map_err(|problem| RebootError::NotRunnable { problem }),
            Some(namespace) => {
                let check = enter::command_line(Errand::Check, namespace, program, &[]);
                match self.run(check.into(), TIMEOUT).await {
                    // The output is the problem in plain words.
                    Err(RebootError::Ended { output, .. }) => Err(RebootError::NotRunnable { problem: output }),
                    other => other,
                }
            }
        }
    }

    /// Runs it. A program that could not be started has called for nothing; of another one nothing is certain.
    pub(crate) async fn reboot(&self) -> Result<(), CallError> {
        let CommandLine { program, arguments } = &self.line;
        let command = match &self.namespace {
            None => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            Some(namespace) => enter::command_line(Errand::Run, namespace, program, arguments).into(),
        };
        self.run(command, TIMEOUT).await.map_err(|error| match error {
            RebootError::NotStarted { .. } => CallError::NotArrived(error),
            RebootError::Socket { .. }
            | RebootError::Logind { .. }
            | RebootError::MayNotReboot { .. }
            | RebootError::Inhibited { .. }
            | RebootError::Container { .. }
            | RebootError::NotSystemd { .. }
            | RebootError::KernelDenied { .. }
            | RebootError::NoCapability
            | RebootError::KindOfMethod { .. }
            | RebootError::KindOfSystemd { .. }
            | RebootError::NoVersion { .. }
            | RebootError::SoftNotShown
            | RebootError::SoftRebooted { .. }
            | RebootError::KexecNotLoaded { .. }
            | RebootError::TimedOut { .. }
            | RebootError::NotRunnable { .. }
            | RebootError::Ended { .. } => CallError::Unclear(error),
        })
    }

    async fn run(&self, mut command: Command, limit: Duration) -> Result<(), RebootError> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| self.not_started(source))?;
        let ended = tokio::time::timeout(limit, end_of(child)).await;
        let (status, output) = match ended {
            Ok(ended) => ended.map_err(|source| self.unwatched(source))?,
            Err(_) => {
                let what = self.line.program.display().to_string();
                return Err(RebootError::TimedOut { what, limit });
            }
        };
        if status.success() {
            return Ok(());
        }
        Err(RebootError::Ended {
            status: status.to_string(),
            output,
        })
    }

    /// It was started, and its end is not known.
    fn unwatched(&self, source: std::io::Error) -> RebootError {
        RebootError::Ended {
            status: format!("an unknown status ({source})"),
            output: String::new(),
        }
    }

    fn not_started(&self, source: std::io::Error) -> RebootError {
        RebootError::NotStarted {
            program: self.line.program.clone(),
            source,
        }
    }
}

/// Waits for the end of a process while reading its output.
async fn end_of(mut child: Child) -> std::io::Result<(std::process::ExitStatus, String)> {
    let (mut errors, mut output) = (Vec::new(), Vec::new());
    let (stderr, stdout) = (child.stderr.take(), child.stdout.take());
    let status = {
        let reading = async { tokio::join!(read(stderr, &mut errors), read(stdout, &mut output)) };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            status = child.wait() => {
                tokio::time::timeout(OUTPUT_TIMEOUT, reading).await.ok();
                status
            }
            _ = &mut reading => child.wait().await,
        }
    }?;
    errors.extend(output);
    errors.truncate(OUTPUT_BYTES_MAX);
    Ok((status, String::from_utf8_lossy(&errors).trim().to_owned()))
}

/// Reads to the end, so that the writer never waits, and keeps the beginning.
async fn read(source: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut source) = source else { return };
    let mut chunk = [0; 1024];
    while let Ok(length @ 1..) = source.read(&mut chunk).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend(chunk.iter().take(length.min(room)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_works_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let orders = directory.path().join("orders");
        let command = local(&format!("/bin/sh -c 'echo reboot >> {}'", orders.display()));
        command.preflight().await.unwrap();
        command.reboot().await.unwrap();
        assert_eq!(std::fs::read_to_string(orders).unwrap(), "reboot\n");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_quoted_and_cut() {
        let error = unclear(local("/bin/sh -c 'echo no way >&2; exit 3'").reboot().await);
        assert!(error.contains("no way") && error.contains('3'), "{error}");
        let command = local("/bin/sh -c 'i=0; while [ $i -lt 20000 ]; do echo too much; i=$((i+1)); done; exit 1'");
        let error = unclear(command.reboot().await);
        assert!(error.len() < 2 * OUTPUT_BYTES_MAX, "{}", error.len());
    }

    #[tokio::test]
    async fn a_command_that_could_not_be_started_has_called_for_nothing() {
        let called = local("/nowhere/systemctl reboot").reboot().await;
        assert!(matches!(called, Err(CallError::NotArrived(_))), "{called:?}");
    }

    #[tokio::test]
    async fn what_a_command_leaves_running_is_not_waited_for() {
        local("/bin/sh -c 'sleep 60 & exit 0'").reboot().await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up() {
        let command = local("/bin/sleep 60");
        let error = command
            .run(command_of(&command), Duration::from_millis(50))
            .await
            .unwrap_err();
        assert!(matches!(error, RebootError::TimedOut { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_missing_or_plain_file_is_a_problem_that_names_the_flag() {
        for line in ["/nowhere/systemctl reboot", "/etc/passwd", "/tmp"] {
            let error = local(line).preflight().await.unwrap_err().to_string();
            assert!(error.contains("--reboot-command"), "{error}");
        }
    }

    #[test]
    fn a_command_line_is_split_as_in_a_shell() {
        let line: CommandLine = "/bin/sh -c 'a b'".parse().unwrap();
        assert_eq!(
            (line.program, line.arguments),
            ("/bin/sh".into(), vec!["-c".to_owned(), "a b".to_owned()])
        );
        for wrong in ["", "  ", "reboot", "/bin/sh 'open", "./reboot"] {
            assert!(wrong.parse::<CommandLine>().is_err(), "{wrong:?} was taken");
        }
    }

    fn unclear(called: Result<(), CallError>) -> String {
        let Err(CallError::Unclear(error)) = called else {
            panic!("{called:?} is not unclear");
        };
        error.to_string()
    }

    fn local(line: &str) -> HostCommand {
        HostCommand::new(line.parse().unwrap(), None)
    }

    fn command_of(command: &HostCommand) -> Command {
        let mut started = Command::new(&command.line.program);
        started.args(&command.line.arguments);
        started
    }
}
