//! Why the host could not be looked at.
//!
//! A probe error is neither "a reboot is required" nor "it is not": it is reported as what it is.

use std::io;
use std::path::PathBuf;

use bellwether_chassis::chain;
use bellwether_proto::{Problem, ProblemCode};

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
    /// The look did not come to its end.
    #[error("the look at the host was broken off")]
    BrokenOff(#[source] tokio::task::JoinError),
}

impl ProbeError {
    /// The code in the report.
    pub(crate) fn code(&self) -> ProblemCode {
        match self {
            Self::Directory { .. } => ProblemCode::HostDirectoryUnreadable,
            Self::File { .. } => ProblemCode::SentinelFileUnreadable,
            Self::NotAFile { .. } => ProblemCode::SentinelFileNotAFile,
            Self::BrokenOff(_) => ProblemCode::ProbeAborted,
        }
    }

    /// The problem in the report.
    pub(crate) fn problem(&self) -> Problem {
        Problem::new(self.code(), chain(self))
    }
}
