//! Users of the API server, and their tokens.
//!
//! The control plane's own parts get fixed tokens. Each service gets a token of its own
//! ServiceAccount from the TokenRequest API, as it would in a pod: so it runs with exactly the
//! RBAC of the deploy folder, and a right that is missing there fails a test here.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::place::replace;

/// Where the API server is and the certificate that it made for itself.
#[derive(Clone, Debug)]
pub struct Access {
    url: String,
    port: u16,
    certificate: PathBuf,
}

impl Access {
    pub(crate) fn new(port: u16, certificate: PathBuf) -> Self {
        Self {
            url: format!("https://127.0.0.1:{port}"),
            port,
            certificate,
        }
    }

    /// The API server's port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same API server through a proxy on this port.
    #[must_use]
    pub fn through(&self, port: u16) -> Self {
        Self::new(port, self.certificate.clone())
    }

    /// The same API server as others reach it: at this address, trusted by this file of theirs.
    #[must_use]
    pub fn reached_at(&self, address: Ipv4Addr, certificate: &Path) -> Self {
        Self {
            url: self.url.replace("127.0.0.1", &address.to_string()),
            port: self.port,
            certificate: certificate.to_path_buf(),
        }
    }

    /// The certificate that it is trusted by, here.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The content of a kubeconfig file for this token. JSON, which is YAML too.
    #[must_use]
    pub fn kubeconfig(&self, token: &str) -> String {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "rig",
            "clusters": [{ "name": "rig", "cluster": {
                "server": self.url,
                "certificate-authority": self.certificate,
            }}],
            "users": [{ "name": "rig", "user": { "token": token } }],
            "contexts": [{ "name": "rig", "context": { "cluster": "rig", "user": "rig" } }],
        })
        .to_string()
    }

    /// A client for this token.
    pub async fn client(&self, token: &str) -> Result<Client> {
        anyhow::ensure!(self.certificate.is_file(), "there is no certificate yet");
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig(token))?;
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // The client repeats a 429 many times by itself; here that is the answer of an eviction
        // that a budget forbids, and tests want to see it.
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }
}

/// The tokens of those that the API server knows from its start.
#[derive(Debug)]
pub(crate) struct StaticTokens {
    pub(crate) admin: String,
    pub(crate) controller_manager: String,
    pub(crate) scheduler: String,
}

impl StaticTokens {
    pub(crate) fn new() -> Self {
        let token = || uuid::Uuid::new_v4().to_string();
        Self {
            admin: token(),
            controller_manager: token(),
            scheduler: token(),
        }
    }

    /// In the form of `--token-auth-file`. All controllers share one user here, so it needs the
    /// rights of them all.
    pub(crate) fn to_csv(&self) -> String {
        format!(
            "{},rig-admin,rig-admin,system:masters\n\
             {},system:kube-controller-manager,controller-manager,system:masters\n\
             {},system:kube-scheduler,scheduler\n",
            self.admin, self.controller_manager, self.scheduler
        )
    }
}

/// Asks the API server for a token of a ServiceAccount.
pub async fn service_account_token(admin: &Client, namespace: &str, name: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(24 * 3600),
            ..Default::default()
        },
        ..Default::default()
    };
    let answer = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .with_context(|| format!("no token for ServiceAccount {namespace}/{name}"))?;
    answer
        .status
        .map(|status| status.token)
        .context("the answer has no token")
}

/// Writes a kubeconfig file with exactly the rights of a ServiceAccount.
pub async fn service_account_kubeconfig(
    admin: &Client,
    access: &Access,
    namespace: &str,
    name: &str,
    folder: &Path,
) -> Result<PathBuf> {
    let token = service_account_token(admin, namespace, name).await?;
    let path = folder.join(format!("{namespace}.{name}.kubeconfig"));
    // Replicas share the file: one may read it while the next one's start writes it.
    replace(&path, access.kubeconfig(&token))?;
    Ok(path)
}

/// A fresh key for the API server to sign ServiceAccount tokens with: private and public half.
pub(crate) fn new_key_pem() -> Result<(String, String)> {
    /// The bytes that DER puts before the 65 bytes of a point on P-256 to make a public key.
    const PUBLIC_KEY_PREFIX: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let random = SystemRandom::new();
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot make a key: {error}");
    let private = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|error| failed(&error))?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, private.as_ref(), &random).map_err(|error| failed(&error))?;
    let public = [&PUBLIC_KEY_PREFIX, pair.public_key().as_ref()].concat();
    Ok((pem("PRIVATE KEY", private.as_ref()), pem("PUBLIC KEY", &public)))
}

fn pem(kind: &str, bytes: &[u8]) -> String {
    let text = base64(bytes);
    let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let body: Vec<_> = lines.collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", body.join("\n"))
}

/// Ten lines are less than a dependency.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_u32, |group, index| {
            group << 8 | u32::from(chunk.get(index).copied().unwrap_or(0))
        });
        for index in 0..4 {
            let sextet = (group >> (18 - 6 * index)) & 63;
            let letter = usize::try_from(sextet).ok().and_then(|at| ALPHABET.get(at));
            let padding = index > chunk.len();
            text.push(if padding {
                '='
            } else {
                letter.copied().map_or('=', char::from)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_everybody_expects() {
        assert_eq!(base64(b"M"), "TQ==");
        assert_eq!(base64(b"Ma"), "TWE=");
        assert_eq!(base64(b"Man"), "TWFu");
    }
}
