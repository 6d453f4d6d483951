//! Puts a binary into an image from scratch, and images into folders of the OCI image layout.
//!
//! GNU tar writes the layer and stock `crane` the rest: there is no image format in this code, and
//! no dependency for it. Times, owners and order, which differ from run to run, are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::arch::Arch;
use super::layout;
use super::registry::Registry;
use super::service::Service;
use crate::cache;

/// A file inside the layout's folder, which layouts allow: the fingerprint of the image's inputs.
const INPUTS: &str = "inputs";

/// A file that every layout has.
const MARK: &str = "oci-layout";
/// A file in every folder in which a layout is being made.
const WORK: &str = "unfinished";

/// A finished image.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) service: &'static Service,
    /// The folder with its layout.
    pub(crate) folder: PathBuf,
    /// The digest to pull the image by.
    pub(crate) digest: String,
    pub(crate) parts: Vec<Part>,
}

/// An image for one architecture.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) arch: Arch,
    pub(crate) binary: PathBuf,
    /// Bytes of the binary, and bytes that a pull transfers.
    pub(crate) size: u64,
    pub(crate) compressed: u64,
}

/// Makes images in one folder.
pub(crate) struct Assembler {
    crane: PathBuf,
    out: PathBuf,
    /// Started for the first image that is not there yet.
    registry: Option<Registry>,
}

impl Assembler {
    pub(crate) fn new(crane: PathBuf, out: PathBuf) -> Self {
        Self {
            crane,
            out,
            registry: None,
        }
    }

    /// Makes the image of `service`, or finds one made of the same inputs.
    pub(crate) fn image(
        &mut self,
        service: &'static Service,
        binaries: &[(Arch, PathBuf)],
        labels: &[String],
    ) -> Result<Image> {
        let folder = self.out.join(service.name);
        let inputs = self.inputs(service, binaries, labels)?;
        if fs::read_to_string(folder.join(INPUTS)).is_ok_and(|old| old == inputs) {
            return image(service, folder, binaries);
        }
        let fresh = self.out.join(format!("{}.new", service.name));
        remove(&fresh, WORK)?;
        remove(&folder, MARK)?;
        fs::create_dir_all(&fresh).with_context(|| format!("cannot create {}", fresh.display()))?;
        fs::write(fresh.join(WORK), "")?;
        let reference = self.make(service, binaries, labels, &fresh)?;
        let layout = fresh.join("layout");
        self.crane(&["pull", "--format=oci", &reference, &layout.to_string_lossy()])?;
        fs::write(layout.join(INPUTS), inputs)?;
        fs::rename(&layout, &folder).with_context(|| format!("cannot rename to {}", folder.display()))?;
        fs::remove_dir_all(&fresh).with_context(|| format!("cannot remove {}", fresh.display()))?;
        image(service, folder, binaries)
    }

    /// The fingerprint of everything that the image depends on.
    fn inputs(&self, service: &Service, binaries: &[(Arch, PathBuf)], labels: &[String]) -> Result<String> {
        // Where the link to `crane` leads says which one it is.
        let crane = fs::canonicalize(&self.crane)?.into_os_string().into_encoded_bytes();
        let mut parts = vec![crane, service.user.into()];
        parts.extend(labels.iter().map(|label| label.clone().into_bytes()));
        for (arch, binary) in binaries {
            parts.push(arch.name().into());
            parts.push(fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?);
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Ok(cache::fingerprint(&parts))
    }

    /// Makes the image in the registry; returns its name there.
    fn make(
        &mut self,
        service: &Service,
        binaries: &[(Arch, PathBuf)],
        labels: &[String],
        work: &Path,
    ) -> Result<String> {
        let registry = match self.registry.take() {
            Some(registry) => registry,
            None => Registry::start(&self.crane)?,
        };
        let repository = format!("{}/{}", registry.address, service.name);
        self.registry = Some(registry);
        let mut images = Vec::new();
        for (arch, binary) in binaries {
            let layer = work.join(format!("{}.tar", arch.name()));
            tar(binary, &layer)?;
            let name = format!("{repository}:{}", arch.name());
            self.crane(&[
                "append",
                "--oci-empty-base",
                "--new_layer",
                &layer.to_string_lossy(),
                "--new_tag",
                &name,
            ])?;
            let platform = format!("linux/{}", arch.name());
            let entrypoint = format!("/{}", service.binary);
            let mut mutate = vec!["mutate", &name, "--tag", &name, "--set-platform", &platform];
            mutate.extend(["--entrypoint", &entrypoint, "--user", service.user]);
            mutate.extend(labels.iter().flat_map(|label| ["--label", label]));
            self.crane(&mutate)?;
            images.push(name);
        }
        if let [image] = images.as_slice() {
            return Ok(image.clone());
        }
        let index = format!("{repository}:index");
        let mut append = vec!["index", "append", "--tag", &index];
        append.extend(images.iter().flat_map(|image| ["--manifest", image]));
        self.crane(&append)?;
        Ok(index)
    }

    fn crane(&self, args: &[&str]) -> Result<()> {
        let output = Command::new(&self.crane)
            .args(args)
            // No user's credentials, and no helper that asks for them: the registry is our own.
            .env("DOCKER_CONFIG", &self.out)
            .output()
            .with_context(|| format!("cannot start {}", self.crane.display()))?;
        if !output.status.success() {
            bail!(
                "`crane {}` failed: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// Removes a folder of an earlier run, by the file that tells it: `--out` may name any place, and services
/// are called as the folders of their sources are.
fn remove(folder: &Path, mark: &str) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if !is_empty && !folder.join(mark).is_file() {
        bail!(
            "{} is not an image of ours and stays as it is: choose another folder with --out",
            folder.display()
        );
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

/// Writes the layer: the binary alone, at the root, without anything that differs from run to run.
fn tar(binary: &Path, layer: &Path) -> Result<()> {
    let (Some(folder), Some(name)) = (binary.parent(), binary.file_name()) else {
        bail!("{} is no file", binary.display());
    };
    let output = Command::new("tar")
        .args(["--create", "--format=ustar", "--mtime=@0", "--mode=0755"])
        .args(["--owner=0", "--group=0", "--numeric-owner", "--file"])
        .arg(layer)
        .arg("--directory")
        .arg(folder)
        .arg(name)
        .output()
        .context("cannot run `tar`: install GNU tar")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`tar` failed, GNU tar is needed: {}", text.trim());
    }
    Ok(())
}

/// Looks at a finished image.
fn image(service: &'static Service, folder: PathBuf, binaries: &[(Arch, PathBuf)]) -> Result<Image> {
    let layout = layout::read(&folder)?;
    let mut parts = Vec::new();
    for (arch, binary) in binaries {
        let platform = layout.platforms.iter().find(|platform| platform.arch == arch.name());
        let platform = platform.with_context(|| format!("{} has no {}", folder.display(), arch.name()))?;
        parts.push(Part {
            arch: *arch,
            binary: binary.clone(),
            size: fs::metadata(binary)?.len(),
            compressed: platform.compressed,
        });
    }
    Ok(Image {
        service,
        folder,
        digest: layout.digest,
        parts,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::{MARK, remove, tar};

    #[test]
    fn a_folder_that_is_no_image_is_never_removed() {
        let folder = std::env::temp_dir().join(format!("bellwether-remove-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        let refused = remove(&folder, MARK).unwrap_err().to_string();
        assert!(refused.contains("--out") && folder.join("src").is_dir(), "{refused}");
        fs::write(folder.join(MARK), "{}").unwrap();
        remove(&folder, MARK).unwrap();
        assert!(!folder.exists());
        remove(&folder, MARK).unwrap();
    }

    #[test]
    fn a_layer_depends_on_nothing_but_the_binary() {
        let folder = std::env::temp_dir().join(format!("bellwether-tar-{}", std::process::id()));
        let layer = |name: &str, age: u64| {
            let place = folder.join(name);
            fs::create_dir_all(&place).unwrap();
            let binary = place.join("service");
            fs::write(&binary, "the same").unwrap();
            let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            fs::File::options()
                .write(true)
                .open(&binary)
                .unwrap()
                .set_modified(changed)
                .unwrap();
            tar(&binary, &place.join("layer.tar")).unwrap();
            fs::read(place.join("layer.tar")).unwrap()
        };
        let (first, second) = (layer("first", 1_000_000_000), layer("second", 1_500_000_000));
        assert!(first.starts_with(b"service\0"));
        assert_eq!(first, second);
        fs::remove_dir_all(folder).unwrap();
    }
}
