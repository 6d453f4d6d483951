//! Files of the host that an agent runs on: where they are, which boot runs, which kernel.
//!
//! Owned by the agents on the nodes. It only reads, and knows nothing of what is done with it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use bellwether_proto::{BootId, IdError, setting};

/// As many symbolic links as the kernel follows before it calls them a loop.
const LINKS_MAX: usize = 40;

/// Where an agent finds its host's files.
#[derive(Debug, Clone, clap::Args)]
pub struct HostArgs {
    /// Where the host's files are mounted
    #[arg(long, env = setting::HOST_ROOT, default_value = "/", value_name = "DIRECTORY")]
    pub host_root: PathBuf,

    /// Where the host's /proc is mounted
    #[arg(
        long,
        env = setting::PROC_ROOT,
        default_value = "/proc",
        value_name = "DIRECTORY"
    )]
    pub proc_root: PathBuf,
}

/// The host could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A file is not there or may not be read.
    #[error("{path} cannot be read: is it mounted, and does --{flag} say where?", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The flag that names its place.
        flag: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} holds no boot id", path = path.display())]
    NoBootId {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: IdError,
    },
}

impl HostArgs {
    /// The boot that runs now.
    ///
    /// # Errors
    /// The file is missing or holds something else.
    pub fn boot_id(&self) -> Result<BootId, HostError> {
        let path = self.proc_root.join("sys/kernel/random/boot_id");
        let text = self.read_proc(&path)?;
        text.parse().map_err(|source| HostError::NoBootId { path, source })
    }

    /// The kernel that runs now.
    ///
    /// # Errors
    /// The file is missing.
    pub fn kernel(&self) -> Result<String, HostError> {
        self.read_proc(&self.proc_root.join("sys/kernel/osrelease"))
    }

    /// Where a path of the host is found here.
    ///
    /// Symbolic links are followed as the host would: `/var/run -> /run` means the host's
    /// `/run`, where the ordinary way of opening a file would end in the agent's own.
    ///
    /// # Errors
    /// Too many links, or one that may not be read. What does not exist is no error.
    pub fn locate(&self, path: &Path) -> io::Result<PathBuf> {
        let mut rest: VecDeque<OsString> = names(path).collect();
        let mut found = Vec::<OsString>::new();
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                found.pop();
                continue;
            }
            let here = self.host_root.join(found.iter().collect::<PathBuf>()).join(&name);
            let target = match fs::read_link(&here) {
                Ok(target) => target,
                // Not a link, or nothing at all: whoever opens it will see.
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                    found.push(name);
                    continue;
                }
                Err(error) => return Err(error),
            };
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other("too many symbolic links"));
            }
            if target.is_absolute() {
                found.clear();
            }
            for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
                rest.push_front(name);
            }
        }
        Ok(self.host_root.join(found.iter().collect::<PathBuf>()))
    }

    fn read_proc(&self, path: &Path) -> Result<String, HostError> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(source) => Err(HostError::Unreadable {
                path: path.to_owned(),
                flag: "proc-root",
                source,
            }),
        }
    }
}

/// The names in a path; `..` stays, the root and `.` do not.
fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn host(directory: &tempfile::TempDir) -> HostArgs {
        HostArgs {
            host_root: directory.path().to_owned(),
            proc_root: directory.path().join("proc"),
        }
    }

    #[test]
    fn an_absolute_link_stays_on_the_host() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("var")).unwrap();
        fs::create_dir_all(directory.path().join("run")).unwrap();
        symlink("/run", directory.path().join("var/run")).unwrap();
        let found = host(&directory).locate(Path::new("/var/run/reboot")).unwrap();
        assert_eq!(found, directory.path().join("run/reboot"));
    }

    #[test]
    fn a_link_cannot_leave_the_host() {
        let directory = tempfile::tempdir().unwrap();
        symlink("../../../../etc", directory.path().join("out")).unwrap();
        let found = host(&directory).locate(Path::new("/out/passwd")).unwrap();
        assert_eq!(found, directory.path().join("etc/passwd"));
    }

    #[test]
    fn a_loop_of_links_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/b", directory.path().join("a")).unwrap();
        symlink("/a", directory.path().join("b")).unwrap();
        assert!(host(&directory).locate(Path::new("/a")).is_err());
    }

    #[test]
    fn a_missing_boot_id_names_the_file_and_the_flag() {
        let directory = tempfile::tempdir().unwrap();
        let error = host(&directory).boot_id().unwrap_err().to_string();
        assert!(error.contains("boot_id") && error.contains("--proc-root"), "{error}");
    }

    #[test]
    fn the_boot_id_comes_without_its_line_end() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path().join("proc/sys/kernel/random");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("boot_id"), "6f1c-aa\n").unwrap();
        assert_eq!(host(&directory).boot_id().unwrap().as_str(), "6f1c-aa");
    }
}
