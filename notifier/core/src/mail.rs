//! The way of e-mails: server, login, sender and recipients. The configuration has it in fields, or names a file with a URL.

use std::fmt;

use crate::secret::Secret;
use crate::url::is_loopback;

/// Each recipient has a mail of its own; a list of more is a mailing list.
pub(crate) const RECIPIENTS_MAX: usize = 16;

/// The longest address that servers take.
const ADDRESS_BYTES_MAX: usize = 254;

/// Where the way of e-mails is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Email {
    /// Here.
    Known(Mailing),
    /// In the URL of this file: [`Mailing::from_url`] reads it.
    InFile(Secret),
}

impl Email {
    /// To how many recipients each message is sent on its own; one, as long as a file is not read that names them.
    pub(crate) fn recipients(&self) -> usize {
        match self {
            Self::Known(mailing) => mailing.to.len(),
            Self::InFile(_) => 1,
        }
    }

    /// The file with a secret, if there is one.
    pub(crate) fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Known(mailing) => mailing.login.as_ref().and_then(|(_, password)| match password {
                Password::File(secret) => Some(secret),
                Password::Text(_) => None,
            }),
            Self::InFile(secret) => Some(secret),
        }
    }
}

/// The way of e-mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailing {
    /// The host of the server that takes them.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// The sender.
    pub from: String,
    /// The recipients; at least one.
    pub to: Vec<String>,
    /// User and password.
    pub login: Option<(String, Password)>,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS after STARTTLS, without which no mail is sent.
    StartTls,
    /// TLS from the start.
    Tls,
    /// None.
    None,
}

/// The password of a login.
#[derive(Clone, PartialEq, Eq)]
pub enum Password {
    /// The content of this file.
    File(Secret),
    /// This text, which comes from the file of a URL.
    Text(String),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(secret) => fmt::Display::fmt(secret, f),
            Self::Text(_) => f.write_str("…"),
        }
    }
}

/// Why mails cannot take a way. Fields and URLs name the same faults in their own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailFault {
    /// The server is no name of a host.
    Server,
    /// Mails would leave this host without TLS.
    Plain,
    /// The password would leave this host without TLS.
    PlainPassword,
    /// There is no recipient, or too many.
    Recipients,
    /// The sender is no address.
    Sender,
    /// This recipient is no address.
    Recipient(usize),
}

impl Mailing {
    /// The first fault; none: mails can take this way. `allow_plain`: mails may leave this host without TLS, passwords may not.
    pub(crate) fn fault(&self, allow_plain: bool) -> Option<MailFault> {
        let is_host = |it: char| it.is_ascii_alphanumeric() || ['.', '-', ':'].contains(&it);
        if self.server.is_empty() || !self.server.chars().all(is_host) {
            return Some(MailFault::Server);
        }
        if self.security == Security::None && !is_loopback(&self.server) {
            if !allow_plain {
                return Some(MailFault::Plain);
            }
            if self.login.is_some() {
                return Some(MailFault::PlainPassword);
            }
        }
        if self.to.is_empty() || self.to.len() > RECIPIENTS_MAX {
            return Some(MailFault::Recipients);
        }
        if !is_address(&self.from) {
            return Some(MailFault::Sender);
        }
        let wrong = self.to.iter().position(|address| !is_address(address));
        wrong.map(MailFault::Recipient)
    }
}

fn is_address(text: &str) -> bool {
    let is_fit = |it: char| it.is_ascii_graphic() && !['<', '>', '(', ')', ',', ';', ':', '"', '\\'].contains(&it);
    let parts = text.split_once('@');
    text.len() <= ADDRESS_BYTES_MAX
        && text.chars().all(is_fit)
        && parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'))
}
