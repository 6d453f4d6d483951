//! All keys of the gatekeepers of one installation, derived from the seed, so that replicas agree without talking.

use nkeys::{KeyPair, KeyPairType};
use ring::hkdf;

use crate::seed::{SEED_BYTES, Seed};

/// What the derivation is for; another version of it would begin with another text.
const SALT: &[u8] = b"bellwether gatekeeper v1";

/// The bytes that PKCS#8 puts before the 32 bytes of a private key on Ed25519.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The keys. Without an `xkey`, since questions travel over loopback and over routes with mTLS only.
pub struct Keys {
    /// Signs each answer and each user. The server's configuration names its public half.
    pub issuer: KeyPair,
    /// The gatekeeper's own user, in its account.
    pub gatekeeper: KeyPair,
    /// The gatekeeper's user of the system account, by which it asks its server to reload.
    pub system: KeyPair,
    /// Signs the servers' certificates: PKCS#8.
    pub authority: Vec<u8>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Keys")
            .field("issuer", &self.issuer.public_key())
            .finish_non_exhaustive()
    }
}

/// The library refused a key. No seed is known that leads to it.
#[derive(Debug, thiserror::Error)]
#[error("no key follows from the seed: empty the Secret and restart the NATS pods")]
pub struct NoKey;

impl Keys {
    /// Derives all keys.
    ///
    /// # Errors
    /// A library refuses a key.
    pub fn derive(seed: &Seed) -> Result<Self, NoKey> {
        let nkey = |kind, purpose| KeyPair::new_from_raw(kind, bytes(seed, purpose)?).map_err(|_| NoKey);
        Ok(Self {
            issuer: nkey(KeyPairType::Account, b"issuer")?,
            gatekeeper: nkey(KeyPairType::User, b"gatekeeper")?,
            system: nkey(KeyPairType::User, b"system")?,
            authority: [PKCS8_PREFIX.as_slice(), &bytes(seed, b"authority")?].concat(),
        })
    }
}

fn bytes(seed: &Seed, purpose: &[u8]) -> Result<[u8; SEED_BYTES], NoKey> {
    let mut bytes = [0; SEED_BYTES];
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(&seed.bytes);
    let info = [purpose];
    let expanded = extracted.expand(&info, hkdf::HKDF_SHA256).map_err(|_| NoKey)?;
    expanded.fill(&mut bytes).map_err(|_| NoKey)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn public(keys: &Keys) -> [String; 3] {
        [&keys.issuer, &keys.gatekeeper, &keys.system].map(KeyPair::public_key)
    }

    #[test]
    fn one_seed_gives_the_same_keys_to_each_gatekeeper_and_another_seed_gives_others() {
        let seed = Seed::new([1; 32], Timestamp::UNIX_EPOCH);
        let (one, other) = (Keys::derive(&seed).unwrap(), Keys::derive(&seed).unwrap());
        assert_eq!(public(&one), public(&other));
        assert_eq!(one.authority, other.authority);
        let strange = Keys::derive(&Seed::new([2; 32], Timestamp::UNIX_EPOCH)).unwrap();
        for (ours, theirs) in public(&one).iter().zip(public(&strange)) {
            assert_ne!(*ours, theirs);
        }
        assert_ne!(one.authority, strange.authority);
    }

    #[test]
    fn the_keys_of_a_seed_stay_the_same_from_release_to_release() {
        let keys = Keys::derive(&Seed::new([1; 32], Timestamp::UNIX_EPOCH)).unwrap();
        // Else the gatekeepers of a rollout would not accept each other's answers.
        assert_eq!(
            public(&keys),
            [
                "AAEUMUVMVZVP7YQDAGJYXRRTKCSEROFOQASFQYFUVMOCU4L6IKU7EBDO",
                "UA753TI6INJIZ7OSQ4G23664X3TJ25I3OKJHB2ZZMR4RHIOHECXDXH6R",
                "UD6TEM6CILEEJMHU23UTUEBS4GZ3RMN4E7QNC7BDJOGLNZLXKIUPQTYZ",
            ]
        );
    }

    #[test]
    fn no_key_is_another_one_or_the_seed() {
        let seed = Seed::new([1; 32], Timestamp::UNIX_EPOCH);
        let all =
            [&b"issuer"[..], b"gatekeeper", b"system", b"authority"].map(|purpose| bytes(&seed, purpose).unwrap());
        for (index, key) in all.iter().enumerate() {
            assert_ne!(*key, seed.bytes);
            assert!(!all[..index].contains(key));
        }
    }

    #[test]
    fn no_private_key_shows_in_a_debug_text() {
        let keys = Keys::derive(&Seed::new([1; 32], Timestamp::UNIX_EPOCH)).unwrap();
        let text = format!("{keys:?}");
        assert!(text.contains(&keys.issuer.public_key()));
        assert!(
            !text.contains(&keys.issuer.seed().unwrap()) && !text.contains("authority"),
            "{text}"
        );
    }
}
