//! The probes: what shows that the host needs a reboot.
//!
//! Owned by `run.rs`, which calls each off the runtime's thread since files can be slow. They read files and nothing
//! else; what a text means is the core's business.

mod command;
mod file;
mod kernel;
mod uptime;

use std::path::PathBuf;

use bellwether_chassis::HostArgs;
use bellwether_sentinel_core::setting::{self, Kind};
use bellwether_sentinel_core::{Finding, Sight};

use crate::job::{Job, Looks, Schedule};
use crate::watch::HintSender;

use self::command::Command;
use self::file::File;
use self::kernel::Kernel;
use self::uptime::Uptime;

/// What the probes of a host have in common.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Where the host's files are.
    pub(crate) host: HostArgs,
    /// The file of a probe that names none.
    pub(crate) sentinel_file: PathBuf,
    /// The kernel of this boot.
    pub(crate) kernel_running: String,
    /// Where hints about files go.
    pub(crate) hints: HintSender,
}

/// One probe.
#[derive(Debug)]
pub(crate) enum Probe {
    File(Vec<File>),
    Kernel(Kernel),
    Uptime(Uptime),
    Command(Command),
}

impl Looks for Probe {
    type Shown = Sight;

    fn look(&mut self) -> Sight {
        match self {
            Self::File(files) => {
                let findings = files.iter_mut().map(File::look);
                findings.reduce(Finding::and).unwrap_or(Finding::NotRequired).into()
            }
            Self::Kernel(kernel) => kernel.look().into(),
            Self::Uptime(uptime) => uptime.look().into(),
            Self::Command(command) => command.look(),
        }
    }
}

/// The job of a probe.
pub(crate) fn job(setting: &setting::Probe, place: Place) -> Job<Probe> {
    let schedule = Schedule {
        interval: setting.interval,
        on_hint: matches!(setting.kind, Kind::File(_)),
        limit: setting.limit,
    };
    let (kind, name) = (setting.kind.clone(), setting.name.clone());
    Job::new(schedule, move || make(&kind, &name, &place))
}

fn make(kind: &Kind, name: &str, place: &Place) -> Probe {
    let host = place.host.clone();
    match kind {
        Kind::File(paths) if paths.is_empty() => {
            Probe::File(vec![File::new(host, place.sentinel_file.clone(), place.hints.clone())])
        }
        Kind::File(paths) => Probe::File(
            paths
                .iter()
                .map(|path| File::new(host.clone(), path.clone(), place.hints.clone()))
                .collect(),
        ),
        Kind::Kernel => Probe::Kernel(Kernel::new(host, place.kernel_running.clone())),
        Kind::Uptime(older_than) => Probe::Uptime(Uptime::new(host, *older_than)),
        Kind::Command { preset, max_age } => Probe::Command(Command::new(host, name, *preset, *max_age)),
    }
}
