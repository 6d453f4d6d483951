//! Rebooting by systemd-logind over the host's system bus.
//!
//! The way that keeps the kubelet's graceful shutdown: logind notifies every program that asked for it.
//! The rebooter asks for the inhibitors that block shutdowns itself, since older versions of logind do not refuse
//! uid 0 on their behalf. It needs uid 0 and the socket, no capability. A
//! connection lives for one preflight or one call, so that none is stale when it is needed.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_proto::RebootKind;
use tokio::net::UnixStream;
use zbus::DBusError as _;
use zbus::connection::Builder;
use zbus::zvariant::DynamicDeserialize;
use zbus::{Connection, OwnedVariant};

use crate::error::{CallError, RebootError};
use crate::reboot::Call;
use crate::reboot::kexec::Loaded;
use crate::systemd::soft_reboots;

/// A local bus that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

const SERVICE: &str = "org.freedesktop.login1";
const OBJECT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// The answers of systemd 258 and later to CanReboot while an inhibitor blocks reboots that would be permitted else.
const INHIBITED: [&str; 2] = ["inhibited", "inhibitor-blocked"];

/// The error of systemd 257 and later to a call while an inhibitor blocks it.
const BLOCKED: &str = "org.freedesktop.login1.BlockedByInhibitorLock";

/// The flag of `RebootWithFlags` for kexec.
const VIA_KEXEC: u64 = 1 << 1;

/// The flag of `RebootWithFlags` for a soft reboot.
const SOFT: u64 = 1 << 2;

/// The first version of systemd that counts soft reboots. Older ones have soft reboots from 254 on, of which nothing in the same
/// boot shows whether one has happened.
const WITH_SOFT_REBOOTS: u32 = 256;

/// The first version of systemd whose logind has `RebootWithFlags`.
const WITH_FLAGS: u32 = 249;

/// The kinds of container, by systemd's names, that share the boot id of their machine. Not `systemd-nspawn`, which makes one
/// for each container.
const CONTAINERS: [&str; 9] = [
    "container-other",
    "docker",
    "lxc",
    "lxc-libvirt",
    "openvz",
    "podman",
    "pouch",
    "proot",
    "rkt",
];

/// The errors by which the bus states that logind did not get the call, or logind that it does not obey. Any other error
/// leaves open whether the host goes down.
const REFUSALS: [&str; 7] = [
    BLOCKED,
    "org.freedesktop.DBus.Error.AccessDenied",
    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
    "org.freedesktop.DBus.Error.InvalidArgs",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.UnknownMethod",
];

/// logind of the host.
#[derive(Debug, Clone)]
pub(crate) struct Logind {
    socket: PathBuf,
    loaded: Loaded,
}

/// A program that delays or blocks changes of the host.
#[derive(Debug, Clone)]
struct Inhibitor {
    what: String,
    who: String,
    why: String,
    mode: String,
}

impl Inhibitor {
    /// Those that only delay get their time from logind.
    fn blocks_shutdown(&self) -> bool {
        self.mode == "block" && self.what.split(':').any(|what| what == "shutdown")
    }
}

impl Logind {
    pub(crate) fn new(socket: PathBuf, loaded: Loaded) -> Self {
        Self { socket, loaded }
    }

    /// Asks whether it would reboot.
    pub(crate) async fn preflight(&self) -> Result<(), RebootError> {
        let bus = self.connect("CanReboot").await?;
        let answer: String = ask(&bus, "CanReboot").await?;
        let is_inhibited = INHIBITED.contains(&answer.as_str());
        if answer != "yes" && !is_inhibited {
            // "challenge": only after a password; "no"; "na": not on this machine.
            return Err(RebootError::MayNotReboot { answer });
        }
        if let Some(kind) = container(&bus).await {
            return Err(RebootError::Container { kind });
        }
        if let Some(Inhibitor { who: by, why, .. }) = blocking_inhibitor(&bus).await? {
            return Err(RebootError::Inhibited { by, why });
        }
        if is_inhibited {
            // It ended between the two questions, or is none that the list has.
            let (by, why) = (
                "an inhibitor".to_owned(),
                format!("logind answers {answer:?} to CanReboot"),
            );
            return Err(RebootError::Inhibited { by, why });
        }
        Ok(())
    }

    /// Whether it could reboot by kexec, beyond [`Self::preflight`].
    pub(crate) async fn preflight_of_kexec(&self) -> Result<(), RebootError> {
        self.loaded.check()?;
        let bus = self.connect("RebootWithFlags").await?;
        has_version(&bus, RebootKind::Kexec, WITH_FLAGS).await
    }

    /// Whether it could reboot user space alone, and that would show, beyond [`Self::preflight`].
    pub(crate) async fn preflight_of_soft_reboot(&self) -> Result<(), RebootError> {
        let bus = self.connect("RebootWithFlags").await?;
        has_version(&bus, RebootKind::Soft, WITH_SOFT_REBOOTS).await?;
        shown(&bus).await.map(drop)
    }

    /// Asks to reboot, and not to ask anybody for a password.
    pub(crate) async fn reboot(&self, call: Call) -> Result<(), CallError> {
        const INTERACTIVE: bool = false;
        let flags = match call {
            Call::Full | Call::Unknown(_) => None,
            Call::Kexec => Some(VIA_KEXEC),
            Call::Soft { .. } => Some(SOFT),
        };
        let method = if flags.is_some() { "RebootWithFlags" } else { "Reboot" };
        let bus = self.connect(method).await.map_err(CallError::NotArrived)?;
        // Looked for once more right before the call, which older versions obey at once.
        if let Some(Inhibitor { who: by, why, .. }) = blocking_inhibitor(&bus).await.map_err(CallError::NotArrived)? {
            return Err(CallError::NotArrived(RebootError::Inhibited { by, why }));
        }
        match call {
            Call::Full | Call::Unknown(_) => (),
            // Looked for once more: without a kernel logind would reboot in full.
            Call::Kexec => self.loaded.check().map_err(CallError::NotArrived)?,
            // Once more too, over the connection of the call: it ends with the user space that is to end.
            Call::Soft { before } => still(&bus, before).await.map_err(CallError::NotArrived)?,
        }
        let calling = async {
            match flags {
                Some(flags) => {
                    bus.call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, &flags)
                        .await
                }
                None => {
                    bus.call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, &INTERACTIVE)
                        .await
                }
            }
        };
        let called = within(method, async { Ok(calling.await) }).await;
        match called.map_err(CallError::Unclear)? {
            Ok(_) => Ok(()),
            Err(error) => {
                let is_refusal = error_name(&error).is_some_and(|name| REFUSALS.contains(&name.as_str()));
                let error = failed(method)(error);
                Err(if is_refusal {
                    CallError::NotArrived(error)
                } else {
                    CallError::Unclear(error)
                })
            }
        }
    }

    /// Whether it is certain that no program blocks shutdowns now.
    pub(crate) async fn is_uninhibited(&self) -> bool {
        let looking = async { blocking_inhibitor(&self.connect("ListInhibitors").await?).await };
        looking.await.is_ok_and(|inhibitor| inhibitor.is_none())
    }

    async fn connect(&self, method: &'static str) -> Result<Connection, RebootError> {
        within(method, self.greet(method)).await
    }

    async fn greet(&self, method: &'static str) -> Result<Connection, RebootError> {
        let stream = UnixStream::connect(&self.socket).await.and_then(UnixStream::into_std);
        let stream = stream.map_err(|source| RebootError::Socket {
            socket: self.socket.clone(),
            source,
        })?;
        Builder::unix_stream(stream).build().await.map_err(failed(method))
    }
}

/// Asks a question that takes no arguments.
async fn ask<T>(bus: &Connection, method: &'static str) -> Result<T, RebootError>
where
    T: for<'body> DynamicDeserialize<'body>,
{
    within(method, async {
        let answer = bus.call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, &()).await;
        let answer = answer.map_err(failed(method))?;
        answer.body().deserialize().map_err(failed(method))
    })
    .await
}

/// The kind of container in which the host is, if its boot id is that of the machine below. A systemd that cannot be asked
/// leaves that open, and most hosts are machines.
async fn container(bus: &Connection) -> Option<String> {
    let kind = property(bus, "Virtualization").await?;
    CONTAINERS.contains(&kind.as_str()).then_some(kind)
}

/// A text of systemd's manager; none if it cannot be asked.
async fn property(bus: &Connection, name: &str) -> Option<String> {
    let arguments = ("org.freedesktop.systemd1.Manager", name);
    let asking = bus.call_method(
        Some("org.freedesktop.systemd1"),
        "/org/freedesktop/systemd1",
        Some("org.freedesktop.DBus.Properties"),
        "Get",
        &arguments,
    );
    let answer = tokio::time::timeout(TIMEOUT, asking).await.ok()?.ok()?;
    let value: OwnedVariant = answer.body().deserialize().ok()?;
    String::try_from(value).ok()
}

/// An error unless systemd has this version or a later one.
async fn has_version(bus: &Connection, kind: RebootKind, needed: u32) -> Result<(), RebootError> {
    let text = property(bus, "Version").await.unwrap_or_default();
    let version = version_of(&text).ok_or(RebootError::NoVersion { kind })?;
    if version >= needed {
        return Ok(());
    }
    Err(RebootError::KindOfSystemd { kind, version, needed })
}

/// How many soft reboots this boot has had.
async fn shown(bus: &Connection) -> Result<u32, RebootError> {
    let asked = tokio::time::timeout(TIMEOUT, soft_reboots(bus)).await;
    asked.ok().and_then(Result::ok).ok_or(RebootError::SoftNotShown)
}

/// An error unless this boot has had as many soft reboots as before.
async fn still(bus: &Connection, before: u32) -> Result<(), RebootError> {
    match shown(bus).await? {
        now if now == before => Ok(()),
        now => Err(RebootError::SoftRebooted { before, now }),
    }
}

/// The number in a version of systemd, such as `257.9-1~deb13u1`, `v247` or `239 (239-82.el8)`.
fn version_of(text: &str) -> Option<u32> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let digits = text.split(|letter: char| !letter.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The first program that blocks shutdowns, if there is one.
async fn blocking_inhibitor(bus: &Connection) -> Result<Option<Inhibitor>, RebootError> {
    let rows: Vec<(String, String, String, String, u32, u32)> = ask(bus, "ListInhibitors").await?;
    let inhibitor = |(what, who, why, mode, _uid, _pid)| Inhibitor { what, who, why, mode };
    Ok(rows.into_iter().map(inhibitor).find(Inhibitor::blocks_shutdown))
}

/// The name of the error that the bus or logind has answered.
fn error_name(error: &zbus::Error) -> Option<String> {
    if let zbus::Error::MethodError(name, ..) = error {
        return Some(name.to_string());
    }
    if let zbus::Error::FDO(error) = error {
        return Some(error.name().to_string());
    }
    None
}

fn failed(method: &'static str) -> impl FnOnce(zbus::Error) -> RebootError {
    move |source| match error_name(&source).as_deref() {
        // It was taken after the last look at the list.
        Some(BLOCKED) => RebootError::Inhibited {
            by: "an inhibitor".to_owned(),
            why: format!("logind refuses {method}: {source}"),
        },
        name => RebootError::Logind {
            method,
            denied: name == Some("org.freedesktop.DBus.Error.AccessDenied"),
            source,
        },
    }
}

async fn within<T>(
    method: &'static str,
    asking: impl Future<Output = Result<T, RebootError>>,
) -> Result<T, RebootError> {
    let timed_out = |_| RebootError::TimedOut {
        what: format!("logind ({method})"),
        limit: TIMEOUT,
    };
    tokio::time::timeout(TIMEOUT, asking).await.map_err(timed_out)?
}

#[cfg(test)]
mod tests {
    use zbus::Message;

    use super::*;

    #[test]
    fn only_a_block_of_shutdowns_is_in_the_way() {
        let inhibitor = |what: &str, mode: &str| Inhibitor {
            what: what.to_owned(),
            who: "apt".to_owned(),
            why: String::new(),
            mode: mode.to_owned(),
        };
        assert!(inhibitor("sleep:shutdown", "block").blocks_shutdown());
        assert!(!inhibitor("shutdown", "delay").blocks_shutdown());
        assert!(!inhibitor("idle:sleep", "block").blocks_shutdown());
    }

    #[test]
    fn the_version_of_systemd_is_the_first_number() {
        for (text, version) in [
            ("257.9-1~deb13u1", Some(257)),
            ("v247", Some(247)),
            ("239 (239-82.el8)", Some(239)),
            ("", None),
            ("unknown", None),
            ("99999999999", None),
        ] {
            assert_eq!(version_of(text), version, "{text}");
        }
    }

    #[tokio::test]
    async fn a_missing_socket_is_named_with_its_flags() {
        let logind = Logind::new("/nowhere/system_bus_socket".into(), Loaded::beside("/proc".as_ref()));
        let error = logind.preflight().await.unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/system_bus_socket") && error.contains("--dbus-socket"),
            "{error}"
        );
    }

    #[test]
    fn a_bus_that_denies_even_the_greeting_makes_us_name_apparmor() {
        let greeting = Message::method_call("/org/freedesktop/DBus", "Hello")
            .build(&())
            .unwrap();
        let denial = Message::error(&greeting.header(), "org.freedesktop.DBus.Error.AccessDenied")
            .build(&"An AppArmor policy prevents this sender from sending this message")
            .unwrap();
        let error = failed("CanReboot")(denial.into()).to_string();
        assert!(error.contains("appArmorProfile Unconfined"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_says_nothing_is_not_waited_for_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("bus");
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let error = Logind::new(socket, Loaded::beside("/proc".as_ref()))
            .preflight()
            .await
            .unwrap_err();
        assert!(matches!(error, RebootError::TimedOut { .. }), "{error}");
    }
}
