//! Pushes finished images to a user's registry, and prints how to use them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use super::assemble::Image;
use crate::reference::{self, PLACEHOLDER, Reference};

/// Where images go: `REGISTRY/PREFIX`, to which the name of the service is added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    prefix: String,
    pub(crate) tag: String,
    /// Whether plain HTTP and unknown certificates are fine.
    pub(crate) insecure: bool,
}

impl Destination {
    pub(crate) fn new(prefix: &str, tag: &str, insecure: bool) -> Result<Self> {
        reference::check_tag(tag).map_err(|problem| anyhow!("--tag {tag:?}: {problem}"))?;
        if let Err(problem) = check_prefix(prefix) {
            bail!("--push {prefix:?}: {problem}; write it as registry.example.com/team/bellwether");
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            tag: tag.to_owned(),
            insecure,
        })
    }

    fn name(&self, image: &Image) -> Reference {
        Reference {
            repository: format!("{}/{}", self.prefix, image.service.name),
            tag: Some(self.tag.clone()),
            digest: None,
        }
    }

    /// Pushes all of them; writes the snippet for an overlay to `snippet` and returns it.
    pub(crate) fn push(&self, crane: &Path, images: &[Image], snippet: &Path) -> Result<String> {
        for image in images {
            let name = self.name(image).to_string();
            println!("  pushing {name}");
            let mut command = Command::new(crane);
            command.arg("push").arg(&image.folder).arg(&name);
            if self.insecure {
                command.arg("--insecure");
            }
            let output = command
                .output()
                .with_context(|| format!("cannot start {}", crane.display()))?;
            if !output.status.success() {
                let text = String::from_utf8_lossy(&output.stderr);
                let last = text.trim().lines().last().unwrap_or_default();
                let last = last.trim_start_matches("Error: ");
                bail!("{}", refused(&name, last));
            }
            let printed = String::from_utf8_lossy(&output.stdout);
            if !printed.trim().ends_with(&image.digest) {
                bail!("{name} was pushed as {}, but is {}", printed.trim(), image.digest);
            }
        }
        let names = images
            .iter()
            .map(|image| (image.service.name, self.name(image).repository, image.digest.as_str()));
        let text = kustomize(names);
        fs::write(snippet, &text).with_context(|| format!("cannot write {}", snippet.display()))?;
        Ok(text)
    }
}

/// The message for a failed push, with the remedy by the registry's answer.
fn refused(name: &str, answer: &str) -> String {
    let remedy = if answer.contains("UNAUTHORIZED")
        || answer.contains("DENIED")
        || answer.contains("401")
        || answer.contains("403")
    {
        "log in first: credentials are taken from the usual docker configuration (`docker login`, or \
         `crane auth login`)"
    } else if answer.contains("server gave HTTP response to HTTPS client") || answer.contains("x509") {
        "if the registry has no trusted certificate on purpose, add --insecure"
    } else {
        "is it a registry, and reachable from here?"
    };
    format!("cannot push {name}: {answer}\n  {remedy}")
}

/// Errors with the fault of a prefix. A registry has to be named: without one, a name would mean a public
/// registry.
fn check_prefix(prefix: &str) -> Result<(), String> {
    let image: Reference = format!("{prefix}/image").parse()?;
    match image.registry() {
        Some(_) => Ok(()),
        None => Err("it names no registry".to_owned()),
    }
}

/// The part of a `kustomization.yaml` that names these images.
fn kustomize<'a>(images: impl Iterator<Item = (&'a str, String, &'a str)>) -> String {
    let mut text = "# For the kustomization.yaml of an overlay.\nimages:\n".to_owned();
    for (service, name, digest) in images {
        text += &format!("  - name: {PLACEHOLDER}/{service}\n    newName: {name}\n    digest: {digest}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Destination, kustomize, refused};

    #[test]
    fn a_destination_names_its_registry() {
        for good in [
            "registry.example.com/team/bellwether",
            "localhost/bellwether",
            "127.0.0.1:5000",
            "registry:5000/a/b-c_d.e",
        ] {
            assert!(Destination::new(good, "0.1.0", false).is_ok(), "{good}");
        }
        for bad in [
            "bellwether",
            "https://registry.example.com/team",
            "registry.example.com/Team",
            "registry.example.com/team/",
            "registry.example.com/team:1.0",
            "registry.example.com:http/team",
            ":5000/team",
            "",
        ] {
            let error = Destination::new(bad, "0.1.0", false).unwrap_err().to_string();
            assert!(error.contains("registry.example.com/team/bellwether"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_tag_is_one_that_registries_take() {
        for (tag, good) in [
            ("0.1.0", true),
            ("_x-y.Z", true),
            ("", false),
            ("-x", false),
            ("a b", false),
            ("a:b", false),
        ] {
            assert_eq!(Destination::new("localhost", tag, false).is_ok(), good, "{tag:?}");
        }
    }

    #[test]
    fn a_refused_push_says_what_to_do() {
        assert!(refused("x", "PUT /v2/: UNAUTHORIZED: authentication required").contains("docker login"));
        assert!(refused("x", "http: server gave HTTP response to HTTPS client").contains("--insecure"));
        assert!(refused("x", "dial tcp: connection refused").contains("reachable"));
    }

    #[test]
    fn the_snippet_pins_by_digest() {
        let image = ("sentinel", "registry.example.com/b/sentinel".to_owned(), "sha256:abc");
        assert_eq!(
            kustomize([image].into_iter()),
            "# For the kustomization.yaml of an overlay.\nimages:\n  - name: bellwether.invalid/sentinel\n    \
             newName: registry.example.com/b/sentinel\n    digest: sha256:abc\n"
        );
    }
}
