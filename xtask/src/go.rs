//! One Go module below `xtask/tools` and the binaries that come out of it.
//!
//! A module per origin, because their dependencies clash. `go.mod` and `go.sum` pin all sources
//! by hash, so the binaries are the same everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cache, progress};

/// The oldest Go that can build all modules; the same as the `go` line of their `go.mod`.
const GO_MIN: (u32, u32) = (1, 26);

/// The linker flags for Kubernetes: its clients cannot parse the version of an unstamped server.
pub(crate) const KUBERNETES_LDFLAGS: &str = "-s -w \
    -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 \
    -X k8s.io/component-base/version.gitMinor=36 \
    -X k8s.io/component-base/version.gitTreeState=clean";
/// The linker flags for everything else: no symbols, no debug information.
pub(crate) const PLAIN_LDFLAGS: &str = "-s -w";

/// The package of a module whose program is in its own `main.go`.
pub(crate) const OWN: &str = ".";

/// A module and what to build from it.
pub(crate) struct Origin {
    /// The folder below `xtask/tools`.
    pub(crate) name: &'static str,
    pub(crate) ldflags: &'static str,
    /// Build tags, with commas.
    pub(crate) tags: &'static str,
    /// Name of the binary, its package: of a pinned module, or [`OWN`].
    pub(crate) binaries: &'static [(&'static str, &'static str)],
}

impl Origin {
    /// Builds the binaries that the cache does not have yet; returns the folder with the binaries. `first` is the
    /// number of the first binary among `total`, for the progress line.
    pub(crate) fn build(&self, go_version: &str, first: usize, total: usize) -> Result<PathBuf> {
        let module = cache::workspace().join("xtask/tools").join(self.name);
        let read = |file: &str| {
            let path = module.join(file);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let names: Vec<u8> = self.binaries.iter().flat_map(|(name, _)| name.bytes()).collect();
        let (pins, sums, flags) = (read("go.mod")?, read("go.sum")?, [self.ldflags, self.tags].concat());
        let mut parts: Vec<&[u8]> = vec![&pins, &sums, flags.as_bytes(), &names, go_version.as_bytes()];
        let is_own = |(_, package): &(_, &str)| *package == OWN;
        let own = self.binaries.iter().any(is_own).then(|| read("main.go")).transpose()?;
        parts.extend(own.as_deref());
        let fingerprint = cache::fingerprint(&parts);
        cache::entry(&format!("{}-{fingerprint}", self.name), |folder| {
            for (index, (name, package)) in self.binaries.iter().enumerate() {
                let label = format!("[{} of {total}] building {name}", first + index);
                let mut command = go(&module);
                command
                    .args(["build", "-trimpath", "-buildvcs=false", "-mod=readonly"])
                    .args(["-tags", self.tags, "-ldflags", self.ldflags, "-o"])
                    .arg(folder.join(name))
                    .arg(package)
                    .env("CGO_ENABLED", "0");
                progress::run(&label, &mut command, &folder.join(format!("{name}.log")))?;
            }
            Ok(())
        })
    }
}

/// The version of Go that builds the modules. The error names the fault and where to get Go.
pub(crate) fn version() -> Result<String> {
    let how = format!(
        "the tools of this repository are built from Go modules: install Go {}.{} or newer \
         (https://go.dev/doc/install, or your distribution's package) and put `go` on the PATH",
        GO_MIN.0, GO_MIN.1
    );
    // Asked inside a module, so that Go's own toolchain switch, where allowed, has its say.
    let module = cache::workspace().join("xtask/tools/nats");
    let output = match go(&module).args(["env", "GOVERSION"]).output() {
        Ok(output) => output,
        Err(error) => bail!("cannot run `go` ({error}): {how}"),
    };
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`go env GOVERSION` failed: {}: {how}", text.trim());
    }
    match parse_version(&version) {
        Some(found) if found >= GO_MIN => Ok(version),
        Some(_) => bail!("{version} is too old: {how}"),
        None => bail!("cannot understand the Go version {version:?}: {how}"),
    }
}

/// Go in a module's folder, to be given its arguments.
pub(crate) fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    // A developer's own workspace file or flags must not change what is built.
    command.current_dir(module).env("GOWORK", "off").env("GOFLAGS", "");
    command
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split(['.', ' ', '-', 'r', 'b']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{KUBERNETES_LDFLAGS, parse_version};

    #[test]
    fn kubernetes_is_stamped_with_the_version_that_is_pinned() {
        let pins = include_str!("../tools/kubernetes/go.mod");
        let pinned = pins
            .lines()
            .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
            .unwrap();
        let version = pinned.split(' ').next().unwrap();
        assert!(
            KUBERNETES_LDFLAGS.contains(&format!("gitVersion={version}")),
            "{version}"
        );
    }

    #[test]
    fn go_versions_are_understood() {
        assert_eq!(parse_version("go1.26.8"), Some((1, 26)));
        assert_eq!(parse_version("go1.27rc1"), Some((1, 27)));
        assert_eq!(parse_version("go1.9"), Some((1, 9)));
        assert_eq!(parse_version("devel"), None);
    }
}
