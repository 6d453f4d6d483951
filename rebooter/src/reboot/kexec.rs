//! Whether a kernel is loaded for kexec: without one logind reboots in full, and does not say so.
//!
//! The kernel shows it in a file of sysfs, which every container sees as the host does. So no right and no mount is added.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::RebootError;

/// Below `/sys`. Absent: the kernel was built without kexec.
const FILE: &str = "kernel/kexec_loaded";

/// Where the kernel shows whether another one is loaded.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    file: PathBuf,
}

impl Loaded {
    /// In the `sys` that lies beside this `/proc`.
    pub(crate) fn beside(proc_root: &Path) -> Self {
        Self {
            file: proc_root.with_file_name("sys").join(FILE),
        }
    }

    /// An error unless a kernel is loaded. A file that cannot be read shows none.
    pub(crate) fn check(&self) -> Result<(), RebootError> {
        let found = fs::read_to_string(&self.file).unwrap_or_default();
        if found.trim() == "1" {
            return Ok(());
        }
        Err(RebootError::KexecNotLoaded {
            file: self.file.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_one_shows_a_loaded_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let loaded = Loaded::beside(&directory.path().join("proc"));
        let error = loaded.check().unwrap_err().to_string();
        assert!(
            error.contains("sys/kernel/kexec_loaded") && error.contains("kexec -l"),
            "{error}"
        );
        fs::create_dir_all(directory.path().join("sys/kernel")).unwrap();
        for (content, is_loaded) in [("0\n", false), ("1\n", true), ("", false), ("11\n", false)] {
            fs::write(&loaded.file, content).unwrap();
            assert_eq!(loaded.check().is_ok(), is_loaded, "{content:?}");
        }
        assert_eq!(
            Loaded::beside(Path::new("/proc")).file,
            Path::new("/sys/kernel/kexec_loaded")
        );
    }
}
