//! The files of the NATS server beside which the gatekeeper runs, as text.

use std::path::Path;

use crate::keys::Keys;
use crate::rights;

/// The account in which servers ask and gatekeepers answer. No client is in it.
pub const GATE_ACCOUNT: &str = "BELLWETHER_GATE";

/// Accounts, authorization and TLS for clients; `nats.conf` includes it at its top level.
pub const GATE_FILE: &str = "gate.conf";

/// TLS between the servers of a cluster; `nats.conf` includes it in its block `cluster`.
pub const ROUTES_FILE: &str = "routes.conf";

/// The certificate of the server and its key in one file, so that both change in one step.
pub const SERVER_FILE: &str = "server.pem";

/// The certificate of the authority.
pub const AUTHORITY_FILE: &str = "ca.crt";

/// How long a server waits for an answer, in seconds. Below two: then the client takes the server's first ping for a welcome.
const TIMEOUT_SECONDS: &str = "1.8";

/// The content of [`GATE_FILE`]. `folder` is where the server finds the other files.
#[must_use]
pub fn gate(keys: &Keys, folder: &Path) -> String {
    let (issuer, gatekeeper, system) = (
        keys.issuer.public_key(),
        keys.gatekeeper.public_key(),
        keys.system.public_key(),
    );
    format!(
        "# Written by the gatekeeper at each of its starts.\n\
         accounts {{\n\
         {accounts}\
         {GATE_ACCOUNT}: {{ users: [ {{ nkey: {gatekeeper} }} ] }}\n\
         $SYS: {{ users: [ {{ nkey: {system} }} ] }}\n\
         }}\n\
         authorization {{\n  \
           timeout: {TIMEOUT_SECONDS}\n  \
           auth_callout {{\n    \
             issuer: {issuer}\n    \
             account: {GATE_ACCOUNT}\n    \
             auth_users: [ {gatekeeper}, {system} ]\n  \
           }}\n\
         }}\n\
         {}",
        tls(folder, ""),
        accounts = rights::accounts(),
    )
}

/// The content of [`ROUTES_FILE`]: each server shows its certificate to each other one, in both directions.
#[must_use]
pub fn routes(folder: &Path) -> String {
    tls(folder, "  verify: true\n")
}

fn tls(folder: &Path, more: &str) -> String {
    let file = |name: &str| folder.join(name).display().to_string();
    format!(
        "tls {{\n  cert_file: {server:?}\n  key_file: {server:?}\n  ca_file: {ca:?}\n{more}}}\n",
        server = file(SERVER_FILE),
        ca = file(AUTHORITY_FILE),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use jiff::Timestamp;

    #[test]
    fn the_file_names_public_keys_and_holds_no_private_one() {
        let keys = Keys::derive(&Seed::new([1; 32], Timestamp::UNIX_EPOCH)).unwrap();
        let text = gate(&keys, Path::new("/gate"));
        for key in [&keys.issuer, &keys.gatekeeper, &keys.system] {
            assert!(text.contains(&key.public_key()));
            assert!(!text.contains(&key.seed().unwrap()));
        }
        assert!(text.contains("cert_file: \"/gate/server.pem\""), "{text}");
        assert!(text.contains("timeout: 1.8\n"), "{text}");
    }

    #[test]
    fn only_routes_demand_a_certificate_of_the_other_side() {
        let keys = Keys::derive(&Seed::new([1; 32], Timestamp::UNIX_EPOCH)).unwrap();
        assert!(!gate(&keys, Path::new("/gate")).contains("verify"));
        assert!(routes(Path::new("/gate")).contains("verify: true"));
    }
}
