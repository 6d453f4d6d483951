//! A host's system bus with a stand-in for systemd-logind, for the rebooter's method `logind`.
//!
//! The bus is a real `dbus-daemon`, if this machine has one. The stand-in answers as the test wants, and hands an accepted
//! call for a reboot to its simulated host.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, MessageStream, ObjectPath, Variant};

use crate::host::Host;
use crate::wait;

const DAEMON: &str = "dbus-daemon";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SYSTEMD: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const START_DEADLINE: Duration = Duration::from_secs(20);

/// The flag of RebootWithFlags for a reboot of user space alone.
pub const SOFT: u64 = 1 << 2;

/// The moments of a boot that has ended, for [`Answers::moments`].
pub const BOOTED: [(&str, u64); 2] = [
    ("UserspaceTimestampMonotonic", 5_000_000),
    ("FinishTimestampMonotonic", 25_000_000),
];

/// An inhibitor: what, who, why, mode.
pub type Inhibitor = [&'static str; 4];

/// What the stand-in answers; may be changed at any time.
#[derive(Debug, Default)]
pub struct Answers {
    /// To CanReboot; empty: `yes`.
    pub can_reboot: &'static str,
    /// What the host is, by systemd: a machine of its own if empty.
    pub virtualization: &'static str,
    /// To ListInhibitors.
    pub inhibitors: Vec<Inhibitor>,
    /// An inhibitor that comes right after the next answer to ListInhibitors.
    pub late: Option<Inhibitor>,
    /// To Reboot: the names of errors, one for each call, and then the call is accepted.
    pub errors: Vec<&'static str>,
    /// The error to every call of Reboot after those; empty: none.
    pub always: &'static str,
    /// How often Reboot or RebootWithFlags was called.
    pub calls: usize,
    /// The flags of each call of RebootWithFlags.
    pub flags: Vec<u64>,
    /// The version of systemd; empty: a recent one.
    pub version: &'static str,
    /// systemd does not count soft reboots.
    pub hides_soft_reboots: bool,
    /// The moments of the boot that systemd shows, in microseconds, by their properties; 0 for those that are not there.
    pub moments: BTreeMap<&'static str, u64>,
    /// How long logind lets a shutdown be delayed, in microseconds; 0: its default.
    pub delay_max: u64,
    /// The units that have failed, by systemd.
    pub failed_units: Vec<&'static str>,
}

/// The bus of one host.
#[derive(Debug)]
pub struct SystemBus {
    folder: PathBuf,
    answers: Arc<Mutex<Answers>>,
    host: Arc<Host>,
    running: Option<(Child, JoinHandle<()>)>,
}

impl SystemBus {
    /// Starts the bus; none if this machine has no `dbus-daemon`, which is printed.
    pub async fn start(host: Arc<Host>) -> Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join(DAEMON).is_file()) {
            print(format_args!("NOT TESTED: this machine has no {DAEMON}"));
            return Ok(None);
        }
        let folder = host.root().join("run/dbus");
        fs::create_dir_all(&folder)?;
        let mut bus = Self {
            folder,
            answers: Arc::default(),
            host,
            running: None,
        };
        bus.resume().await?;
        Ok(Some(bus))
    }

    /// Where clients connect: where a rebooter looks under the host's root.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.join("system_bus_socket")
    }

    /// The answers of the stand-in.
    pub fn answers(&self) -> MutexGuard<'_, Answers> {
        locked(&self.answers)
    }

    /// The bus ends, with all connections.
    pub async fn stop(&mut self) -> Result<()> {
        let Some((mut daemon, logind)) = self.running.take() else {
            return Ok(());
        };
        daemon.kill().await?;
        logind.abort();
        if self.socket().exists() {
            fs::remove_file(self.socket())?;
        }
        Ok(())
    }

    /// The bus is there again, and logind with it.
    pub async fn resume(&mut self) -> Result<()> {
        ensure!(self.running.is_none(), "the bus runs");
        let config = self.folder.join("bus.conf");
        fs::write(&config, configuration(&self.socket()))?;
        let daemon = Command::new(DAEMON)
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{DAEMON} cannot be started"))?;
        let socket = self.socket();
        let connection = wait::until("logind to be on the bus", START_DEADLINE, async || {
            let stream = UnixStream::connect(&socket).await?.into_std()?;
            let connection = Builder::unix_stream(stream).build().await?;
            connection.request_name("org.freedesktop.systemd1").await?;
            connection.request_name("org.freedesktop.login1").await?;
            Ok(connection)
        })
        .await?;
        let logind = answer_all(connection, Arc::clone(&self.answers), Arc::clone(&self.host));
        self.running = Some((daemon, tokio::spawn(logind)));
        Ok(())
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        if let Some((_, logind)) = &self.running {
            logind.abort();
        }
    }
}

/// For the one who reads the output of the tests.
fn print(line: std::fmt::Arguments<'_>) {
    writeln!(std::io::stdout(), "{line}").ok();
}

fn locked(answers: &Mutex<Answers>) -> MutexGuard<'_, Answers> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every user may do everything: the rules of a real bus are another test's.
fn configuration(socket: &Path) -> String {
    format!(
        "<busconfig>\n<listen>unix:path={}</listen>\n<auth>EXTERNAL</auth>\n<policy context=\"default\">\n\
         <allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/>\n\
         </policy>\n</busconfig>\n",
        socket.display()
    )
}

/// Answers until the bus ends.
async fn answer_all(connection: Connection, answers: Arc<Mutex<Answers>>, host: Arc<Host>) {
    let mut messages = MessageStream::from(&connection);
    while let Some(Ok(message)) = messages.next().await {
        let header = message.header();
        let interface = header.interface().map(|interface| interface.to_string());
        let is_known = interface.is_some_and(|interface| [MANAGER, SYSTEMD, PROPERTIES].contains(&interface.as_str()));
        if message.message_type() != Type::MethodCall || !is_known {
            continue;
        }
        let method = header.member().map(ToString::to_string).unwrap_or_default();
        let answered = match method.as_str() {
            "CanReboot" => {
                let answer = locked(&answers).can_reboot;
                connection
                    .reply(&header, &if answer.is_empty() { "yes" } else { answer })
                    .await
            }
            "Get" => {
                let (_, property): (String, String) = message.body().deserialize().unwrap_or_default();
                if property == "SoftRebootsCount" && locked(&answers).hides_soft_reboots {
                    let error = "org.freedesktop.DBus.Error.UnknownProperty";
                    connection.reply_error(&header, error, &"hidden by the test").await
                } else {
                    let value = property_of_systemd(&answers, &host, &property);
                    connection.reply(&header, &value).await
                }
            }
            "ListUnitsFiltered" => {
                let units = locked(&answers).failed_units.clone();
                connection
                    .reply(&header, &units.into_iter().map(unit).collect::<Vec<_>>())
                    .await
            }
            "ListInhibitors" => {
                let inhibitors = listed(&answers);
                let rows = inhibitors
                    .iter()
                    .map(|[what, who, why, mode]| (*what, *who, *why, *mode, 0_u32, 0_u32));
                connection.reply(&header, &rows.collect::<Vec<_>>()).await
            }
            "Reboot" | "RebootWithFlags" => match called(&answers, message.body().deserialize().ok()) {
                None => {
                    let is_soft = method == "RebootWithFlags" && locked(&answers).flags.last() == Some(&SOFT);
                    let calling = if is_soft {
                        host.call_soft_reboot()
                    } else {
                        host.call_reboot()
                    };
                    if let Err(error) = calling {
                        print(format_args!("{} cannot be rebooted: {error:#}", host.name()));
                    }
                    connection.reply(&header, &()).await
                }
                Some(error) => connection.reply_error(&header, error, &"refused by the test").await,
            },
            _ => Ok(()),
        };
        if answered.is_err() {
            return;
        }
    }
}

/// What the rebooter asks systemd for.
fn property_of_systemd(answers: &Mutex<Answers>, host: &Host, property: &str) -> Variant<'static> {
    if property == "SoftRebootsCount" {
        return Variant::from(host.soft_reboots());
    }
    let answers = locked(answers);
    if property == "Virtualization" {
        return Variant::from(answers.virtualization);
    }
    if property == "Version" {
        let version = answers.version;
        return Variant::from(if version.is_empty() { "257.9-1~deb13u1" } else { version });
    }
    if property == "InhibitDelayMaxUSec" {
        let max = answers.delay_max;
        return Variant::from(if max == 0 { 5_000_000 } else { max });
    }
    Variant::from(answers.moments.get(property).copied().unwrap_or_default())
}

/// A row of systemd's list of units.
type Unit = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    ObjectPath<'static>,
    u32,
    &'static str,
    ObjectPath<'static>,
);

fn unit(name: &'static str) -> Unit {
    let root = || ObjectPath::from_static_str_unchecked("/");
    (name, name, "loaded", "failed", "failed", "", root(), 0, "", root())
}

fn listed(answers: &Mutex<Answers>) -> Vec<Inhibitor> {
    let mut answers = locked(answers);
    let listed = answers.inhibitors.clone();
    let late = answers.late.take();
    answers.inhibitors.extend(late);
    listed
}

/// Counts a call for a reboot, with its flags if it has some, and returns the error that answers it.
fn called(answers: &Mutex<Answers>, flags: Option<u64>) -> Option<&'static str> {
    let mut answers = locked(answers);
    answers.calls += 1;
    answers.flags.extend(flags);
    if answers.errors.is_empty() {
        return Some(answers.always).filter(|error| !error.is_empty());
    }
    Some(answers.errors.remove(0))
}
