//! The certificate authority of a server.
//!
//! The clients read the file at each connection, so a renewed authority needs no restart. Of a file that they
//! cannot use they report a failed connection and no cause; this looks for the cause.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::named_file::{Fault, FileError, NamedFile};

/// The content of the file, checked to hold certificates, and nothing else that the client would stumble over.
///
/// # Errors
/// The file cannot be used now.
pub(crate) async fn check(file: &NamedFile) -> Result<Vec<u8>, FileError> {
    let content = file.read().await?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let added = certificate.ok().and_then(|it| roots.add(it).ok());
        added.ok_or_else(|| file.error(Fault::Malformed("holds a certificate that cannot be read (PEM)")))?;
    }
    if roots.is_empty() {
        return Err(file.error(Fault::Malformed(
            "holds no certificate in PEM form: is it the right one?",
        )));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_without_a_readable_certificate_is_no_authority() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        let file = NamedFile::new("--nats-ca", &path);
        let certificate = rcgen::generate_simple_self_signed(["nats".to_owned()])
            .unwrap()
            .cert
            .pem();
        let check_of = async |content: &str| {
            std::fs::write(&path, content).unwrap();
            check(&file).await.map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(check_of(&certificate).await, Ok(()));
        assert_eq!(check_of(&certificate.repeat(2)).await, Ok(()));
        for (content, found) in [
            ("", "--nats-ca"),
            ("garbage", "holds no certificate"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "cannot be read",
            ),
            (
                &format!("{certificate}-----BEGIN CERTIFICATE-----\nAAAA"),
                "cannot be read",
            ),
            (&certificate.replace("\nMI", "\nXI"), "cannot be read"),
        ] {
            let refused = check_of(content).await.unwrap_err();
            assert!(refused.contains(found), "{content}: {refused}");
        }
    }
}
