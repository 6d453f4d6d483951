//! A new certificate in time, and the server's reload.
//!
//! The server keeps its certificate in memory. So also a gatekeeper that starts beside a running server has it reload.

use std::time::Duration;

use bellwether_chassis::{Backoff, Chassis, clock};
use bellwether_gatekeeper_core::Keys;
use bellwether_proto::readiness::{Part, ReadinessCode};
use jiff::Timestamp;

use crate::args::Args;
use crate::certificate::{Authority, Certificate};
use crate::error::CertificateError;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::wire::Server;

/// Longest wait between two tries to have the server reload: short against the third of a certificate's time that is left.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Longest sleep at once: timers stand still while a machine sleeps, and clocks are set.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Renews the certificate of a server.
pub(crate) struct Renewal {
    pub(crate) folder: Folder,
    pub(crate) server: Server,
    pub(crate) authority: Authority,
    pub(crate) metrics: Metrics,
    /// The private key of the user of the system account.
    pub(crate) system: String,
    names: Vec<String>,
    lifetime: Duration,
}

impl Renewal {
    pub(crate) fn new(
        args: &Args,
        folder: Folder,
        server: Server,
        authority: Authority,
        metrics: Metrics,
        system: String,
    ) -> Self {
        Self {
            folder,
            server,
            authority,
            metrics,
            system,
            names: args.server_names.clone(),
            lifetime: args.certificate_lifetime,
        }
    }

    /// Writes all files of the server. With an authority that has ended no client connects, the gatekeeper neither: the
    /// reason has to be there before.
    pub(crate) fn begin(&self, keys: &Keys, chassis: &Chassis) -> Result<Certificate, CertificateError> {
        let certificate = self.certify()?;
        self.folder.write(keys, &self.authority, &certificate)?;
        self.authority_lasts(&certificate, chassis);
        Ok(certificate)
    }

    /// False: the authority ends before a certificate of its usual lifetime would, which `/readyz` then shows.
    fn authority_lasts(&self, certificate: &Certificate, chassis: &Chassis) -> bool {
        let lasts = certificate.expires < self.authority.expires;
        if !lasts {
            let why = format!(
                "the authority ends at {}: empty the Secret and restart the NATS pods for another one",
                self.authority.expires
            );
            tracing::warn!(error = why, "Authority ends");
            chassis.health.not_ready(ReadinessCode::AuthorityEnds, why);
        }
        lasts
    }

    fn certify(&self) -> Result<Certificate, CertificateError> {
        self.authority.certify(&self.names, self.lifetime, clock::now())
    }

    /// Has the server take the certificate, and renews it, until the service stops.
    pub(crate) async fn keep(self, chassis: Chassis, mut certificate: Certificate) -> anyhow::Result<()> {
        while self.serve(&chassis, &certificate).await && sleep_until(&chassis, certificate.renew).await {
            certificate = self.certify()?;
            self.folder.certificate(&certificate)?;
            tracing::info!(expires = %certificate.expires, "Certificate of the server renewed");
        }
        Ok(())
    }

    /// Returns once the server has taken the certificate. False: the service has to stop.
    async fn serve(&self, chassis: &Chassis, certificate: &Certificate) -> bool {
        let mut backoff = Backoff::up_to(RETRY_MAX);
        while let Err(error) = self.server.reload(self.system.clone()).await {
            let error = format!("{error:#}");
            tracing::debug!(error, "Server has not taken its certificate yet");
            // With an authority that has ended the gatekeeper cannot connect either: that end stays the reason to read.
            if !clock::until(self.authority.expires).is_zero() {
                let why = format!("the server beside has not taken its new certificate: {error}: see its log");
                chassis.health.not_ready(ReadinessCode::CertificateNotServed, why);
            }
            if !chassis.sleep(backoff.after_failure()).await {
                return false;
            }
        }
        self.metrics.serves(certificate.expires);
        // The authority's end is the last one of all certificates.
        if self.authority_lasts(certificate, chassis) {
            chassis.health.ready(Part::Certificate);
        }
        tracing::info!(expires = %certificate.expires, "Server has its certificate");
        true
    }
}

async fn sleep_until(chassis: &Chassis, instant: Timestamp) -> bool {
    loop {
        let left = clock::until(instant);
        if left.is_zero() {
            return true;
        }
        if !chassis.sleep(left.min(SLEEP_MAX)).await {
            return false;
        }
    }
}
