//! Files with secrets: read for each message, so that a renewed Secret needs no restart.

use std::borrow::Cow;
use std::io::Read as _;
use std::path::Path;

use bellwether_notifier_core::settings::Address;
use bellwether_notifier_core::{Email, Fault, Form, Mailing, Secret, Target, Url, shoutrrr};

use crate::error::SendError;

/// Above every URL, token and bundle of authorities. A wrong file does not fill the memory.
const BYTES_MAX: u64 = 1024 * 1024;

/// The text of the file, without blanks around it.
pub(crate) async fn read(secret: &Secret) -> Result<String, SendError> {
    let path = secret.path.clone();
    let read = tokio::task::spawn_blocking(move || read_now(&path)).await;
    let read = read.unwrap_or_else(|error| Err(error.to_string()));
    read.map_err(|problem| SendError::new(Fault::SecretUnusable, format!("{secret}: {problem}")))
}

fn read_now(path: &Path) -> Result<String, String> {
    // Before it is opened: opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("is no file".to_owned());
    }
    let mut content = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(BYTES_MAX).read_to_string(&mut content);
    read.map_err(|error| error.to_string())?;
    let content = content.trim();
    if content.is_empty() {
        return Err("is empty".to_owned());
    }
    Ok(content.to_owned())
}

/// The address of a target as it is now.
pub(crate) async fn url(target: &Target, address: &Address) -> Result<Url, SendError> {
    match address {
        Address::Plain(url) => Ok(url.clone()),
        Address::File(secret) => {
            let text = read(secret).await?;
            let text = shoutrrr::translated(&target.form, &text).map_err(|error| unusable(secret, &error))?;
            Url::parse(&text, target.allow_http).map_err(|error| unusable(secret, &error))
        }
    }
}

/// The target as it is now: with the way of mails that its file names, if it has such a file.
pub(crate) async fn resolved(target: &Target) -> Result<Cow<'_, Target>, SendError> {
    let Form::Email(Email::InFile(secret)) = &target.form else {
        return Ok(Cow::Borrowed(target));
    };
    let text = read(secret).await?;
    let mailing = Mailing::from_url(&text, target.allow_http).map_err(|error| unusable(secret, &error))?;
    Ok(Cow::Owned(Target {
        form: Form::Email(Email::Known(mailing)),
        ..target.clone()
    }))
}

fn unusable(secret: &Secret, error: &dyn std::fmt::Display) -> SendError {
    SendError::new(Fault::SecretUnusable, format!("{secret}: the content {error}"))
}
