//! Why the certificate of the server cannot be made.

use std::io;
use std::path::PathBuf;

/// The server's certificate could not be made or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// A name or a time that no certificate can have.
    #[error("no certificate can be made: do --server-names and --certificate-lifetime say what they should?")]
    Unmakeable(#[from] rcgen::Error),
    /// A time beyond those of certificates.
    #[error("a certificate cannot end at that time: choose a shorter --certificate-lifetime")]
    Time,
    /// A file.
    #[error("{path} cannot be written: is --server-dir a folder that the gatekeeper may write?", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
