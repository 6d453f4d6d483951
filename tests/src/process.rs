//! Child processes of the rig: start, kill, pause, start again, and keep their output.
//!
//! Every child leads a process group of its own and dies with the rig, however that ends: see the
//! `leash` binary. The kernel sends that parent-death signal when the *thread* that started the
//! child ends, so one thread that lives as long as the rig's process starts them all.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::sleep;

use crate::tools;
use crate::wait;

/// The variables of the rig's own environment that a child keeps; all others could change a test.
const KEPT_ENV: [&str; 3] = ["PATH", "LLVM_PROFILE_FILE", "TMPDIR"];

/// How to start a process, any number of times.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name in messages and of the log file.
    pub name: String,
    /// The binary.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment beside `PATH`.
    pub env: BTreeMap<String, String>,
    /// The working and home folder.
    pub home: PathBuf,
    /// The file that all output is appended to.
    pub log: PathBuf,
}

impl Program {
    /// Gives it another name and log file; its home stays.
    pub fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
        self.log.set_file_name(format!("{name}.log"));
    }

    /// Replaces the value of an argument of the form `--flag=value`.
    pub fn replace_arg(&mut self, flag: &str, value: &str) {
        let prefix = format!("{flag}=");
        for arg in self.args.iter_mut().filter(|arg| arg.starts_with(&prefix)) {
            *arg = format!("{prefix}{value}");
        }
    }
}

/// A process that can be started more than once; killed when dropped.
#[derive(Debug)]
pub struct Process {
    program: Mutex<Program>,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts the program.
    pub fn start(program: Program) -> Result<Self> {
        let process = Self {
            program: Mutex::new(program),
            child: Mutex::new(None),
        };
        process.restart()?;
        Ok(process)
    }

    /// The name in messages and of the log file.
    pub fn name(&self) -> String {
        locked(&self.program).name.clone()
    }

    /// The file with all output.
    pub fn log(&self) -> PathBuf {
        locked(&self.program).log.clone()
    }

    /// All output so far.
    pub fn output(&self) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The process id, as long as it is not known to have ended.
    pub fn pid(&self) -> Option<u32> {
        locked(&self.child).as_ref().map(Child::id)
    }

    /// Whether it runs (or is paused).
    pub fn is_running(&self) -> bool {
        self.exited().is_none() && self.pid().is_some()
    }

    /// How it ended by itself, if it did.
    pub fn exited(&self) -> Option<ExitStatus> {
        let mut child = locked(&self.child);
        child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits until it has ended by itself.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let awaited = format!("{} to end", self.name());
        wait::until(&awaited, deadline, async || self.exited().context("it still runs")).await
    }

    /// As [`wait::until`], for a state of this process: errors at once when the process has ended.
    pub async fn while_running<T>(
        &self,
        awaited: &str,
        deadline: Duration,
        look: impl AsyncFnMut() -> Result<T>,
    ) -> Result<T> {
        let ended = async {
            loop {
                if let Some(status) = self.exited() {
                    return status;
                }
                sleep(wait::POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            result = wait::until(awaited, deadline, look) => result,
            status = ended => bail!("{} ended ({status}), see {}", self.name(), self.log().display()),
        }
    }

    /// How it is started.
    pub fn program(&self) -> Program {
        locked(&self.program).clone()
    }

    /// Changes arguments and environment for the next start.
    pub fn reconfigure(&self, change: impl FnOnce(&mut Program)) {
        change(&mut locked(&self.program));
    }

    /// Starts it again with the same command; kills it first if it still runs.
    pub fn restart(&self) -> Result<()> {
        self.kill9();
        let program = locked(&self.program).clone();
        let child = spawn(&program)?;
        *locked(&self.child) = Some(child);
        Ok(())
    }

    /// Kills the whole group with SIGKILL, as a crash or the kernel's memory killer would.
    pub fn kill9(&self) {
        if let Some(mut child) = locked(&self.child).take() {
            signal_group(&child, Signal::KILL).ok();
            // Reaps it; a process that was killed does not keep us waiting.
            child.wait().ok();
        }
    }

    /// Asks it to end, as Kubernetes does with a pod, and waits for it.
    pub async fn terminate(&self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let status = self.wait(deadline).await?;
        self.kill9();
        Ok(status)
    }

    /// Stops it from running until [`Self::resume`]: a hang, not a crash.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends a [`Self::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Has it read its configuration again, as NATS does on SIGHUP.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let child = locked(&self.child);
        let Some(child) = child.as_ref() else {
            bail!("{} does not run", self.name());
        };
        signal_group(child, signal).with_context(|| format!("cannot signal {}", self.name()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn signal_group(child: &Child, signal: Signal) -> io::Result<()> {
    // Not reaped yet, so the id cannot belong to anybody else.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process_group(pid, signal)?)
}

fn spawn(program: &Program) -> Result<Child> {
    let log = open_log(program)?;
    let mut command = Command::new(tools::binary("leash")?);
    command
        .arg(std::process::id().to_string())
        .arg(&program.path)
        .args(&program.args)
        .env_clear()
        .envs(KEPT_ENV.iter().filter_map(|key| Some((key, std::env::var_os(key)?))))
        .env("HOME", &program.home)
        .env("RUST_BACKTRACE", "1")
        .envs(&program.env)
        .current_dir(&program.home)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let (answer, child) = mpsc::sync_channel(1);
    spawner()
        .send((command, answer))
        .ok()
        .context("the spawner thread has ended")?;
    let child = child.recv().context("the spawner thread has ended")?;
    child.with_context(|| format!("cannot start {}", program.name))
}

fn open_log(program: &Program) -> Result<File> {
    let log = &program.log;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))
}

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The one thread that starts children; it ends with the process.
fn spawner() -> &'static mpsc::SyncSender<Order> {
    static SPAWNER: OnceLock<mpsc::SyncSender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        // Each sender waits for its answer, so the bound only says how many may queue unblocked.
        let (orders, inbox) = mpsc::sync_channel::<Order>(16);
        std::thread::spawn(move || {
            for (mut command, answer) in inbox {
                answer.send(command.spawn()).ok();
            }
        });
        orders
    })
}

/// A panic in one test thread must not hide the failure of another.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
