//! The certificates of the authority and of the server.
//!
//! The authority's follows from the seed alone, so that each gatekeeper makes the same one and clients trust every server.

use std::time::Duration;

use bellwether_gatekeeper_core::{Keys, Seed};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};

use crate::error::CertificateError;

/// How long the authority counts: longer than a cluster lives without a restart of all its NATS pods.
const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// So far the clocks of clients may be behind.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(1);

/// In each certificate: the gatekeeper connects to the server beside it.
const OWN_NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Signs the certificates of servers.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate: PEM.
    pub(crate) certificate: String,
    /// Since when it counts, as a time after 1970.
    since: Duration,
    /// The end of its certificate.
    pub(crate) expires: Timestamp,
}

/// The certificate of a server.
pub(crate) struct Certificate {
    /// The certificate and its key: PEM.
    pub(crate) pem: String,
    /// Its end.
    pub(crate) expires: Timestamp,
}

impl Authority {
    pub(crate) fn new(keys: &Keys, seed: &Seed) -> Result<Self, CertificateError> {
        let key = KeyPair::try_from(keys.authority.as_slice())?;
        let expires = after(seed.created, AUTHORITY_LIFETIME)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = named("Bellwether NATS authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // A random one would differ from gatekeeper to gatekeeper.
        params.serial_number = Some(SerialNumber::from(1_u64));
        let since = since_1970(after(seed.created, -CLOCKS_APART)?)?;
        params.not_before = date_time_ymd(1970, 1, 1) + since;
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(expires)?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            since,
            expires,
        })
    }

    /// A new certificate with a new key for a server of these names. It ends with the authority at the latest.
    pub(crate) fn certify(
        &self,
        names: &[String],
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<Certificate, CertificateError> {
        let lifetime = SignedDuration::try_from(lifetime).map_err(|_| CertificateError::Time)?;
        let expires = after(now, lifetime)?.min(self.expires);
        let names: Vec<String> = OWN_NAMES.map(str::to_owned).iter().chain(names).cloned().collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = named("Bellwether NATS server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // To clients it is the server; on a route between two servers, one of them is the client.
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // As the authority: a clock that was ahead as this was made leaves no certificate that counts later only.
        params.not_before = date_time_ymd(1970, 1, 1) + self.since;
        params.not_after = date_time_ymd(1970, 1, 1) + since_1970(expires)?;
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            pem: format!("{}{}", certificate.pem(), key.serialize_pem()),
            expires,
        })
    }

    /// When the next certificate is due after one with this end: with a third of its lifetime left. None after the last
    /// one, since it would end at the same time.
    pub(crate) fn renewal(&self, expires: Timestamp, lifetime: Duration) -> Timestamp {
        // A server states the end of its certificate in whole seconds.
        if expires.as_second() >= self.expires.as_second() {
            expires
        } else {
            expires.checked_sub(lifetime / 3).unwrap_or(Timestamp::MIN)
        }
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn after(time: Timestamp, duration: SignedDuration) -> Result<Timestamp, CertificateError> {
    time.checked_add(duration).map_err(|_| CertificateError::Time)
}

/// Since the day from which certificates count here: the library's type has no other beginning without a further dependency.
fn since_1970(time: Timestamp) -> Result<Duration, CertificateError> {
    let since = Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).map_err(|_| CertificateError::Time)?;
    Ok(Duration::from_secs(since.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(byte: u8) -> Authority {
        let seed = Seed::new([byte; 32], at(1_800_000_000));
        Authority::new(&Keys::derive(&seed).unwrap(), &seed).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_gatekeeper_makes_the_same_authority_of_a_seed_and_of_another_seed_another_one() {
        assert_eq!(authority(1).certificate, authority(1).certificate);
        assert_ne!(authority(1).certificate, authority(2).certificate);
    }

    #[test]
    fn a_certificate_is_renewed_after_two_thirds_of_its_time_and_ends_with_the_authority_at_the_latest() {
        let authority = authority(1);
        let day = Duration::from_secs(24 * 3600);
        let now = at(1_800_000_000);
        let certificate = authority.certify(&["nats".to_owned()], day * 3, now).unwrap();
        assert_eq!(certificate.expires.as_second() - now.as_second(), 3 * 24 * 3600);
        let renewal = authority.renewal(certificate.expires, day * 3);
        assert_eq!(renewal.as_second() - now.as_second(), 2 * 24 * 3600);
        let late = authority.certify(&[], day * 366 * 20, now).unwrap();
        assert_eq!(late.expires, authority.expires);
        assert_eq!(authority.renewal(late.expires, day * 366 * 20), late.expires);
    }

    #[test]
    fn each_certificate_has_a_key_of_its_own() {
        let (authority, now) = (authority(1), at(1_800_000_000));
        let [one, other] = [(); 2].map(|()| authority.certify(&[], Duration::from_secs(60), now).unwrap().pem);
        let key = |pem: &str| pem.split("PRIVATE KEY").nth(1).unwrap().to_owned();
        assert_ne!(key(&one), key(&other));
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_refused() {
        let refused = authority(1).certify(&["nats\u{e9}".to_owned()], Duration::from_secs(60), at(1_800_000_000));
        assert!(refused.is_err());
    }
}
