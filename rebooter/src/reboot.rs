//! The ways to reboot, behind one face: try out without harm, and do it.
//!
//! Owned by `run.rs`, which has asked the guard before. Nothing here asks whether it should.

pub(crate) mod command;
pub(crate) mod enter;
mod kexec;
mod logind;
pub(crate) mod signal;
mod syscall;

use std::path::Path;

use bellwether_proto::RebootKind;

use crate::args::{Args, MethodName};
use crate::error::{CallError, RebootError};

/// How this host is rebooted.
#[derive(Debug, Clone)]
pub(crate) enum Method {
    /// By asking systemd-logind.
    Logind(logind::Logind),
    /// By a signal to the first process.
    Signal(signal::FirstProcess),
    /// By running a command.
    Command(command::HostCommand),
    /// By the system call.
    Syscall,
}

impl Method {
    pub(crate) fn new(name: MethodName, args: &Args) -> Self {
        match name {
            MethodName::Logind => {
                let loaded = kexec::Loaded::beside(&args.agent.host.proc_root);
                Self::Logind(logind::Logind::new(args.bus_socket(), loaded))
            }
            MethodName::Signal => Self::Signal(signal::FirstProcess),
            MethodName::Syscall => Self::Syscall,
            MethodName::Command => {
                let namespace = args
                    .host_namespaces
                    .then(|| args.agent.host.proc_root.join(Path::new("1/ns/mnt")));
                Self::Command(command::HostCommand::new(args.reboot_command.clone(), namespace))
            }
        }
    }

    /// Its name in reports and events.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Logind(_) => "logind",
            Self::Signal(_) => "signal",
            Self::Command(_) => "command",
            Self::Syscall => "syscall",
        }
    }

    /// The same with a kind of reboot.
    pub(crate) fn name_with(&self, kind: RebootKind) -> &'static str {
        match (self, kind) {
            (Self::Logind(_), RebootKind::Kexec) => "logind, kexec",
            (_, RebootKind::Full | RebootKind::Kexec | RebootKind::Unknown(_)) => self.name(),
        }
    }

    /// Whether it could reboot so, beyond [`Self::preflight`].
    pub(crate) async fn preflight_of(&self, kind: RebootKind) -> Result<(), RebootError> {
        match (self, kind) {
            (_, RebootKind::Full) => Ok(()),
            (Self::Logind(logind), RebootKind::Kexec) => logind.preflight_of_kexec().await,
            (_, RebootKind::Kexec | RebootKind::Unknown(_)) => Err(self.cannot(kind)),
        }
    }

    fn cannot(&self, kind: RebootKind) -> RebootError {
        let method = self.name();
        RebootError::KindOfMethod { kind, method }
    }

    /// Whether it would work, as far as that shows without a reboot.
    pub(crate) async fn preflight(&self) -> Result<(), RebootError> {
        match self {
            Self::Logind(logind) => logind.preflight().await,
            Self::Signal(process) => process.preflight(),
            Self::Command(command) => command.preflight().await,
            Self::Syscall => syscall::preflight(),
        }
    }

    /// Reboots, by this kind and no other. Returns once the request is taken; the host goes down some time later.
    pub(crate) async fn reboot(&self, kind: RebootKind) -> Result<(), CallError> {
        match (self, kind) {
            (Self::Logind(logind), RebootKind::Full | RebootKind::Kexec) => logind.reboot(kind).await,
            (Self::Signal(process), RebootKind::Full) => process.reboot(),
            (Self::Command(command), RebootKind::Full) => command.reboot().await,
            (Self::Syscall, RebootKind::Full) => syscall::reboot().await,
            (_, RebootKind::Kexec | RebootKind::Unknown(_)) => Err(CallError::NotArrived(self.cannot(kind))),
        }
    }
}
