//! How clients get into the NATS servers of the rig: over TLS, as users with no more than the rights of their roles, in the
//! two accounts of the contract.
//!
//! The users have passwords. That pods get in by their tokens is the gatekeeper's work, which has stories of its own
//! ([`crate::gate`]); the rights are from the same list.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use async_nats::ConnectOptions;
use bellwether_proto::account::Account;
use bellwether_proto::permission::{Permissions, Role, set_up};
use bellwether_proto::setting;

use crate::authority::Authority;
use crate::place::{Place, replace};

/// Of no worth: the servers of the rig listen on loopback, for as long as a test lasts.
pub const PASSWORD: &str = "rig";

/// The user of the rig, who may do everything in the account of the control services.
pub const RIG: &str = "rig";

/// The user who may ask for another leader of JetStream itself.
const SYSTEM: &str = "system";

/// The token of the node of a client that stands in for the agents of all nodes.
pub const EVERY_NODE: &str = "*";

/// How long a client may take for its handshake, in seconds; on busy cores, the server's two are few.
const HANDSHAKE_SECONDS: u32 = 10;

/// A client of the server that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// Its role.
    pub role: Role,
    /// The token of its node; empty for drainer and scheduler.
    pub node: &'a str,
}

impl User<'static> {
    /// A drainer, scheduler or notifier.
    #[must_use]
    pub fn control(role: Role) -> Self {
        Self { role, node: "" }
    }
}

impl User<'_> {
    /// All users of a server with these nodes.
    #[must_use]
    pub fn all<'a>(nodes: &[&'a str]) -> Vec<User<'a>> {
        let mut users = Vec::new();
        for role in Role::ALL {
            match role.account() {
                Account::Nodes => users.extend(nodes.iter().map(|node| User { role, node })),
                Account::Control => users.push(User::control(role)),
                Account::Events => {}
            }
        }
        users
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.node {
            "" => self.role.as_str().to_owned(),
            node => format!("{}.{node}", self.role.as_str()),
        }
    }

    /// What it may publish and subscribe to, as the server judges.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.role.permissions_in_account(self.node)
    }
}

/// In how many accounts the users are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Those of the contract.
    Two,
    /// The same, and drainers may set up JetStream: for trials of a drainer alone.
    TwoForDrainers,
    /// One for all, with the subjects of the contract: for the test that shows the harm.
    One,
}

/// The way into the servers of one rig.
#[derive(Debug)]
pub struct Access {
    accounts: Accounts,
    authority: Authority,
    folder: PathBuf,
    nodes: Mutex<BTreeSet<String>>,
}

impl Access {
    /// Makes certificates, and users for the agents of the nodes with these tokens.
    pub fn new(place: &Place, accounts: Accounts, nodes: &[impl AsRef<str>]) -> Result<Self> {
        // The only provider in the tree; another test may have been first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let folder = place.folder("nats-access")?;
        let access = Self {
            accounts,
            authority: Authority::new("rig")?,
            folder,
            nodes: Mutex::new(nodes.iter().map(|node| node.as_ref().to_owned()).collect()),
        };
        access.authority.certify(&access.certificate(), &access.key())?;
        replace(&access.authorities(), access.authority.certificate())?;
        replace(&access.password(), PASSWORD)?;
        access.write_users()?;
        Ok(access)
    }

    /// The lines of a server's configuration.
    #[must_use]
    pub fn config(&self) -> String {
        // A file of its own, relative to that of the server: so it can be replaced.
        format!("include 'nats-access/users.conf'\n{}", self.tls(""))
    }

    /// The same for the block `cluster`: each server shows its certificate to each other one, in both directions.
    #[must_use]
    pub fn routes(&self) -> String {
        self.tls("  verify: true\n")
    }

    /// Makes users for the agents of a node that joins; the servers have to read their configuration again.
    pub fn admit(&self, node: &str) -> Result<()> {
        self.nodes().insert(node.to_owned());
        self.write_users()
    }

    /// The settings of a service that is this user, beside the address of the server.
    #[must_use]
    pub fn settings(&self, user: &User<'_>) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            (setting::NATS_USER, user.name()),
            (setting::NATS_PASSWORD, self.password().display().to_string()),
            (setting::NATS_CA, self.authorities().display().to_string()),
        ];
        if user.role == Role::Drainer && self.accounts == Accounts::Two {
            // The schedulers create what is missing; a drainer has no right to.
            settings.push((setting::MANAGE_STREAMS, "false".to_owned()));
        }
        settings
    }

    /// Options of a client that is this user.
    #[must_use]
    pub fn options(&self, user: &User<'_>) -> ConnectOptions {
        // The users are called as their inboxes.
        let inbox = format!("_INBOX.{}", user.name().replace(EVERY_NODE, "all"));
        self.options_of(&user.name()).custom_inbox_prefix(inbox)
    }

    /// Options of a client that is the rig's own user.
    pub(crate) fn rig(&self) -> ConnectOptions {
        self.options_of(RIG)
    }

    /// Options of a client of the system account.
    pub(crate) fn system(&self) -> ConnectOptions {
        self.options_of(SYSTEM)
    }

    fn options_of(&self, name: &str) -> ConnectOptions {
        ConnectOptions::with_user_and_password(name.to_owned(), PASSWORD.to_owned())
            .require_tls(true)
            .add_root_certificates(self.authorities())
    }

    /// The file with the certificate of the authority.
    #[must_use]
    pub fn authorities(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// The file with the password of all users.
    #[must_use]
    pub fn password(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// The file with the certificate of the servers; the key is beside it.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("server.crt")
    }

    fn key(&self) -> PathBuf {
        self.certificate().with_extension("key")
    }

    fn tls(&self, more: &str) -> String {
        format!(
            "tls {{\n  cert_file: {:?}\n  key_file: {:?}\n  ca_file: {:?}\n  timeout: {HANDSHAKE_SECONDS}\n{more}}}\n",
            self.certificate(),
            self.key(),
            self.authorities(),
        )
    }

    fn write_users(&self) -> Result<()> {
        let nodes = self.nodes().clone();
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let users = User::all(&nodes);
        let accounts = match self.accounts {
            Accounts::Two => two(&users, &[]),
            Accounts::TwoForDrainers => two(&users, &set_up(true)),
            Accounts::One => one(&users),
        };
        let system = line(SYSTEM, "");
        let content = format!("accounts {{\n{accounts}$SYS: {{ users: [\n{system}  ] }}\n}}\n");
        replace(&self.folder.join("users.conf"), content)
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The accounts of the contract with their users. `more` is what drainers may publish beside the rights of their role.
fn two(users: &[User<'_>], more: &[String]) -> String {
    let account = |account: Account| {
        let own = users.iter().filter(|user| user.role.account() == account);
        let own = own.map(|user| {
            let mut permissions = user.permissions();
            if user.role == Role::Drainer {
                permissions.publish.extend_from_slice(more);
            }
            entry(user, &permissions)
        });
        let rig = match account {
            Account::Control => line(RIG, ""),
            Account::Nodes | Account::Events => String::new(),
        };
        account.definition(&format!("  users: [\n{rig}{}  ]\n", own.collect::<String>()))
    };
    Account::ALL.map(account).concat()
}

/// An account with all users.
fn one(users: &[User<'_>]) -> String {
    let users: String = users
        .iter()
        .map(|user| entry(user, &user.role.permissions(user.node)))
        .collect();
    format!(
        "ALL: {{\n  jetstream: enabled\n  users: [\n{}{users}  ]\n}}\n",
        line(RIG, "")
    )
}

fn entry(user: &User<'_>, Permissions { publish, subscribe }: &Permissions) -> String {
    let permissions =
        format!(", permissions: {{ publish: {{ allow: {publish:?} }}, subscribe: {{ allow: {subscribe:?} }} }}");
    line(&user.name(), &permissions)
}

fn line(name: &str, more: &str) -> String {
    format!("    {{ user: \"{name}\", password: \"{PASSWORD}\"{more} }}\n")
}
