//! Verifying records: the file of public keys, and the one way from a stored record to an attempt that may be acted on.
//!
//! The file is read again for each record, since the kubelet replaces it while the service runs. No content of a record
//! that does not verify is given but as a [`Claim`](crate::record::Claim).

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::signature::KEY_FILE_BYTES_MAX;
use bellwether_proto::{KeyId, PublicKeys, SignatureFault, Signed, setting};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::admin::Health;
use crate::record::{Record, Unusable};
use crate::runtime::Chassis;

/// How often a service looks at the file without a record, so that `/readyz` is true.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How long `/readyz` shows that a record did not verify, unless one does before.
const SHOWN_FOR: Duration = Duration::from_secs(60);

/// The remedy of a file that cannot be used.
const REMEDY: &str = "the leading scheduler publishes the keys in the ConfigMap bellwether-record-keys, and the kubelet \
    brings them within a minute";

/// Flags of the services that verify records.
#[derive(Debug, Clone, clap::Args)]
pub struct RecordKeyArgs {
    /// File with the public keys by which records are verified, as the scheduler publishes them; read for each record
    #[arg(
        long,
        env = setting::RECORD_KEYS,
        default_value = "/etc/bellwether/record-keys/keys",
        value_name = "FILE"
    )]
    pub record_keys: PathBuf,
}

/// The file of public keys.
#[derive(Debug, Clone)]
pub struct RecordKeyFile {
    path: PathBuf,
    health: Health,
    /// Records that did not verify, by the code of the fault.
    untrusted: Family<[(&'static str, &'static str); 1], Counter>,
}

impl RecordKeyFile {
    /// The file that the flags name, with a metric of the records that did not verify.
    #[must_use]
    pub fn new(args: &RecordKeyArgs, chassis: &Chassis) -> Self {
        let file = Self::at(args.record_keys.clone(), chassis.health.clone());
        for code in SignatureFault::CODES {
            // A series that is there from the start is zero, not missing.
            file.untrusted.get_or_create(&[("code", code)]).inc_by(0);
        }
        chassis.metrics(|registry| {
            registry.register(
                "records_untrusted",
                "Readings of records whose signature did not verify, by the code of the fault",
                file.untrusted.clone(),
            );
        });
        file
    }

    fn at(path: PathBuf, health: Health) -> Self {
        Self {
            path,
            health,
            untrusted: Family::default(),
        }
    }

    /// The keys, as the file has them now; `/readyz` shows whether it has some.
    ///
    /// # Errors
    /// The file is missing, empty or malformed: nothing can be verified.
    pub fn read(&self) -> Result<PublicKeys, SignatureFault> {
        let keys = self.parse();
        match &keys {
            Ok(_) => self.health.ready(Part::Keys),
            Err(fault) => self
                .health
                .not_ready(ReadinessCode::RecordKeysUnusable, fault.to_string()),
        }
        keys
    }

    /// Looks at the file from time to time until the service stops, so that `/readyz` is true without records.
    ///
    /// # Errors
    /// None.
    pub async fn look_after(self, chassis: Chassis) -> anyhow::Result<()> {
        let mut known = None;
        loop {
            let keys = self.read();
            if known.as_ref() != Some(&keys) {
                match &keys {
                    Ok(keys) => tracing::info!(keys = ids(keys), "Keys of records read"),
                    Err(fault) => tracing::warn!(code = fault.code(), error = %fault, "No record can be verified"),
                }
                known = Some(keys);
            }
            if !chassis.sleep(LOOK_INTERVAL).await {
                return Ok(());
            }
        }
    }

    /// The message of a record that a scheduler has signed.
    ///
    /// # Errors
    /// The record does not verify, or this version does not understand it.
    pub fn verified<M: Signed>(&self, record: &Record) -> Result<M, Unusable> {
        let verified = match self.read() {
            Ok(keys) => record.verified(&keys),
            Err(fault) => Err(Unusable::Untrusted(fault)),
        };
        if verified.is_ok() {
            self.health.ready(Part::Records);
        }
        if let Err(Unusable::Untrusted(fault)) = &verified {
            let message = format!("{}: {}: {fault}", record.subject, fault.code());
            self.health
                .not_ready_for(ReadinessCode::RecordNotVerified, message, SHOWN_FOR);
            self.untrusted.get_or_create(&[("code", fault.code())]).inc();
        }
        verified
    }

    fn parse(&self) -> Result<PublicKeys, SignatureFault> {
        let shown = self.path.display();
        let missing = |why: String| SignatureFault::KeysMissing(format!("{shown} {why}: {REMEDY}"));
        let mut text = String::new();
        let limit = u64::try_from(KEY_FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        File::open(&self.path)
            .and_then(|file| file.take(limit).read_to_string(&mut text))
            .map_err(|error| missing(format!("cannot be read: {error}")))?;
        let keys: PublicKeys = text
            .parse()
            .map_err(|error| missing(format!("is no file of keys: {error}")))?;
        if keys.is_empty() {
            return Err(missing("is empty".to_owned()));
        }
        Ok(keys)
    }
}

/// The ids of keys, for a log.
fn ids(keys: &PublicKeys) -> String {
    let ids: Vec<String> = keys.ids().map(|id: KeyId| id.to_string()).collect();
    ids.join(",")
}

#[cfg(test)]
mod tests {
    use bellwether_proto::SigningKey;
    use jiff::Timestamp;

    use super::*;

    fn file(path: PathBuf) -> RecordKeyFile {
        RecordKeyFile::at(path, Health::default())
    }

    #[test]
    fn a_file_that_comes_is_replaced_and_vanishes_is_read_each_time() {
        let folder = std::env::temp_dir().join(format!("bellwether-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let keys = file(folder.join("keys"));
        let public = |byte| PublicKeys::of([&SigningKey::new(&[byte; 32], Timestamp::UNIX_EPOCH).unwrap()]);
        let fault = |words: &str| {
            let fault = keys.read().unwrap_err();
            assert_eq!(fault.code(), "RecordKeysMissing");
            assert!(fault.to_string().contains(words), "{fault}");
        };
        fault("cannot be read");
        for byte in [1, 2] {
            std::fs::write(folder.join("keys"), public(byte).to_string()).unwrap();
            assert_eq!(keys.read(), Ok(public(byte)));
        }
        std::fs::write(folder.join("keys"), "hunter2").unwrap();
        fault("is no file of keys");
        std::fs::write(folder.join("keys"), "").unwrap();
        fault("is empty");
        std::fs::write(folder.join("keys"), vec![b'a'; 1 << 20]).unwrap();
        fault("4097 bytes");
        std::fs::remove_dir_all(&folder).unwrap();
        fault("cannot be read");
    }
}
