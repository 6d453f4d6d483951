//! A message for reading: the request or mail as it leaves, with the names of files in place of secrets.

use crate::form::{Draft, Letter, Post};
use crate::mail::Email;
use crate::settings::{Address, Form, HeaderValue, Target};

/// The message in lines; the body is as it is sent, but for a secret in it.
#[must_use]
pub fn shown(target: &Target, draft: &Draft) -> String {
    match draft {
        Draft::Post(post) => request(post),
        Draft::Letter(letter) => mail(target, letter),
    }
}

fn request(post: &Post) -> String {
    let address = match &post.address {
        Address::Plain(url) => url.to_string(),
        Address::File(secret) => format!("the URL in {secret}"),
    };
    let mut text = format!("POST {address}\ncontent-type: {}\n", post.content_type);
    for header in &post.headers {
        let value = match &header.value {
            // Meant to be no secret; a mistake is not repeated.
            HeaderValue::Plain(_) if header.name != "idempotency-key" => "as configured".to_owned(),
            HeaderValue::Plain(value) => value.clone(),
            HeaderValue::File { before, secret } => format!("{before}the content of {secret}"),
        };
        text.push_str(&format!("{}: {value}\n", header.name));
    }
    text.push_str(&format!("\n{}\n", post.body));
    if let Some((field, secret)) = &post.secret_field {
        text.push_str(&format!("with the field {field}: the content of {secret}\n"));
    }
    text
}

fn mail(target: &Target, letter: &Letter) -> String {
    let mut text = match &target.form {
        Form::Email(Email::Known(mailing)) => {
            let (server, port, from) = (&mailing.server, mailing.port, &mailing.from);
            format!("MAIL by {server}:{port}\nFrom: {from}\nTo: {}\n", mailing.to.join(", "))
        }
        Form::Email(Email::InFile(secret)) => {
            format!("MAIL by the URL in {secret}\nFrom: as the URL has it\nTo: each recipient of the URL\n")
        }
        Form::SlackWebhook { .. }
        | Form::SlackBot { .. }
        | Form::Discord { .. }
        | Form::Mattermost { .. }
        | Form::Teams { .. }
        | Form::PagerDuty { .. }
        | Form::Webhook { .. } => String::new(),
    };
    text.push_str(&format!(
        "Subject: {}\nMessage-ID: {}\n",
        letter.subject, letter.message_id
    ));
    if let Some(first) = &letter.references {
        text.push_str(&format!("References: {first}\n"));
    }
    text.push_str(&format!("\n{}", letter.body));
    text
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::shown;
    use crate::form;
    use crate::rehearsal::trial;
    use crate::settings::Settings;

    #[test]
    fn a_request_shows_its_body_and_files_in_place_of_secrets() {
        const CONFIG: &str = "
targets:
  - name: bot
    slack: { tokenFile: /secrets/token, channel: C1 }
  - name: hook
    webhook:
      url: 'https://x.example/T0PSECRET'
      headers: [{ name: authorization, value: T0PSECRET }]
      template: '{\"text\": \"{{ summary }}\"}'
  - name: pager
    pagerduty: { routingKeyFile: /secrets/key }
  - name: mail
    email: { server: mail.example, from: a@x.example, to: [b@x.example] }
  - name: kured
    email: { urlFile: /secrets/mail }
";
        let settings = Settings::parse(CONFIG).unwrap();
        let message = trial(&settings, Timestamp::UNIX_EPOCH);
        let texts: Vec<String> = settings
            .targets
            .iter()
            .map(|target| shown(target, &form::draft(target, &message, None)))
            .collect();
        for (text, parts) in texts.iter().zip([
            vec![
                "POST https://slack.com:443/…",
                "Bearer the content of targets[0].slack.tokenFile (/secrets/token)",
            ],
            vec![
                "\n{\"text\": \"This is a test message of Bellwether: no node is rebooted\"}\n",
                "idempotency-key: test@",
            ],
            vec!["routing_key: the content of targets[2].pagerduty.routingKeyFile"],
            vec![
                "MAIL by mail.example:587",
                "To: b@x.example",
                "Subject: This is a test message",
            ],
            vec![
                "MAIL by the URL in targets[4].email.urlFile (/secrets/mail)",
                "To: each recipient of the URL",
                "Subject: This is a test message",
            ],
        ]) {
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("T0PSECRET"), "{text}");
        }
    }
}
