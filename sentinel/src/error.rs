//! Why the host could not be looked at.
//!
//! A probe error is neither "a reboot is required" nor "it is not": it is reported as what it is.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_proto::{Problem, ProblemCode};
use bellwether_sentinel_core::Finding;

/// The host does not show whether a reboot is required.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The directory of the sentinel file.
    #[error("directory {path} cannot be seen: is the host's directory mounted, and do --host-root and --sentinel-file say where?", path = path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The sentinel file is there, but may not be read.
    #[error("sentinel file {path} cannot be read", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else has its name: Kubernetes makes a directory in place of a file that it has to mount and does not find.
    #[error("sentinel file {path} is not a file: mount its directory, not the file itself", path = path.display())]
    NotAFile {
        /// Which one.
        path: PathBuf,
    },
    /// The installed kernels.
    #[error("the kernels in {path} cannot be listed: is the host's folder mounted?", path = path.display())]
    Kernels {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// How long the host runs.
    #[error("{path} cannot be read: does --proc-root say where the host's /proc is?", path = path.display())]
    Uptime {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The result of a command.
    #[error("result {path} cannot be read: has the host's timer run since the boot?", path = path.display())]
    Result {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The look did not come to its end.
    #[error("the look at the host was broken off")]
    BrokenOff(#[source] tokio::task::JoinError),
    /// The look did not come to its end in time. It may last, and no other one begins before it has ended.
    #[error("the look at the host took longer than {seconds} s: does one of its file systems not answer?", seconds = .0.as_secs_f64())]
    TooLong(Duration),
}

impl ProbeError {
    /// The code in the report.
    pub(crate) fn code(&self) -> ProblemCode {
        match self {
            Self::Directory { .. } => ProblemCode::HostDirectoryUnreadable,
            Self::File { .. } => ProblemCode::SentinelFileUnreadable,
            Self::NotAFile { .. } => ProblemCode::SentinelFileNotAFile,
            Self::Kernels { .. } | Self::Uptime { .. } | Self::Result { .. } => ProblemCode::ProbeFailed,
            Self::BrokenOff(_) | Self::TooLong(_) => ProblemCode::ProbeAborted,
        }
    }

    /// The problem in the report.
    pub(crate) fn finding(&self) -> Finding {
        Finding::Unknown(Problem::new(self.code(), chain(self)))
    }
}
