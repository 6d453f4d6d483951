//! Arguments about the keys that sign records.

use std::time::Duration;

use anyhow::ensure;
use bellwether_proto::setting;
use jiff::SignedDuration;

use crate::args::value::{Time, long, time};

/// The leader looks at the keys so often at least: what an operator does to the Secret has its effect within that time.
const INTERVAL_MAX: Duration = Duration::from_secs(30);

/// When a new key is made, and when it signs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RecordKeyArgs {
    /// How long a key signs records before a new one is made
    ///
    /// A key that leaked unnoticed is of no use after twice this time. Each new key has every record stored once more, so
    /// shorter than a day is of no use either.
    #[arg(long, env = setting::RECORD_KEY_LIFETIME, default_value = "720h", value_name = "TIME", value_parser = long)]
    record_key_lifetime: Time,

    /// How long a new key is published before it signs: kubelets bring it to every pod meanwhile
    ///
    /// A kubelet looks at a mounted ConfigMap at least every two minutes. A node whose rebooter does not know the key
    /// all the same waits, and is not drained.
    #[arg(long, env = setting::RECORD_KEY_NOTICE, default_value = "10m", value_name = "TIME", value_parser = time)]
    record_key_notice: Time,
}

impl RecordKeyArgs {
    /// # Errors
    /// A key would be replaced before it signs.
    pub(crate) fn lifetime(&self) -> anyhow::Result<SignedDuration> {
        let (Time(lifetime), Time(notice)) = (self.record_key_lifetime, self.record_key_notice);
        ensure!(
            lifetime > notice,
            "--record-key-lifetime has to be longer than --record-key-notice: a key would be replaced before it signs"
        );
        Ok(lifetime)
    }

    pub(crate) fn notice(&self) -> SignedDuration {
        self.record_key_notice.0
    }

    /// How often the keys are looked at: often enough that none signs much later than it may.
    pub(crate) fn interval(&self) -> Duration {
        let notice = self.notice().unsigned_abs();
        (notice / 4).min(INTERVAL_MAX)
    }
}
