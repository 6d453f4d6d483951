//! What is true of the host beside its need: when it booted, its newest kernel, its operating system.
//!
//! Read-only, and never an error: what the host does not show is not known, and that never
//! keeps a need from being reported. What a text means is the core's business.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use bellwether_chassis::HostArgs;
use bellwether_sentinel_core::host;
use jiff::Timestamp;

use crate::job::Looks;

/// Longest `/proc/stat`: a line for each processor, and a number for each interrupt.
const STAT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Longest `/etc/os-release`, of which distributions write less than 1 KiB.
const OS_RELEASE_BYTES_MAX: u64 = 64 * 1024;

/// What is true of the host beside its need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) booted_at: Option<Timestamp>,
    pub(crate) kernel_installed: Option<String>,
    pub(crate) os: String,
}

impl Looks for HostArgs {
    type Shown = Facts;

    fn look(&mut self) -> Facts {
        Facts {
            booted_at: booted_at(self),
            kernel_installed: newest_kernel(self),
            os: operating_system(self),
        }
    }
}

/// When the boot began, by the clock of the host as it is now: the kernel moves this time when the clock is set.
fn booted_at(host: &HostArgs) -> Option<Timestamp> {
    let text = read_begin(&host.proc_root.join("stat"), STAT_BYTES_MAX).ok()?;
    host::booted_at(&text)
}

/// The newest installed kernel, by the directories of modules; none if the host shows none.
fn newest_kernel(host: &HostArgs) -> Option<String> {
    let modules = host.locate(Path::new("/lib/modules")).ok()?;
    let directories = fs::read_dir(modules)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir());
    host::newest_kernel(directories.filter_map(|entry| entry.file_name().into_string().ok()))
}

/// The operating system as it calls itself; empty if it does not say.
fn operating_system(host: &HostArgs) -> String {
    let text = host.locate(Path::new("/etc/os-release"));
    let text = text.and_then(|path| read_begin(&path, OS_RELEASE_BYTES_MAX));
    host::operating_system(&text.unwrap_or_default()).unwrap_or_default()
}

/// The begin of a file of the host. What is no file is not opened, since opening a pipe waits for its writer; a file
/// without an end does not fill the memory.
pub(crate) fn read_begin(path: &Path, bytes_max: u64) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(directory: &tempfile::TempDir) -> HostArgs {
        HostArgs {
            host_root: directory.path().to_owned(),
            proc_root: directory.path().to_owned(),
        }
    }

    #[test]
    fn the_begin_of_the_boot_is_read_where_the_kernel_shows_one() {
        let directory = tempfile::tempdir().unwrap();
        let host = host(&directory);
        assert_eq!(booted_at(&host), None);
        fs::write(directory.path().join("stat"), "cpu  1 2\nbtime 1767225600\n").unwrap();
        assert_eq!(booted_at(&host).map(Timestamp::as_second), Some(1_767_225_600));
    }

    #[test]
    fn the_newest_directory_counts_and_files_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let host = host(&directory);
        assert_eq!(newest_kernel(&host), None);
        for version in ["6.8.0-9-generic", "6.8.0-10-generic"] {
            fs::create_dir_all(directory.path().join("lib/modules").join(version)).unwrap();
        }
        fs::write(directory.path().join("lib/modules/9.9.9"), "").unwrap();
        assert_eq!(newest_kernel(&host).as_deref(), Some("6.8.0-10-generic"));
    }

    #[test]
    fn a_pipe_is_not_waited_for_and_of_a_file_without_an_end_only_the_begin_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let host = host(&directory);
        assert_eq!(operating_system(&host), "");
        let etc = directory.path().join("etc");
        fs::create_dir(&etc).unwrap();
        let file = etc.join("os-release");
        let pipe = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
        assert!(pipe.success());
        assert_eq!(operating_system(&host), "");
        fs::remove_file(&file).unwrap();
        fs::write(&file, format!("PRETTY_NAME=Debian\n{}", "x".repeat(100_000))).unwrap();
        assert_eq!(operating_system(&host), "Debian");
        assert_eq!(read_begin(&file, 20).unwrap().len(), 20);
    }
}
