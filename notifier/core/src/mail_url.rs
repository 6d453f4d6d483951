//! The URL by which kured names a mail server, in the form of [shoutrrr](https://shoutrrr.nickfedor.com/): parameters, aliases,
//! values and defaults are those of its service `smtp`. So a Secret that was made for kured serves as it is.
//!
//! One thing is stricter: where shoutrrr sends without TLS to a server that lacks STARTTLS, no mail is sent.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::mail::{MailFault, Mailing, Password, RECIPIENTS_MAX, Security};

/// The port of a URL without one.
const PORT: u16 = 25;

/// On this port a connection begins with TLS, unless the URL has another encryption.
const PORT_OF_TLS: u16 = 465;

/// The parameters, in lower case, each with its other name.
const PARAMETERS: [(&str, &str); 12] = [
    ("fromaddress", "from"),
    ("toaddresses", "to"),
    ("encryption", "encryption"),
    ("auth", "auth"),
    ("usestarttls", "starttls"),
    ("requirestarttls", "requirestarttls"),
    ("skiptlsverify", "skiptlsverify"),
    // Without a meaning here: a mail has the subject, form and limit of time of the notifier.
    ("subject", "title"),
    ("usehtml", "usehtml"),
    ("clienthost", "clienthost"),
    ("fromname", "fromname"),
    ("timeout", "timeout"),
];

/// Why such a URL cannot be used. Shows nothing of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MailUrlError {
    /// It has another form.
    #[error(
        "is no URL of mail: write it as smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS,ADDRESS, with special \
         characters of user and password percent-encoded, such as %40 for @"
    )]
    Malformed,
    /// A parameter that smtp:// has not.
    #[error(
        "has a parameter that smtp:// of shoutrrr has not: it has from, to, encryption, auth, useStartTLS, requireStartTLS, \
         skipTLSVerify, subject, useHTML, clientHost, fromName and timeout"
    )]
    Parameter,
    /// A parameter with a value that it cannot have.
    #[error("has a wrong value of {0}: take one of {1}")]
    Value(&'static str, &'static str),
    /// A way to log in that the notifier has not.
    #[error(
        "has auth=CRAMMD5 or auth=OAuth2, which the notifier does not have: take auth=Plain, with a password of the server"
    )]
    Auth,
    /// A login that lacks a part.
    #[error("lacks the user or the password of its login: write both before the host, or take auth=None")]
    Login,
    /// The server's certificate is to be believed unread.
    #[error("has skipTLSVerify=Yes: take that out, and name the authority of the server's certificate in caFile")]
    Unverified,
    /// Mails would leave this host without TLS.
    #[error(
        "sends mail without TLS: take encryption=None and useStartTLS=No out of it, or set allowHttp: true where the network is \
         trusted"
    )]
    Plain,
    /// The password would leave this host without TLS.
    #[error("would send the password without TLS: take encryption=None and useStartTLS=No out of it")]
    PlainPassword,
    /// There is no recipient, or too many.
    #[error("needs 1 to {RECIPIENTS_MAX} addresses in to: take a mailing list for more")]
    Recipients,
    /// The sender or a recipient is no address.
    #[error("has no address in {0}: write it as name@example.com, without a display name")]
    Address(&'static str),
}

impl From<MailFault> for MailUrlError {
    fn from(fault: MailFault) -> Self {
        match fault {
            MailFault::Server => Self::Malformed,
            MailFault::Plain => Self::Plain,
            MailFault::PlainPassword => Self::PlainPassword,
            MailFault::Recipients => Self::Recipients,
            MailFault::Sender => Self::Address("from"),
            MailFault::Recipient(_) => Self::Address("to"),
        }
    }
}

impl Mailing {
    /// The way that this URL names; blanks around it do not count, since files of Secrets often end with a line break.
    /// `allow_plain`: mails may leave this host without TLS, passwords may not.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn from_url(text: &str, allow_plain: bool) -> Result<Self, MailUrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(MailUrlError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("smtp") {
            return Err(MailUrlError::Malformed);
        }
        let (rest, _) = rest.split_once('#').unwrap_or((rest, ""));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, _) = place.split_once('/').unwrap_or((place, ""));
        let (user, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (server, port) = host_and_port(address)?;
        let parameters = parameters(query)?;
        if is_yes(&parameters, "skiptlsverify")? == Some(true) {
            return Err(MailUrlError::Unverified);
        }
        let of = |name: &str| parameters.get(name).map_or("", |value| value.as_ref());
        let mailing = Self {
            server,
            port,
            security: security(&parameters, port)?,
            from: of("fromaddress").to_owned(),
            to: addresses(of("toaddresses")),
            login: login(&parameters, user)?,
        };
        mailing
            .fault(allow_plain)
            .map_or(Ok(mailing), |fault| Err(fault.into()))
    }
}

fn host_and_port(address: &str) -> Result<(String, u16), MailUrlError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(MailUrlError::Malformed)?,
        None => address.find(':').map_or((address, ""), |at| address.split_at(at)),
    };
    let port = match port.strip_prefix(':') {
        Some("") => PORT,
        Some(port) => port.parse().map_err(|_| MailUrlError::Malformed)?,
        None if port.is_empty() => PORT,
        None => return Err(MailUrlError::Malformed),
    };
    if port == 0 {
        return Err(MailUrlError::Malformed);
    }
    Ok((host.to_owned(), port))
}

/// The first value of each parameter, by the parameter's first name. In an address a plus sign is one, as in shoutrrr.
fn parameters(query: &str) -> Result<BTreeMap<&'static str, Cow<'_, str>>, MailUrlError> {
    let mut parameters = BTreeMap::new();
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = decoded(name)?.to_ascii_lowercase();
        let known = PARAMETERS
            .iter()
            .find(|(first, other)| name == *first || name == *other);
        let (first, _) = known.ok_or(MailUrlError::Parameter)?;
        parameters.entry(*first).or_insert(decoded(value)?);
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, MailUrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map_err(|_| MailUrlError::Malformed)
}

/// A parameter that is yes or no; none: the URL does not have the parameter.
fn is_yes(parameters: &BTreeMap<&str, Cow<'_, str>>, name: &'static str) -> Result<Option<bool>, MailUrlError> {
    let Some(value) = parameters.get(name) else {
        return Ok(None);
    };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" => Ok(Some(true)),
        "false" | "0" | "no" | "n" => Ok(Some(false)),
        _ => Err(MailUrlError::Value(name, "Yes and No")),
    }
}

/// In shoutrrr, encryption=None leaves STARTTLS on; here that counts only if the URL asks for STARTTLS as well.
fn security(parameters: &BTreeMap<&str, Cow<'_, str>>, port: u16) -> Result<Security, MailUrlError> {
    let starttls = is_yes(parameters, "usestarttls")?;
    let is_required = is_yes(parameters, "requirestarttls")? == Some(true);
    let encryption = parameters.get("encryption").map_or("auto", |value| value.as_ref());
    let is_off = match encryption.to_ascii_lowercase().as_str() {
        "implicittls" => return Ok(Security::Tls),
        "auto" if port == PORT_OF_TLS => return Ok(Security::Tls),
        "auto" | "explicittls" => starttls == Some(false),
        "none" => starttls != Some(true) && !is_required,
        _ => {
            let values = "None, ExplicitTLS, ImplicitTLS and Auto";
            return Err(MailUrlError::Value("encryption", values));
        }
    };
    Ok(if is_off { Security::None } else { Security::StartTls })
}

fn login(parameters: &BTreeMap<&str, Cow<'_, str>>, user: &str) -> Result<Option<(String, Password)>, MailUrlError> {
    let auth = parameters.get("auth").map_or("unknown", |value| value.as_ref());
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    match auth.to_ascii_lowercase().as_str() {
        "none" => Ok(None),
        "unknown" if user.is_empty() && password.is_empty() => Ok(None),
        "unknown" | "plain" if user.is_empty() || password.is_empty() => Err(MailUrlError::Login),
        "unknown" | "plain" => {
            let password = Password::Text(decoded(password)?.into_owned());
            Ok(Some((decoded(user)?.into_owned(), password)))
        }
        "crammd5" | "oauth2" => Err(MailUrlError::Auth),
        _ => Err(MailUrlError::Value("auth", "None, Plain and Unknown")),
    }
}

fn addresses(list: &str) -> Vec<String> {
    let addresses = list.split(',').map(str::trim).filter(|it| !it.is_empty());
    addresses.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TO: &str = "from=b@x.example&to=ops@x.example";

    fn mailing(text: &str) -> Mailing {
        Mailing::from_url(text, false).unwrap_or_else(|error| panic!("{text} {error}"))
    }

    #[test]
    fn a_url_of_kured_becomes_the_way_of_mails() {
        let text = "smtp://b%40x.example:p%3Ass%2Bw+%25@mail.x.example:587/?fromAddress=b%40x.example\
                    &toAddresses=ops+night@x.example,%20team@x.example&subject=reboots&useHTML=yes&fromName=a%20b\
                    &clientHost=auto&timeout=5s&title=t\n";
        let read = mailing(text);
        let password = Password::Text("p:ss+w+%".to_owned());
        assert_eq!(
            read,
            Mailing {
                server: "mail.x.example".to_owned(),
                port: 587,
                security: Security::StartTls,
                from: "b@x.example".to_owned(),
                to: vec!["ops+night@x.example".to_owned(), "team@x.example".to_owned()],
                login: Some(("b@x.example".to_owned(), password)),
            }
        );
        assert!(!format!("{read:?}").contains("p:ss"), "{read:?}");
    }

    #[test]
    fn port_encryption_and_login_are_those_of_shoutrrr_but_no_mail_leaves_without_tls() {
        for (text, port, security, has_login) in [
            ("smtp://u:p@m/?", 25, Security::StartTls, true),
            ("SMTP://u:p@m:?auth=plain&", 25, Security::StartTls, true),
            ("smtp://m:2525/?AUTH=Unknown&", 2525, Security::StartTls, false),
            ("smtp://u:p@m:465/?", 465, Security::Tls, true),
            (
                "smtp://u:p@m:465/?encryption=explicittls&",
                465,
                Security::StartTls,
                true,
            ),
            ("smtp://u:p@m:587/?encryption=ImplicitTLS&", 587, Security::Tls, true),
            (
                "smtp://u:p@m:587/?encryption=None&useStartTLS=yes&",
                587,
                Security::StartTls,
                true,
            ),
            (
                "smtp://u:p@m:587/?encryption=None&requireStartTLS=1&",
                587,
                Security::StartTls,
                true,
            ),
            ("smtp://u:p@localhost/?encryption=none&", 25, Security::None, true),
            ("smtp://u:p@[::1]:26?starttls=n&", 26, Security::None, true),
            (
                "smtp://u:p@m/?auth=None&skipTLSVerify=no&",
                25,
                Security::StartTls,
                false,
            ),
        ] {
            let read = mailing(&format!("{text}{TO}"));
            let found = (read.port, read.security, read.login.is_some());
            assert_eq!(found, (port, security, has_login), "{text}");
        }
        let plain = format!("smtp://m/?starttls=no&{TO}");
        assert_eq!(Mailing::from_url(&plain, true).unwrap().security, Security::None);
        assert_eq!(mailing(&format!("smtp://u:p@[::1]:26?{TO}")).server, "::1");
        let at = mailing(&format!("smtp://u:p@w@m/?{TO}"));
        assert_eq!(
            (at.server.as_str(), at.login.unwrap().1),
            ("m", Password::Text("p@w".to_owned()))
        );
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_the_remedy_and_without_being_shown() {
        let many = format!("smtp://m/?from=b@x.example&to={}", ["SECRET@x.example"; 17].join(","));
        for (text, allow_plain, error) in [
            ("SECRET", false, MailUrlError::Malformed),
            ("https://SECRET", false, MailUrlError::Malformed),
            ("smtp:///SECRET?TO", false, MailUrlError::Malformed),
            ("smtp://u:SEC#RET@m/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SEC/RET@m/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET@m:70000/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET@m:0/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET@m%20m/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET%ff@m/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET@[::1/?TO", false, MailUrlError::Malformed),
            ("smtp://u:SECRET@[::1]26/?TO", false, MailUrlError::Malformed),
            ("smtp://m/?TO&SECRET=1", false, MailUrlError::Parameter),
            (
                "smtp://m/?TO&auth=SECRET",
                false,
                MailUrlError::Value("auth", "None, Plain and Unknown"),
            ),
            (
                "smtp://m/?TO&encryption=SECRET",
                false,
                MailUrlError::Value("encryption", "None, ExplicitTLS, ImplicitTLS and Auto"),
            ),
            (
                "smtp://m/?TO&starttls=SECRET",
                false,
                MailUrlError::Value("usestarttls", "Yes and No"),
            ),
            ("smtp://u:SECRET@m/?TO&auth=CRAMMD5", false, MailUrlError::Auth),
            ("smtp://u:SECRET@m/?TO&auth=oauth2", false, MailUrlError::Auth),
            ("smtp://SECRET@m/?TO", false, MailUrlError::Login),
            ("smtp://:SECRET@m/?TO", false, MailUrlError::Login),
            ("smtp://m/?TO&auth=Plain", false, MailUrlError::Login),
            (
                "smtp://u:SECRET@m/?TO&skipTLSVerify=Yes",
                false,
                MailUrlError::Unverified,
            ),
            ("smtp://m/?TO&encryption=None", false, MailUrlError::Plain),
            (
                "smtp://m/?TO&encryption=ExplicitTLS&useStartTLS=No",
                false,
                MailUrlError::Plain,
            ),
            (
                "smtp://u:SECRET@m/?TO&encryption=None",
                true,
                MailUrlError::PlainPassword,
            ),
            ("smtp://m/?from=b@x.example", false, MailUrlError::Recipients),
            (&many, false, MailUrlError::Recipients),
            ("smtp://m/?to=SECRET@x.example", false, MailUrlError::Address("from")),
            (
                "smtp://m/?from=b@x.example&to=b@x.example,SECRET",
                false,
                MailUrlError::Address("to"),
            ),
        ] {
            let text = text.replace("TO", TO);
            assert_eq!(Mailing::from_url(&text, allow_plain), Err(error), "{text}");
            assert!(!error.to_string().contains("SECRET"));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_way_without_a_fault_or_refused(text in "(smtp://)?[a-z:@/?&=%,\\[\\]#é+0-9]{0,40}(to=a@b)?(&from=a@b)?") {
            if let Ok(read) = Mailing::from_url(&text, false) {
                prop_assert_eq!(read.fault(false), None);
            }
        }
    }
}
