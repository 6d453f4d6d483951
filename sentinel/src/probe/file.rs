//! The probe of the sentinel file: is it there, since when and why.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bellwether_chassis::HostArgs;
use bellwether_sentinel_core::host::packages;
use bellwether_sentinel_core::{Finding, Shown};
use jiff::Timestamp;

use crate::error::ProbeError;
use crate::host;
use crate::watch::{HintSender, Watch};

/// How much of the list of packages is read: far more than a distribution upgrade writes.
const PACKAGES_BYTES_MAX: u64 = 64 * 1024;

/// One file, and the watch on its directory.
#[derive(Debug)]
pub(crate) struct File {
    host: HostArgs,
    path: PathBuf,
    watch: Watch,
}

impl File {
    pub(super) fn new(host: HostArgs, path: PathBuf, hints: HintSender) -> Self {
        Self {
            host,
            path,
            watch: Watch::new(hints),
        }
    }

    pub(super) fn look(&mut self) -> Finding {
        match self.need() {
            Ok(Some(shown)) => Finding::Required(shown),
            Ok(None) => Finding::NotRequired,
            Err(error) => error.finding(),
        }
    }

    /// The file, in a directory whose links are followed as the host would.
    fn file(&self) -> Result<PathBuf, ProbeError> {
        let parent = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let directory = self.host.locate(parent).map_err(|source| ProbeError::Directory {
            path: self.host.host_root.join(parent),
            source,
        })?;
        Ok(directory.join(self.path.file_name().unwrap_or_default()))
    }

    fn need(&mut self) -> Result<Option<Shown>, ProbeError> {
        let file = self.file()?;
        // Watched first, then looked at: what happens in between is a hint.
        self.watch.ensure(&file);
        let directory = file.parent().unwrap_or_else(|| Path::new("/"));
        // First the directory: in one that is not there, no file ever is.
        if let Err(source) = fs::read_dir(directory) {
            return Err(ProbeError::Directory {
                path: directory.to_owned(),
                source,
            });
        }
        let since = match written_at(&file) {
            Ok(Some(since)) => since,
            Ok(None) => return Err(ProbeError::NotAFile { path: file }),
            // A link to nothing is an entry all the same: its target may only be missing in our mounts.
            Err(error) if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&file).is_err() => {
                return Ok(None);
            }
            Err(source) => return Err(ProbeError::File { path: file, source }),
        };
        Ok(Some(Shown {
            since: Some(since),
            reasons: reasons(&file),
            kernel_change: None,
        }))
    }
}

/// When the file was last written; none if it is no file.
fn written_at(file: &Path) -> io::Result<Option<Timestamp>> {
    // Before opening: a named pipe would never open.
    if !fs::metadata(file)?.is_file() {
        return Ok(None);
    }
    // Opened, since only that tells whether it may be read.
    let modified = fs::File::open(file)?.metadata()?.modified()?;
    Timestamp::try_from(modified).map(Some).map_err(io::Error::other)
}

/// The packages in the list beside the sentinel file. The need stands without them, so what
/// cannot be read is left out.
fn reasons(sentinel_file: &Path) -> Vec<String> {
    let mut list = sentinel_file.as_os_str().to_owned();
    list.push(".pkgs");
    match host::read_begin(Path::new(&list), PACKAGES_BYTES_MAX) {
        Ok(text) => packages(&text),
        Err(error) => {
            tracing::debug!(%error, list = %list.display(), "List of packages is left out");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::{Duration, UNIX_EPOCH};

    use tempfile::TempDir;

    use super::*;
    use crate::watch::hints;

    const LIMIT: Duration = Duration::from_secs(10);

    fn probe(root: &TempDir) -> File {
        let host = HostArgs {
            host_root: root.path().to_owned(),
            proc_root: root.path().join("proc"),
        };
        File::new(host, PathBuf::from("/var/run/reboot-required"), hints().0)
    }

    fn root_with_run() -> TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("run")).unwrap();
        fs::create_dir_all(root.path().join("var")).unwrap();
        symlink("/run", root.path().join("var/run")).unwrap();
        root
    }

    #[tokio::test]
    async fn no_file_is_no_need() {
        assert_eq!(probe(&root_with_run()).need().unwrap(), None);
    }

    #[tokio::test]
    async fn a_file_is_a_need_with_its_packages_and_its_time() {
        let root = root_with_run();
        fs::write(
            root.path().join("run/reboot-required.pkgs"),
            "linux-base\n libc6 \nlinux-base\n\n",
        )
        .unwrap();
        fs::write(
            root.path().join("run/reboot-required"),
            "*** System restart required ***\n",
        )
        .unwrap();
        let need = probe(&root).need().unwrap().unwrap();
        assert_eq!(need.reasons, ["linux-base", "libc6"]);
        let written = fs::metadata(root.path().join("run/reboot-required")).unwrap();
        assert_eq!(need.since, Timestamp::try_from(written.modified().unwrap()).ok());
    }

    #[tokio::test]
    async fn a_need_stands_without_its_packages() {
        let root = root_with_run();
        fs::write(root.path().join("run/reboot-required"), "").unwrap();
        fs::create_dir(root.path().join("run/reboot-required.pkgs")).unwrap();
        assert_eq!(probe(&root).need().unwrap().unwrap().reasons, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_missing_directory_is_an_error_and_not_a_no() {
        let root = tempfile::tempdir().unwrap();
        let error = probe(&root).need().unwrap_err();
        assert!(matches!(error, ProbeError::Directory { .. }), "{error}");
        assert!(error.to_string().contains("--host-root"), "{error}");
    }

    #[tokio::test]
    async fn a_directory_in_place_of_the_file_is_an_error_and_not_a_yes() {
        let root = root_with_run();
        fs::create_dir(root.path().join("run/reboot-required")).unwrap();
        let error = probe(&root).need().unwrap_err();
        assert!(matches!(error, ProbeError::NotAFile { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_link_that_leads_elsewhere_is_followed_at_the_next_look_and_watched() {
        let root = root_with_run();
        let (sender, mut hints) = hints();
        let mut probe = File {
            watch: Watch::new(sender),
            ..probe(&root)
        };
        fs::write(root.path().join("run/reboot-required"), "").unwrap();
        assert!(probe.need().unwrap().is_some());
        fs::create_dir(root.path().join("other")).unwrap();
        fs::remove_file(root.path().join("var/run")).unwrap();
        symlink("../other", root.path().join("var/run")).unwrap();
        assert_eq!(probe.need().unwrap(), None);
        fs::write(root.path().join("other/reboot-required"), "").unwrap();
        tokio::time::timeout(LIMIT, hints.next()).await.unwrap();
        assert!(probe.need().unwrap().is_some());
        // A link to nothing is a problem, and the file of before counts no more.
        fs::remove_file(root.path().join("var/run")).unwrap();
        symlink("/gone", root.path().join("var/run")).unwrap();
        assert!(matches!(probe.need(), Err(ProbeError::Directory { .. })));
    }

    #[tokio::test]
    async fn files_of_a_gigabyte_cost_no_more_than_their_begin() {
        let root = root_with_run();
        let file = root.path().join("run/reboot-required");
        let list = root.path().join("run/reboot-required.pkgs");
        fs::write(&list, "linux-base\n").unwrap();
        // Sparse: nothing is on the disk.
        for path in [&file, &list] {
            let opened = fs::File::options().append(true).create(true).open(path).unwrap();
            opened.set_len(1 << 30).unwrap();
        }
        let need = probe(&root).need().unwrap().unwrap();
        assert_eq!(need.reasons, ["linux-base"]);
        assert_eq!(host::read_begin(&file, PACKAGES_BYTES_MAX).unwrap().len(), 64 * 1024);
    }

    #[tokio::test]
    async fn a_file_that_is_touched_twice_is_the_same_need_with_the_later_time() {
        let root = root_with_run();
        let file = root.path().join("run/reboot-required");
        let mut probe = probe(&root);
        let mut times = Vec::new();
        for seconds in [1_000, 2_000] {
            let touched = fs::File::create(&file).unwrap();
            touched.set_modified(UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
            times.push(probe.need().unwrap().unwrap().since.unwrap().as_second());
        }
        assert_eq!(times, [1_000, 2_000]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_an_error_and_neither_a_yes_nor_a_no() {
        // A link to itself, and one to a file that is not mounted.
        for target in ["reboot-required", "/nowhere/reboot-required"] {
            let root = root_with_run();
            symlink(target, root.path().join("run/reboot-required")).unwrap();
            let error = probe(&root).need().unwrap_err();
            assert!(matches!(error, ProbeError::File { .. }), "{error}");
        }
    }
}
