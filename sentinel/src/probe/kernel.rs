//! The probe of a kernel that is installed and does not run yet.

use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use bellwether_chassis::HostArgs;
use bellwether_sentinel_core::Finding;
use bellwether_sentinel_core::kernel::{self, Installed};
use jiff::Timestamp;

use crate::error::ProbeError;

/// Files that the package of a kernel brings and that no later step writes again. A folder without one is what is left of
/// a kernel that was removed, such as modules that were built on the host.
const PACKAGED: [&str; 2] = ["modules.builtin", "modules.order"];

#[derive(Debug)]
pub(crate) struct Kernel {
    host: HostArgs,
    running: String,
}

impl Kernel {
    pub(super) fn new(host: HostArgs, running: String) -> Self {
        Self { host, running }
    }

    pub(super) fn look(&self) -> Finding {
        let modules = Path::new("/lib/modules");
        match self.host.locate(modules).and_then(fs::read_dir) {
            Ok(entries) => kernel::finding(
                &self.running,
                entries.filter_map(Result::ok).filter_map(|e| installed(&e)),
            ),
            Err(source) => ProbeError::Kernels {
                path: self.host.host_root.join("lib/modules"),
                source,
            }
            .finding(),
        }
    }
}

/// By the time at which the file came into being: packages keep the times of their files.
fn installed(entry: &DirEntry) -> Option<Installed> {
    let version = entry.file_name().into_string().ok()?;
    let packaged = PACKAGED
        .iter()
        .find_map(|name| fs::metadata(entry.path().join(name)).ok())?;
    Some(Installed {
        version,
        at: Timestamp::from_second(packaged.ctime()).ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_counts_once_its_package_is_there() {
        let root = tempfile::tempdir().unwrap();
        let host = HostArgs {
            host_root: root.path().to_owned(),
            proc_root: root.path().to_owned(),
        };
        let probe = Kernel::new(host, "6.8.0-9-generic".to_owned());
        let Finding::Unknown(problem) = probe.look() else {
            panic!("no problem")
        };
        assert!(problem.message.contains("lib/modules"), "{problem:?}");

        let modules = root.path().join("lib/modules");
        for version in ["6.8.0-9-generic", "6.8.0-10-generic"] {
            fs::create_dir_all(modules.join(version).join("updates")).unwrap();
        }
        assert!(matches!(probe.look(), Finding::Unknown(_)), "no package is there");
        fs::write(modules.join("6.8.0-9-generic/modules.order"), "").unwrap();
        assert_eq!(probe.look(), Finding::NotRequired, "the newer one was removed");
        fs::write(modules.join("6.8.0-10-generic/modules.builtin"), "").unwrap();
        let Finding::Required(shown) = probe.look() else {
            panic!("no need")
        };
        assert_eq!(shown.reasons, ["kernel 6.8.0-10-generic"]);
        assert!(shown.since.is_some());
    }
}
