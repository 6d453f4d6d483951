//! Reads a folder of the OCI image layout, as `crane pull --format=oci` writes it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The one image, or index of images, in a layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The digest to pull the image by.
    pub(crate) digest: String,
    pub(crate) platforms: Vec<Platform>,
}

/// The image for one architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) arch: String,
    /// Bytes that a pull transfers: configuration and compressed layers.
    pub(crate) compressed: u64,
}

/// Reads the layout in `folder`.
pub(crate) fn read(folder: &Path) -> Result<Layout> {
    let index = json(&folder.join("index.json"))?;
    let [root] = array(&index, "manifests")? else {
        bail!("{} does not hold exactly one image", folder.display());
    };
    let digest = text(root, "digest")?;
    let manifest = blob(folder, digest)?;
    let platforms = if manifest.get("manifests").is_some() {
        let platform = |child: &Value| platform(folder, &blob(folder, text(child, "digest")?)?);
        array(&manifest, "manifests")?
            .iter()
            .map(platform)
            .collect::<Result<_>>()?
    } else {
        vec![platform(folder, &manifest)?]
    };
    Ok(Layout {
        digest: digest.to_owned(),
        platforms,
    })
}

fn platform(folder: &Path, manifest: &Value) -> Result<Platform> {
    let config = manifest.get("config").context("a manifest has no `config`")?;
    let mut compressed = size(config)?;
    for layer in array(manifest, "layers")? {
        compressed += size(layer)?;
    }
    let config = blob(folder, text(config, "digest")?)?;
    Ok(Platform {
        arch: text(&config, "architecture")?.to_owned(),
        compressed,
    })
}

fn blob(folder: &Path, digest: &str) -> Result<Value> {
    let (algorithm, hash) = digest
        .split_once(':')
        .with_context(|| format!("{digest:?} is no digest"))?;
    json(&folder.join("blobs").join(algorithm).join(hash))
}

fn json(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    let found = value.get(key).and_then(Value::as_array);
    Ok(found.with_context(|| format!("there is no list {key:?}"))?)
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let found = value.get(key).and_then(Value::as_str);
    found.with_context(|| format!("there is no text {key:?}"))
}

fn size(descriptor: &Value) -> Result<u64> {
    let found = descriptor.get("size").and_then(Value::as_u64);
    found.context("there is no number \"size\"")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::{Platform, read};

    const IMAGE: &str = r#"{"config":{"digest":"sha256:c","size":100},
                            "layers":[{"digest":"sha256:l","size":2000},{"digest":"sha256:m","size":30}]}"#;

    /// A layout whose root is the blob `root`; a blob's name stands for its digest.
    fn layout(name: &str, root: &str, blobs: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("bellwether-layout-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        let index = format!(r#"{{"manifests":[{{"digest":"sha256:{root}"}}]}}"#);
        fs::write(folder.join("index.json"), index).unwrap();
        for (hash, text) in blobs {
            fs::write(folder.join("blobs/sha256").join(hash), text).unwrap();
        }
        folder
    }

    fn platform(arch: &str) -> Platform {
        Platform {
            arch: arch.to_owned(),
            compressed: 2130,
        }
    }

    #[test]
    fn a_single_image_is_counted_with_its_configuration() {
        let folder = layout("one", "i", &[("i", IMAGE), ("c", r#"{"architecture":"amd64"}"#)]);
        let found = read(&folder).unwrap();
        assert_eq!(
            (found.digest.as_str(), found.platforms),
            ("sha256:i", vec![platform("amd64")])
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_index_has_one_platform_for_each_image() {
        let arm = IMAGE.replace("sha256:c", "sha256:d");
        let blobs = [
            ("x", r#"{"manifests":[{"digest":"sha256:i"},{"digest":"sha256:j"}]}"#),
            ("i", IMAGE),
            ("j", &arm),
            ("c", r#"{"architecture":"amd64"}"#),
            ("d", r#"{"architecture":"arm64"}"#),
        ];
        let folder = layout("index", "x", &blobs);
        let found = read(&folder).unwrap();
        assert_eq!(found.digest, "sha256:x");
        assert_eq!(found.platforms, [platform("amd64"), platform("arm64")]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_blob_that_is_missing_is_named() {
        let folder = layout("missing", "nowhere", &[]);
        let error = format!("{:#}", read(&folder).unwrap_err());
        assert!(error.contains("blobs/sha256/nowhere"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
