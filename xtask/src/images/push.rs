//! Pushes finished images to somebody's registry, and says how to use them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::assemble::Image;

/// Where images go: `REGISTRY/PREFIX`, to which the name of the service is added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    repository: String,
    pub(crate) tag: String,
    /// Whether plain HTTP and unknown certificates are fine.
    pub(crate) insecure: bool,
}

impl Destination {
    pub(crate) fn new(repository: &str, tag: &str, insecure: bool) -> Result<Self> {
        if let Err(problem) = check_repository(repository) {
            bail!("--push {repository:?}: {problem}; write it as registry.example.com/team/bellwether");
        }
        let mut letters = tag.chars();
        let first = letters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        if !first || tag.len() > 128 || !letters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
            bail!(
                "--tag {tag:?}: a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two"
            );
        }
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            insecure,
        })
    }

    fn name(&self, image: &Image) -> String {
        format!("{}/{}", self.repository, image.service.name)
    }

    /// Pushes all of them; writes the snippet for an overlay to `snippet` and returns it.
    pub(crate) fn push(&self, crane: &Path, images: &[Image], snippet: &Path) -> Result<String> {
        for image in images {
            let name = format!("{}:{}", self.name(image), self.tag);
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
            let said = String::from_utf8_lossy(&output.stdout);
            if !said.trim().ends_with(&image.digest) {
                bail!("{name} was pushed as {}, but is {}", said.trim(), image.digest);
            }
        }
        let names = images
            .iter()
            .map(|image| (image.service.name, self.name(image), image.digest.as_str()));
        let text = kustomize(names);
        fs::write(snippet, &text).with_context(|| format!("cannot write {}", snippet.display()))?;
        Ok(text)
    }
}

/// What a failed push means, as far as the registry's answer tells.
fn refused(name: &str, answer: &str) -> String {
    let remedy = if answer.contains("UNAUTHORIZED")
        || answer.contains("DENIED")
        || answer.contains("401")
        || answer.contains("403")
    {
        "log in first: credentials are taken from the usual docker configuration (`docker login`, or \
         `crane auth login`)"
    } else if answer.contains("server gave HTTP response to HTTPS client") || answer.contains("x509") {
        "if that registry is meant to be used without a trusted certificate, say --insecure"
    } else {
        "is it a registry, and reachable from here?"
    };
    format!("cannot push {name}: {answer}\n  {remedy}")
}

/// Says what is wrong with a destination. A registry has to be named: without one, a name would
/// mean a public registry.
fn check_repository(text: &str) -> Result<(), String> {
    if text.contains("://") {
        return Err("a scheme does not belong in there".to_owned());
    }
    let mut parts = text.split('/');
    let registry = parts.next().unwrap_or_default();
    let (host, port) = registry.split_once(':').unwrap_or((registry, ""));
    if !(host.contains('.') || host == "localhost" || !port.is_empty()) {
        return Err(format!("{registry:?} names no registry"));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if host.is_empty() || !host.chars().all(good) || !port.chars().all(|c| c.is_ascii_digit()) {
        return Err(format!("{registry:?} is no HOST or HOST:PORT"));
    }
    for part in parts {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if !edge(part.chars().next()) || !edge(part.chars().last()) || !part.chars().all(inner) {
            return Err(format!(
                "{part:?} is no part of a name: lower-case letters, digits, and `.`, `_`, `-` between them"
            ));
        }
    }
    Ok(())
}

/// The part of a `kustomization.yaml` that names these images.
fn kustomize<'a>(images: impl Iterator<Item = (&'a str, String, &'a str)>) -> String {
    let mut text = "# For the kustomization.yaml of an overlay.\nimages:\n".to_owned();
    for (service, name, digest) in images {
        text += &format!("  - name: bellwether.invalid/{service}\n    newName: {name}\n    digest: {digest}\n");
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
