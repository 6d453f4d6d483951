//! A registry on loopback, with the images that machines pull.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::tools::tool;
use crate::wait;

const START_DEADLINE: Duration = Duration::from_secs(20);
/// The largest image has tens of megabytes to be compressed, on cores that have more to do.
const PUSH_DEADLINE: Duration = Duration::from_secs(180);

/// The running registry. Its images are gone when it ends.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    folder: PathBuf,
    _process: Process,
}

impl Registry {
    /// Starts it, empty.
    pub async fn start(place: &Place) -> Result<Self> {
        let port = free_port()?;
        let args = ["registry", "serve", &format!("--address=127.0.0.1:{port}")].map(str::to_owned);
        let process = place.start("registry", tool("crane")?, args.into(), BTreeMap::new())?;
        let awaited = "the registry to listen";
        process
            .while_running(awaited, START_DEADLINE, async || {
                TcpStream::connect(("127.0.0.1", port))
                    .await
                    .map(drop)
                    .context("refused")
            })
            .await?;
        Ok(Self {
            port,
            folder: place.folder("images")?,
            _process: process,
        })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Pushes an image that lies in a folder as an OCI layout.
    pub async fn push_layout(&self, layout: &Path, image: &str) -> Result<()> {
        crane(&["push", "--index", &layout.display().to_string(), &self.name(image)]).await
    }

    /// Pushes an image of one static program, which it runs.
    pub async fn push_program(&self, program: &Path, image: &str) -> Result<()> {
        let name = program.file_name().context("a program has a name")?.to_string_lossy();
        let root = self.root(image)?;
        fs::copy(program, root.join(&*name)).with_context(|| format!("cannot copy {}", program.display()))?;
        self.push_root(&root, &format!("/{name}"), image).await
    }

    /// Pushes an image that waits for SIGTERM, and has busybox for an operator who looks around.
    pub async fn push_waiting(&self, busybox: &Path, image: &str) -> Result<()> {
        // The first process ignores a signal for which it sets no trap.
        const WAIT: &str = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do busybox sleep 3600 & wait; done\n";
        let root = self.root(image)?;
        let bin = root.join("bin");
        fs::create_dir_all(&bin)?;
        fs::copy(busybox, bin.join("busybox")).with_context(|| format!("cannot copy {}", busybox.display()))?;
        symlink("busybox", bin.join("sh"))?;
        let wait = root.join("wait");
        fs::write(&wait, WAIT)?;
        fs::set_permissions(&wait, fs::Permissions::from_mode(0o755))?;
        self.push_root(&root, "/wait", image).await
    }

    fn root(&self, image: &str) -> Result<PathBuf> {
        let root = self.folder.join(image.replace(['/', ':'], "-"));
        fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        Ok(root)
    }

    async fn push_root(&self, root: &Path, entrypoint: &str, image: &str) -> Result<()> {
        let tar = root.with_extension("tar").display().to_string();
        let mut pack = Command::new("tar");
        pack.args(["--owner=0", "--group=0", "-cf", &tar, "-C"])
            .arg(root)
            .arg(".");
        finish(pack).await?;
        let name = self.name(image);
        crane(&["append", "--oci-empty-base", "-f", &tar, "-t", &name]).await?;
        crane(&["mutate", &name, "-t", &name, "--entrypoint", entrypoint]).await
    }

    fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }
}

async fn crane(args: &[&str]) -> Result<()> {
    let mut command = Command::new(tool("crane")?);
    command.args(args).arg("--insecure");
    finish(command).await
}

async fn finish(mut command: Command) -> Result<()> {
    let output = command.kill_on_drop(true).output();
    let output = wait::within("an image to be pushed", PUSH_DEADLINE, async { Ok(output.await?) }).await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{:?}: {}", command.as_std(), errors.trim());
    Ok(())
}
