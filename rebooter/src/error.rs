//! Why the host cannot be rebooted, or could not be just now.
//!
//! Every text names the remedy, since operators read it when a node is left alone.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_proto::{Problem, ProblemCode, RebootKind};

/// A method of rebooting does not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RebootError {
    /// There is no way to the host's system bus.
    #[error("D-Bus socket {socket} cannot be connected: is the host's /run/dbus mounted, and does --dbus-socket or --host-root say where?{hint}", socket = socket.display(), hint = denied_hint(source.kind() == io::ErrorKind::PermissionDenied))]
    Socket {
        /// Where it was looked for.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// logind or the bus answered with an error.
    #[error("logind refuses {method}{hint}", hint = denied_hint(*denied))]
    Logind {
        /// What was asked.
        method: &'static str,
        /// The bus itself denies it.
        denied: bool,
        /// Why.
        source: zbus::Error,
    },
    /// logind would not do it.
    #[error(
        "logind answers {answer:?} to CanReboot, \"yes\" is needed: run the rebooter as uid 0, and look at the host's polkit rules and inhibitors"
    )]
    MayNotReboot {
        /// Its answer.
        answer: String,
    },
    /// An inhibitor blocks shutdowns, such as a package update that is under way.
    #[error("{by} blocks shutdowns of this host now: {why}")]
    Inhibited {
        /// Who.
        by: String,
        /// What for.
        why: String,
    },
    /// The host is a container.
    #[error(
        "a reboot cannot be proved here: this node is a container ({kind}) with the boot id of the machine below, and would look as if it had ignored its reboot; keep the agents off such nodes"
    )]
    Container {
        /// Of which kind, as systemd names it.
        kind: String,
    },
    /// The first process that the rebooter sees is not that of a host.
    #[error(
        "the first process is {found:?}, and \"systemd\" is needed: run the rebooter with hostPID, on a host that boots with systemd"
    )]
    NotSystemd {
        /// Its name.
        found: String,
    },
    /// The kernel does not permit it.
    #[error(
        "the kernel does not permit it: run the rebooter as uid 0; on hosts with AppArmor with appArmorProfile Unconfined"
    )]
    KernelDenied {
        /// Why.
        source: io::Error,
    },
    /// The system call would be refused.
    #[error("the capability SYS_BOOT is missing: add it to the rebooter's container")]
    NoCapability,
    /// The method knows no such reboot.
    #[error(
        "{method} cannot reboot by {kind}, which logind can: set the rebooter's method to logind, or rebootKind: Full in the policy of the node"
    )]
    KindOfMethod {
        /// The kind of reboot.
        kind: RebootKind,
        /// The method.
        method: &'static str,
    },
    /// The host's systemd knows no such reboot.
    #[error(
        "systemd {version} of this host cannot reboot by {kind}, {needed} or newer is needed: upgrade the host, or set rebootKind: Full in the policy of the node"
    )]
    KindOfSystemd {
        /// The kind of reboot.
        kind: RebootKind,
        /// The version that runs.
        version: u32,
        /// The first version that could.
        needed: u32,
    },
    /// The version of the host's systemd is not known.
    #[error("systemd of this host does not state its version, so it is not known whether it can reboot by {kind}")]
    NoVersion {
        /// The kind of reboot.
        kind: RebootKind,
    },
    /// The host does not show soft reboots.
    #[error("systemd of this host does not show how many soft reboots this boot has had, so none could be proved")]
    SoftNotShown,
    /// The user space is another one than that of the order.
    #[error("this boot has had {now} soft reboots, and {before} at the order: user space has been started again since")]
    SoftRebooted {
        /// At the order.
        before: u32,
        /// Now.
        now: u32,
    },
    /// No kernel is loaded for kexec.
    #[error(
        "no kernel is loaded for kexec on this host ({file}): load one with kexec -l of kexec-tools before the reboot, best by a unit of the host after each kernel update, or set rebootKind: Full in the policy of the node", file = file.display()
    )]
    KexecNotLoaded {
        /// The file that shows that.
        file: PathBuf,
    },
    /// No answer.
    #[error("{what} gave no answer within {limit:?}")]
    TimedOut {
        /// What was asked.
        what: String,
        /// How long it had.
        limit: Duration,
    },
    /// The program could not be started.
    #[error("{program} cannot be started: see --reboot-command and --host-namespaces", program = program.display())]
    NotStarted {
        /// Which one.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program is not there or cannot be run.
    #[error("{problem}: see --reboot-command and --host-namespaces")]
    NotRunnable {
        /// What is wrong with it.
        problem: String,
    },
    /// The program ended with an error.
    #[error("reboot command ended with {status}, saying {output:?}")]
    Ended {
        /// How.
        status: String,
        /// The beginning of its output.
        output: String,
    },
}

/// A call for a reboot returned an error.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It has certainly not arrived: the host stays up, and another call is the first one.
    NotArrived(RebootError),
    /// It may have arrived: the host may go down all the same.
    Unclear(RebootError),
}

impl RebootError {
    /// The code in the report.
    pub(crate) fn code(&self) -> ProblemCode {
        match self {
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ProblemCode::BusAccessDenied
            }
            Self::Socket { .. } => ProblemCode::BusUnreachable,
            Self::Logind { denied: true, .. } => ProblemCode::BusAccessDenied,
            Self::Logind { denied: false, .. } => ProblemCode::LogindCallFailed,
            Self::MayNotReboot { .. } => ProblemCode::RebootNotPermitted,
            Self::Inhibited { .. } => ProblemCode::ShutdownInhibited,
            Self::Container { .. } | Self::SoftNotShown | Self::SoftRebooted { .. } => ProblemCode::RebootNotProvable,
            Self::NotSystemd { .. } | Self::KernelDenied { .. } | Self::NoCapability => ProblemCode::SignalNotPermitted,
            Self::TimedOut { .. } => ProblemCode::RebootMethodTimedOut,
            Self::KindOfMethod { .. } | Self::KindOfSystemd { .. } | Self::NoVersion { .. } => {
                ProblemCode::RebootKindNotPossible
            }
            Self::KexecNotLoaded { .. } => ProblemCode::KexecNotLoaded,
            Self::NotStarted { .. } | Self::NotRunnable { .. } => ProblemCode::RebootCommandNotRunnable,
            Self::Ended { .. } => ProblemCode::RebootCommandFailed,
        }
    }

    /// The problem in the report.
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(self.code(), chain(self))
    }
}

fn denied_hint(denied: bool) -> &'static str {
    if denied {
        "; on hosts with AppArmor the container needs appArmorProfile Unconfined, on hosts with SELinux a type that may talk to the bus, such as seLinuxOptions type spc_t"
    } else {
        ""
    }
}
