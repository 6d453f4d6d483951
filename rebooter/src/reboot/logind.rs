//! Rebooting by systemd-logind over the host's system bus.
//!
//! The way that keeps the kubelet's graceful shutdown: logind notifies every program that asked for it.
//! Those who block shutdowns are asked for by us, since older versions of logind do not refuse
//! uid 0 on their behalf. It needs uid 0 and the socket, no capability. A
//! connection lives for one request, so that none is stale when it is needed.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;
use zbus::Connection;
use zbus::connection::Builder;
use zbus::zvariant::DynamicDeserialize;

use crate::error::RebootError;

/// A local bus that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(5);

const SERVICE: &str = "org.freedesktop.login1";
const OBJECT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// logind of the host.
#[derive(Debug, Clone)]
pub(crate) struct Logind {
    socket: PathBuf,
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
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks whether it would reboot.
    pub(crate) async fn preflight(&self) -> Result<(), RebootError> {
        let answer: String = self.ask("CanReboot").await?;
        if answer != "yes" {
            // "challenge": only after a password; "no"; "na": not on this machine.
            return Err(RebootError::MayNotReboot { answer });
        }
        let inhibitors = self.inhibitors().await?;
        match inhibitors.into_iter().find(Inhibitor::blocks_shutdown) {
            Some(Inhibitor { who: by, why, .. }) => Err(RebootError::Inhibited { by, why }),
            None => Ok(()),
        }
    }

    async fn inhibitors(&self) -> Result<Vec<Inhibitor>, RebootError> {
        let rows: Vec<(String, String, String, String, u32, u32)> = self.ask("ListInhibitors").await?;
        let inhibitor = |(what, who, why, mode, _uid, _pid)| Inhibitor { what, who, why, mode };
        Ok(rows.into_iter().map(inhibitor).collect())
    }

    /// Asks to reboot, and not to ask anybody for a password.
    pub(crate) async fn reboot(&self) -> Result<(), RebootError> {
        const INTERACTIVE: bool = false;
        let method = "Reboot";
        within(method, async {
            let connection = self.connect(method).await?;
            connection
                .call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, &INTERACTIVE)
                .await
                .map_err(failed(method))?;
            Ok(())
        })
        .await
    }

    /// Asks a question that takes no arguments.
    async fn ask<T>(&self, method: &'static str) -> Result<T, RebootError>
    where
        T: for<'body> DynamicDeserialize<'body>,
    {
        within(method, async {
            let connection = self.connect(method).await?;
            let answer = connection
                .call_method(Some(SERVICE), OBJECT, Some(MANAGER), method, &())
                .await
                .map_err(failed(method))?;
            answer.body().deserialize().map_err(failed(method))
        })
        .await
    }

    async fn connect(&self, method: &'static str) -> Result<Connection, RebootError> {
        let stream = UnixStream::connect(&self.socket).await.and_then(UnixStream::into_std);
        let stream = stream.map_err(|source| RebootError::Socket {
            socket: self.socket.clone(),
            source,
        })?;
        Builder::unix_stream(stream).build().await.map_err(failed(method))
    }
}

fn failed(method: &'static str) -> impl FnOnce(zbus::Error) -> RebootError {
    move |source| RebootError::Logind {
        method,
        denied: matches!(&source, zbus::Error::FDO(error) if matches!(**error, zbus::fdo::Error::AccessDenied(_))),
        source,
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

    #[tokio::test]
    async fn a_missing_socket_is_named_with_its_flags() {
        let logind = Logind::new("/nowhere/system_bus_socket".into());
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
        let error = Logind::new(socket).preflight().await.unwrap_err();
        assert!(matches!(error, RebootError::TimedOut { .. }), "{error}");
    }
}
