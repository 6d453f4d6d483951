//! A new certificate in time, and the server's reload.
//!
//! The server keeps its certificate in memory, and states its end.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Chassis, clock};
use bellwether_gatekeeper_core::Keys;
use bellwether_proto::readiness::{Part, ReadinessCode};
use jiff::{SignedDuration, Timestamp};

use crate::args::Args;
use crate::certificate::{Authority, Certificate};
use crate::error::CertificateError;
use crate::folder::Folder;
use crate::metrics::Metrics;
use crate::wire::Server;

/// Longest wait between two tries to have the server reload: short against the third of a certificate's time that is left.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often the server is asked for the end of its certificate: it may have started again, with the file of that time.
const LOOK_INTERVAL: SignedDuration = SignedDuration::from_hours(1);

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
        self.authority_lasts(certificate.expires, chassis);
        Ok(certificate)
    }

    /// False: the authority ends before a certificate of its usual lifetime would, which `/readyz` then shows.
    fn authority_lasts(&self, expires: Timestamp, chassis: &Chassis) -> bool {
        let lasts = expires.as_second() < self.authority.expires.as_second();
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
    pub(crate) async fn keep(
        self,
        chassis: Chassis,
        answering: Answering,
        mut certificate: Certificate,
    ) -> anyhow::Result<()> {
        let mut shown = None;
        while let Some(expires) = self.serve(&chassis, &answering, &certificate).await {
            if shown != Some(expires) {
                tracing::info!(%expires, "Server has its certificate");
                shown = Some(expires);
            }
            let renewal = self.authority.renewal(expires, self.lifetime);
            let look = clock::now().checked_add(LOOK_INTERVAL).unwrap_or(renewal);
            if !sleep_until(&chassis, renewal.min(look)).await {
                break;
            }
            if renewal <= look {
                certificate = self.certify()?;
                self.folder.certificate(&certificate)?;
                tracing::info!(expires = %certificate.expires, "Certificate of the server renewed");
            }
        }
        Ok(())
    }

    /// Returns the end of the certificate that the server shows, once that one will do. None: the service has to stop.
    async fn serve(&self, chassis: &Chassis, answering: &Answering, certificate: &Certificate) -> Option<Timestamp> {
        let mut backoff = Backoff::up_to(RETRY_MAX);
        let expires = loop {
            match self.have_served(answering, certificate).await {
                Ok(expires) => break expires,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::debug!(error, "Server has not taken its certificate yet");
                    // With an authority that has ended the gatekeeper cannot connect either: that end stays the reason to
                    // read.
                    if !clock::until(self.authority.expires).is_zero() {
                        let why = format!(
                            "the server beside has not taken its new certificate: {error}: see its log; once its \
                             certificate has ended, only a restart of the NATS pod helps"
                        );
                        chassis.health.not_ready(ReadinessCode::CertificateNotServed, why);
                    }
                    if !chassis.sleep(backoff.after_failure()).await {
                        return None;
                    }
                }
            }
        };
        self.metrics.serves(expires);
        // The authority's end is the last one of all certificates.
        if self.authority_lasts(expires, chassis) {
            chassis.health.ready(Part::Certificate);
        }
        Some(expires)
    }

    /// A server that reads its files asks about each of its clients. So it does only if its certificate is due: not when a
    /// gatekeeper starts again beside it, and not again when the answer to a reload was late.
    async fn have_served(&self, answering: &Answering, certificate: &Certificate) -> anyhow::Result<Timestamp> {
        let control = self.server.control(self.system.clone()).await?;
        let mut expires = control.certificate_end().await?;
        if clock::until(self.authority.renewal(expires, self.lifetime)).is_zero() && !is_end_of(certificate, expires) {
            answering.check().await?;
            control.reload().await?;
            expires = control.certificate_end().await?;
            anyhow::ensure!(
                is_end_of(certificate, expires),
                "after the reload its certificate ends at {expires}"
            );
        }
        control.close().await;
        Ok(expires)
    }
}

/// What answers the questions about clients that a reload brings.
pub(crate) struct Answering {
    pub(crate) nats: async_nats::Client,
    pub(crate) client: kube::Client,
}

impl Answering {
    /// A reload while one of the two is away would end the connections of all clients.
    async fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.nats.connection_state() == async_nats::connection::State::Connected,
            "the connection by which the server asks the gatekeeper about clients is away"
        );
        match self.client.apiserver_version().await {
            // A refusal is an answer too.
            Ok(_) | Err(kube::Error::Api(_)) => Ok(()),
            Err(error) => Err(error).context("the API server, which reviews tokens, does not answer"),
        }
    }
}

/// Whether the server, which states whole seconds, shows this certificate.
fn is_end_of(certificate: &Certificate, expires: Timestamp) -> bool {
    certificate.expires.as_second() == expires.as_second()
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
