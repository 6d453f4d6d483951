//! References to images: `REGISTRY/PATH:TAG@DIGEST`, read and written here and nowhere else.
//!
//! The grammar is that of the distribution project, for what this repository names: no more than one
//! tag and one digest, each optional.

use std::fmt;
use std::str::FromStr;

/// Stands in the manifests for the place where a user's images are.
pub(crate) const PLACEHOLDER: &str = "bellwether.invalid";

/// The longest tag that registries take.
const TAG_BYTES_MAX: usize = 128;

/// Names an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry, if one is named, and the path in it.
    pub(crate) repository: String,
    pub(crate) tag: Option<String>,
    /// Such as `sha256:...`; it decides, whatever the tag.
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// The registry, as HOST or HOST:PORT. None: a client would look in a public one.
    pub(crate) fn registry(&self) -> Option<&str> {
        registry(&self.repository)
    }
}

fn registry(repository: &str) -> Option<&str> {
    let (first, _) = repository.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

impl FromStr for Reference {
    /// The fault, to follow the text and a colon.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return Err("a scheme does not belong in there".to_owned());
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let last = name.rsplit('/').next().unwrap_or(name);
        let (repository, tag) = match last.split_once(':') {
            Some((_, tag)) => (name.strip_suffix(&format!(":{tag}")).unwrap_or(name), Some(tag)),
            None => (name, None),
        };
        digest.map_or(Ok(()), check_digest)?;
        tag.map_or(Ok(()), check_tag)?;
        let registry = registry(repository);
        registry.map_or(Ok(()), check_registry)?;
        let path = registry.and_then(|registry| repository.strip_prefix(registry)?.strip_prefix('/'));
        path.unwrap_or(repository).split('/').try_for_each(check_part)?;
        Ok(Self {
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// Errors with the fault of a tag.
pub(crate) fn check_tag(tag: &str) -> Result<(), String> {
    let mut letters = tag.chars();
    let first = letters.next().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    if !first || tag.len() > TAG_BYTES_MAX || !letters.all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return Err(format!(
            "a tag has up to {TAG_BYTES_MAX} letters, digits, `_`, `.` and `-`, and begins with none of the last two"
        ));
    }
    Ok(())
}

fn check_digest(digest: &str) -> Result<(), String> {
    let hash = digest.strip_prefix("sha256:").unwrap_or_default();
    if hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(format!("{digest:?} is no digest: sha256: and 64 hexadecimal digits"))
}

fn check_registry(registry: &str) -> Result<(), String> {
    let (host, port) = match registry.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (registry, None),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    if host.is_empty() || !host.chars().all(is_host) || !port.is_none_or(is_port) {
        return Err(format!("{registry:?} is no HOST or HOST:PORT"));
    }
    Ok(())
}

fn check_part(part: &str) -> Result<(), String> {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !edge(part.chars().next()) || !edge(part.chars().last()) || !part.chars().all(inner) {
        return Err(format!(
            "{part:?} is no part of a name: lower-case letters, digits, and `.`, `_`, `-` between them"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Reference;

    /// Repository, tag and digest.
    fn parts(text: &str) -> (String, Option<String>, Option<String>) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), text, "written as it was read");
        (reference.repository, reference.tag, reference.digest)
    }

    #[test]
    fn a_reference_is_read_in_its_parts_and_written_as_it_was() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            parts("nats:2.14.3-alpine"),
            ("nats".to_owned(), some("2.14.3-alpine"), None)
        );
        assert_eq!(
            parts(&format!("registry:5000/a/b@{digest}")),
            ("registry:5000/a/b".to_owned(), None, Some(digest.clone()))
        );
        assert_eq!(
            parts(&format!("bellwether.invalid/drainer:dev@{digest}")),
            ("bellwether.invalid/drainer".to_owned(), some("dev"), Some(digest))
        );
    }

    #[test]
    fn a_port_is_no_tag_and_a_path_no_registry() {
        let registry = |text: &str| text.parse::<Reference>().unwrap().registry().map(str::to_owned);
        assert_eq!(registry("registry:5000/a").as_deref(), Some("registry:5000"));
        assert_eq!(registry("localhost/a:1").as_deref(), Some("localhost"));
        assert_eq!(registry("team/a:1"), None);
        assert_eq!(registry("nats:1"), None);
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for bad in [
            "",
            "/a",
            "a/",
            "a:",
            "a:b:c",
            "A",
            "a b",
            "a@sha256:0",
            "https://registry.example.com/a",
            ":5000/a",
            "registry:http/a",
            "registry:/a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }
}
