//! The files of the server, each written in one step.

use std::io;
use std::path::{Path, PathBuf};

use bellwether_gatekeeper_core::{Keys, config};

use crate::certificate::{Authority, Certificate};
use crate::error::CertificateError;

/// The server's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where the authority's certificate is, for connections to the server.
    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join(config::AUTHORITY_FILE)
    }

    /// Writes all files. The one that names the others comes last: a server that starts too early does not find it, and
    /// is started again.
    pub(crate) fn write(
        &self,
        keys: &Keys,
        authority: &Authority,
        certificate: &Certificate,
    ) -> Result<(), CertificateError> {
        self.replace(config::AUTHORITY_FILE, &authority.certificate)?;
        self.certificate(certificate)?;
        self.replace(config::ROUTES_FILE, &config::routes(&self.0))?;
        self.replace(config::GATE_FILE, &config::gate(keys, &self.0))
    }

    /// Replaces the server's certificate.
    pub(crate) fn certificate(&self, certificate: &Certificate) -> Result<(), CertificateError> {
        self.replace(config::SERVER_FILE, &certificate.pem)
    }

    fn replace(&self, name: &str, content: &str) -> Result<(), CertificateError> {
        let path = self.0.join(name);
        let fresh = self.0.join(format!(".{name}.new"));
        write(&fresh, content)
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|source| CertificateError::File { path, source })
    }
}

/// For the server of the same group, and no one else.
fn write(path: &Path, content: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(content.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;
    use bellwether_gatekeeper_core::Seed;
    use jiff::Timestamp;

    #[test]
    fn all_files_are_there_and_none_is_readable_by_others() {
        let place = tempfile::tempdir().unwrap();
        let seed = Seed::new([1; 32], Timestamp::from_second(1_800_000_000).unwrap());
        let keys = Keys::derive(&seed).unwrap();
        let authority = Authority::new(&keys, &seed).unwrap();
        let certificate = authority.certify(&[], Duration::from_secs(60), seed.created).unwrap();
        let folder = Folder::new(place.path().to_owned());
        folder.write(&keys, &authority, &certificate).unwrap();
        folder.certificate(&certificate).unwrap();
        let mut names = Vec::new();
        for entry in std::fs::read_dir(place.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o007, 0);
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["ca.crt", "gate.conf", "routes.conf", "server.pem"]);
        let gone = Folder::new(place.path().join("gone"));
        let error = gone.certificate(&certificate).unwrap_err().to_string();
        assert!(error.contains("--server-dir"), "{error}");
    }
}
