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
use bellwether_rebooter_core::guard::Order;

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

/// A call for a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// In full.
    Full,
    /// By the kernel that is loaded for kexec.
    Kexec,
    /// Of user space, while the boot has had so many soft reboots.
    Soft {
        /// How many.
        before: u32,
    },
    /// Of a kind that no method can call.
    Unknown(RebootKind),
}

impl From<&Order> for Call {
    fn from(order: &Order) -> Self {
        match (order.kind, order.soft_reboots) {
            (RebootKind::Full, _) => Self::Full,
            (RebootKind::Kexec, _) => Self::Kexec,
            (RebootKind::Soft, Some(before)) => Self::Soft { before },
            (kind @ (RebootKind::Soft | RebootKind::Unknown(_)), _) => Self::Unknown(kind),
        }
    }
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
            (Self::Logind(_), RebootKind::Soft) => "logind, soft-reboot",
            (_, RebootKind::Full | RebootKind::Kexec | RebootKind::Soft | RebootKind::Unknown(_)) => self.name(),
        }
    }

    /// Whether it could reboot so, beyond [`Self::preflight`].
    pub(crate) async fn preflight_of(&self, kind: RebootKind) -> Result<(), RebootError> {
        match (self, kind) {
            (_, RebootKind::Full) => Ok(()),
            (Self::Logind(logind), RebootKind::Kexec) => logind.preflight_of_kexec().await,
            (Self::Logind(logind), RebootKind::Soft) => logind.preflight_of_soft_reboot().await,
            (_, RebootKind::Kexec | RebootKind::Soft | RebootKind::Unknown(_)) => Err(self.cannot(kind)),
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

    /// Whether it is certain that no program such as a package upgrade blocks shutdowns now, for the method that heeds that.
    pub(crate) async fn is_uninhibited(&self) -> bool {
        match self {
            Self::Logind(logind) => logind.is_uninhibited().await,
            Self::Signal(_) | Self::Command(_) | Self::Syscall => true,
        }
    }

    /// Reboots, by this kind and no other. Returns once the request is taken; the host goes down some time later.
    pub(crate) async fn reboot(&self, call: Call) -> Result<(), CallError> {
        match (self, call) {
            (Self::Logind(logind), Call::Full | Call::Kexec | Call::Soft { .. }) => logind.reboot(call).await,
            (Self::Signal(process), Call::Full) => process.reboot(),
            (Self::Command(command), Call::Full) => command.reboot().await,
            (Self::Syscall, Call::Full) => syscall::reboot().await,
            (_, Call::Kexec) => Err(CallError::NotArrived(self.cannot(RebootKind::Kexec))),
            (_, Call::Soft { .. }) => Err(CallError::NotArrived(self.cannot(RebootKind::Soft))),
            (_, Call::Unknown(kind)) => Err(CallError::NotArrived(self.cannot(kind))),
        }
    }
}
