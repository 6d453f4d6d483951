//! One e-mail to one recipient, over a connection of its own.

use std::time::Duration;

use bellwether_chassis::chain;
use bellwether_notifier_core::mail::{Password, Security};
use bellwether_notifier_core::{Email, Fault, Form, Letter, Mailing, Target};
use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use crate::error::SendError;
use crate::secret;

/// How long a mail may take, from its connection to the server's last reply: below the ten seconds that the service has
/// for its stop.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The server's last reply to a mail to one of the recipients of a target whose way is known ([`secret::resolved`]): in one mail to all of them, a server's refusal of one would
/// cost the others their mail.
pub(crate) async fn send(target: &Target, letter: &Letter, recipient: usize) -> Result<u16, SendError> {
    let Form::Email(Email::Known(email)) = &target.form else {
        return Err(SendError::new(Fault::MessageRefused, "the target takes no mail"));
    };
    let message = message(email, letter, recipient)?;
    let transport = transport(target, email).await?;
    // Boxed: the states of a handshake are large.
    let sending = Box::pin(transport.send(message));
    let server = format!("{}:{}", email.server, email.port);
    let Ok(sent) = tokio::time::timeout(TIMEOUT, sending).await else {
        let detail = format!("{server} has not answered within {} s", TIMEOUT.as_secs());
        return Err(SendError::new(Fault::Timeout, detail));
    };
    match sent {
        Ok(response) => Ok(u16::from(response.code())),
        Err(error) => match error.status() {
            Some(code) => Ok(u16::from(code)),
            None => {
                let fault = if error.is_timeout() {
                    Fault::Timeout
                } else {
                    Fault::Unreachable
                };
                Err(SendError::new(fault, format!("{server}: {}", chain(&error))))
            }
        },
    }
}

fn message(email: &Mailing, letter: &Letter, recipient: usize) -> Result<Message, SendError> {
    let unfit = |error: &dyn std::error::Error| SendError::new(Fault::MessageRefused, error.to_string());
    let mailbox = |text: &str| {
        let address: Result<Address, _> = text.parse();
        address.map(|it| Mailbox::new(None, it)).map_err(|error| unfit(&error))
    };
    let mut builder = Message::builder()
        .from(mailbox(&email.from)?)
        .subject(letter.subject.as_str())
        .message_id(Some(letter.message_id.clone()))
        .header(ContentType::TEXT_PLAIN);
    if let Some(first) = &letter.references {
        builder = builder.references(first.clone());
    }
    let mut envelope = Vec::new();
    for (place, address) in email.to.iter().enumerate() {
        let mailbox = mailbox(address)?;
        if place == recipient {
            envelope.push(mailbox.email.clone());
        }
        builder = builder.to(mailbox);
    }
    let envelope = Envelope::new(Some(mailbox(&email.from)?.email), envelope).map_err(|error| unfit(&error))?;
    builder = builder.envelope(envelope);
    builder.body(letter.body.clone()).map_err(|error| unfit(&error))
}

async fn transport(target: &Target, email: &Mailing) -> Result<AsyncSmtpTransport<Tokio1Executor>, SendError> {
    let tls = match email.security {
        Security::None => Tls::None,
        Security::StartTls => Tls::Required(trust(target, email).await?),
        Security::Tls => Tls::Wrapper(trust(target, email).await?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(email.server.as_str())
        .port(email.port)
        .tls(tls)
        .timeout(Some(TIMEOUT))
        .hello_name(ClientId::Domain("bellwether-notifier".to_owned()));
    if let Some((user, password)) = &email.login {
        let password = match password {
            Password::File(file) => secret::read(file).await?,
            Password::Text(text) => text.clone(),
        };
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

async fn trust(target: &Target, email: &Mailing) -> Result<TlsParameters, SendError> {
    let mut builder = TlsParameters::builder(email.server.clone());
    if let Some(file) = &target.ca_file {
        let pem = secret::read(file).await?;
        let unusable = |problem: String| SendError::new(Fault::SecretUnusable, format!("{file}: {problem}"));
        let certificate = Certificate::from_pem(pem.as_bytes()).map_err(|error| unusable(chain(&error)))?;
        builder = builder
            .certificate_store(CertificateStore::None)
            .add_root_certificate(certificate);
    }
    let built = builder.build_rustls();
    built.map_err(|error| SendError::new(Fault::SecretUnusable, chain(&error)))
}
