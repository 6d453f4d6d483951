//! The URLs by which kured names its targets, in the forms of [shoutrrr](https://shoutrrr.nickfedor.com/): translated into
//! the address that each service takes messages at. So a Secret that was made for kured serves as it is.

use crate::settings::Form;

/// Why such a URL cannot be used. Shows nothing of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShoutrrrError {
    /// It is of another service than the target.
    #[error("is a shoutrrr URL of another service: make it a target of its own kind")]
    OtherService,
    /// It lacks a part.
    #[error("is no whole shoutrrr URL of its service: its form is {0}")]
    Malformed(&'static str),
    /// The token of a bot.
    #[error("holds the token of a bot: put xoxb-… alone into the file of slack.tokenFile, and name slack.channel")]
    Bot,
    /// A connector of Teams.
    #[error(
        "is of an Office 365 connector, which Microsoft has retired: make a workflow in Teams (when a Teams webhook request \
         is received) and put its https:// URL into the file"
    )]
    Connector,
    /// Parameters that change the request.
    #[error(
        "has parameters of shoutrrr: put them into webhook.headers and webhook.template, and the https:// URL into the file"
    )]
    Parameters,
}

const SLACK: &str = "slack://hook:A-B-C@webhook";
const DISCORD: &str = "discord://TOKEN@WEBHOOK-ID";
const MATTERMOST: &str = "mattermost://HOST/TOKEN";
const GENERIC: &str = "generic://HOST/PATH";

/// The address of a URL of shoutrrr; any other text as it is.
///
/// # Errors
/// It is of shoutrrr, and cannot be used for this target.
pub fn translated(form: &Form, text: &str) -> Result<String, ShoutrrrError> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(text.to_owned());
    };
    let is_slack = matches!(form, Form::SlackWebhook { .. });
    match scheme {
        "slack" if is_slack => slack(rest),
        "discord" if matches!(form, Form::Discord { .. }) => discord(rest),
        "mattermost" if matches!(form, Form::Mattermost { .. }) => mattermost(rest),
        "generic" | "generic+https" | "generic+http" if matches!(form, Form::Webhook { .. }) => generic(scheme, rest),
        "teams" if matches!(form, Form::Teams { .. }) => Err(ShoutrrrError::Connector),
        "slack" | "discord" | "mattermost" | "generic" | "generic+https" | "generic+http" | "teams" | "smtp"
        | "pagerduty" | "telegram" | "pushover" | "rocketchat" | "googlechat" | "gotify" | "opsgenie" | "ntfy"
        | "matrix" | "zulip" | "logger" => Err(ShoutrrrError::OtherService),
        _ => Ok(text.to_owned()),
    }
}

/// `slack://[NAME@]A/B/C` of older versions, and `slack://hook:A-B-C@webhook`; parameters change colours and names.
fn slack(rest: &str) -> Result<String, ShoutrrrError> {
    let malformed = ShoutrrrError::Malformed(SLACK);
    let (rest, _) = parameters(rest);
    let tokens: Vec<&str> = match rest.split_once('@') {
        Some((user, _)) if user.starts_with("xox") => return Err(ShoutrrrError::Bot),
        Some((user, "webhook")) => {
            let token = user.strip_prefix("hook:").unwrap_or(user);
            token.splitn(3, '-').collect()
        }
        Some((_, tokens)) => tokens.split('/').collect(),
        None => rest.split('/').collect(),
    };
    match tokens.as_slice() {
        [a, b, c] if [a, b, c].iter().all(|it| is_token(it)) => {
            Ok(format!("https://hooks.slack.com/services/{a}/{b}/{c}"))
        }
        _ => Err(malformed),
    }
}

fn discord(rest: &str) -> Result<String, ShoutrrrError> {
    let (rest, parameters) = parameters(rest);
    let (token, id) = rest.split_once('@').ok_or(ShoutrrrError::Malformed(DISCORD))?;
    let id = id.trim_end_matches('/');
    if !is_token(token) || id.is_empty() || !id.chars().all(|it| it.is_ascii_digit()) {
        return Err(ShoutrrrError::Malformed(DISCORD));
    }
    let thread = parameters.split('&').find(|it| it.starts_with("thread_id="));
    let thread = thread.map(|it| format!("?{it}")).unwrap_or_default();
    Ok(format!("https://discord.com/api/webhooks/{id}/{token}{thread}"))
}

/// `mattermost://[NAME@]HOST/TOKEN[/CHANNEL]`. The channel is that of the webhook.
fn mattermost(rest: &str) -> Result<String, ShoutrrrError> {
    let (rest, parameters) = parameters(rest);
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    let mut parts = rest.split('/');
    match (parts.next(), parts.next()) {
        (Some(host), Some(token)) if !host.is_empty() && is_token(token) => {
            let scheme = scheme(parameters);
            Ok(format!("{scheme}://{host}/hooks/{token}"))
        }
        _ => Err(ShoutrrrError::Malformed(MATTERMOST)),
    }
}

fn generic(kind: &str, rest: &str) -> Result<String, ShoutrrrError> {
    let (rest, parameters) = parameters(rest);
    if rest.is_empty() || rest.starts_with('/') {
        return Err(ShoutrrrError::Malformed(GENERIC));
    }
    const OWN: [&str; 6] = [
        "template=",
        "contenttype=",
        "method=",
        "requestmethod=",
        "messagekey=",
        "titlekey=",
    ];
    let mut kept = Vec::new();
    for parameter in parameters.split('&').filter(|it| !it.is_empty()) {
        let lower = parameter.to_ascii_lowercase();
        if lower.starts_with(['@', '$']) || OWN.iter().any(|own| lower.starts_with(own)) {
            return Err(ShoutrrrError::Parameters);
        }
        if !lower.starts_with("disabletls=") {
            kept.push(parameter);
        }
    }
    let scheme = if kind == "generic+http" {
        "http"
    } else {
        scheme(parameters)
    };
    let query = if kept.is_empty() {
        String::new()
    } else {
        format!("?{}", kept.join("&"))
    };
    Ok(format!("{scheme}://{rest}{query}"))
}

/// What is before and behind the question mark.
fn parameters(rest: &str) -> (&str, &str) {
    rest.split_once('?').unwrap_or((rest, ""))
}

fn scheme(parameters: &str) -> &'static str {
    let off = ["disabletls=yes", "disabletls=true", "disabletls=1"];
    let lower = parameters.to_ascii_lowercase();
    if lower.split('&').any(|it| off.contains(&it)) {
        "http"
    } else {
        "https"
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || it == '-' || it == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Address, Secret};

    fn forms() -> [Form; 5] {
        let address = Address::File(Secret::new("f", "/f"));
        [
            Form::SlackWebhook {
                address: address.clone(),
            },
            Form::Discord {
                address: address.clone(),
            },
            Form::Mattermost {
                address: address.clone(),
            },
            Form::Teams {
                address: address.clone(),
            },
            Form::Webhook {
                address,
                headers: vec![],
                content_type: "application/json".to_owned(),
                template: None,
            },
        ]
    }

    #[test]
    fn a_url_of_kured_becomes_the_address_of_its_service() {
        let [slack, discord, mattermost, _, webhook] = forms();
        for (form, text, address) in [
            (&slack, "slack://TA/B1/c2", "https://hooks.slack.com/services/TA/B1/c2"),
            (
                &slack,
                "slack://kured@TA/B1/c2?color=red",
                "https://hooks.slack.com/services/TA/B1/c2",
            ),
            (
                &slack,
                "slack://hook:TA-B1-c2@webhook\n",
                "https://hooks.slack.com/services/TA/B1/c2",
            ),
            (
                &slack,
                "https://hooks.slack.com/services/TA/B1/c2",
                "https://hooks.slack.com/services/TA/B1/c2",
            ),
            (
                &discord,
                "discord://tok_en-1@123",
                "https://discord.com/api/webhooks/123/tok_en-1",
            ),
            (
                &discord,
                "discord://token@123?splitLines=no&thread_id=7",
                "https://discord.com/api/webhooks/123/token?thread_id=7",
            ),
            (
                &mattermost,
                "mattermost://bot@mm.example:8443/tok/town",
                "https://mm.example:8443/hooks/tok",
            ),
            (
                &mattermost,
                "mattermost://mm.example/tok?disabletls=yes",
                "http://mm.example/hooks/tok",
            ),
            (
                &webhook,
                "generic://x.example/p?a=1&disabletls=no",
                "https://x.example/p?a=1",
            ),
            (&webhook, "generic+http://127.0.0.1:80/p", "http://127.0.0.1:80/p"),
            (&webhook, "no url", "no url"),
        ] {
            assert_eq!(translated(form, text).as_deref(), Ok(address), "{text}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_with_the_remedy_and_without_being_shown() {
        let [slack, discord, mattermost, teams, webhook] = forms();
        for (form, text, error) in [
            (&slack, "slack://SECRET/b", ShoutrrrError::Malformed(SLACK)),
            (&slack, "slack://SECRET/b/c/d", ShoutrrrError::Malformed(SLACK)),
            (&slack, "slack://xoxb:SECRET@C1", ShoutrrrError::Bot),
            (&slack, "discord://SECRET@1", ShoutrrrError::OtherService),
            (&discord, "discord://SECRET@channel", ShoutrrrError::Malformed(DISCORD)),
            (&mattermost, "mattermost://SECRET", ShoutrrrError::Malformed(MATTERMOST)),
            (&teams, "teams://SECRET@a/b/c?host=x", ShoutrrrError::Connector),
            (
                &webhook,
                "generic://x.example/?@authorization=SECRET",
                ShoutrrrError::Parameters,
            ),
            (
                &webhook,
                "generic://x.example/?template=json",
                ShoutrrrError::Parameters,
            ),
            (&webhook, "generic:///p", ShoutrrrError::Malformed(GENERIC)),
            (&webhook, "smtp://u:SECRET@x/", ShoutrrrError::OtherService),
        ] {
            assert_eq!(translated(form, text), Err(error), "{text}");
            assert!(!error.to_string().contains("SECRET"));
        }
    }
}
