//! Bodies of webhooks: a text with fields such as `{{ node }}`, checked when the configuration is read.

use crate::notification::Notification;

/// A field of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Attempt,
    Cluster,
    Detail,
    Key,
    Kind,
    Node,
    Owners,
    Policy,
    Rollout,
    Severity,
    Summary,
    Time,
}

impl Field {
    const ALL: [Self; 12] = [
        Self::Attempt,
        Self::Cluster,
        Self::Detail,
        Self::Key,
        Self::Kind,
        Self::Node,
        Self::Owners,
        Self::Policy,
        Self::Rollout,
        Self::Severity,
        Self::Summary,
        Self::Time,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Attempt => "attempt",
            Self::Cluster => "cluster",
            Self::Detail => "detail",
            Self::Key => "key",
            Self::Kind => "kind",
            Self::Node => "node",
            Self::Owners => "owners",
            Self::Policy => "policy",
            Self::Rollout => "rollout",
            Self::Severity => "severity",
            Self::Summary => "summary",
            Self::Time => "time",
        }
    }

    fn of(self, notification: &Notification) -> String {
        match self {
            Self::Attempt => notification.attempt.clone(),
            Self::Cluster => notification.cluster.clone(),
            Self::Detail => notification.detail.clone(),
            Self::Key => notification.key(),
            Self::Kind => notification.kind.as_str().to_owned(),
            Self::Node => notification.node.clone(),
            Self::Owners => notification.owners(),
            Self::Policy => notification.policy.clone().unwrap_or_default(),
            Self::Rollout => {
                let rollout = notification.rollout.as_ref();
                rollout.map(|it| it.as_str().to_owned()).unwrap_or_default()
            }
            Self::Severity => notification.severity.as_str().to_owned(),
            Self::Summary => notification.summary.clone(),
            Self::Time => notification.at.to_string(),
        }
    }
}

/// Every field with its value, as the body of a webhook without a template has them.
pub(crate) fn fields(notification: &Notification) -> serde_json::Map<String, serde_json::Value> {
    let pair = |field: Field| (field.as_str().to_owned(), field.of(notification).into());
    Field::ALL.into_iter().map(pair).collect()
}

/// The form of the text that a template makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// JSON: fields stand inside of strings, and are escaped for that.
    Json,
    /// Any other: fields stand as they are.
    None,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

/// A template whose fields are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
    escape: Escape,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It names a field that there is not.
    #[error("names the field {name:?}, which there is not: choose among {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All fields.
        known: String,
    },
    /// A field does not end.
    #[error("has a {{{{ without its }}}}: write fields as {{{{ node }}}}")]
    Open,
    /// It makes no JSON.
    #[error(
        "makes no JSON ({0}): put each field into quotes, as in \"{{{{ summary }}}}\", or set contentType to the type of \
         the text"
    )]
    NoJson(String),
}

impl Template {
    /// Reads a template, and tries it.
    ///
    /// # Errors
    /// A field is not known or does not end, or the text is no JSON though it should be.
    pub fn parse(text: &str, escape: Escape) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, behind) = after.split_once("}}").ok_or(TemplateError::Open)?;
            let name = name.trim();
            let field = Field::ALL.into_iter().find(|field| field.as_str() == name);
            let field = field.ok_or_else(|| TemplateError::Unknown {
                name: name.to_owned(),
                known: Field::ALL.map(Field::as_str).join(", "),
            })?;
            parts.extend([Part::Text(before.to_owned()), Part::Field(field)]);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self { parts, escape };
        if escape == Escape::Json {
            // With what breaks out of a string that is not escaped.
            let trial = template.made(|_| "\"\\\n,".to_owned());
            serde_json::from_str::<serde_json::Value>(&trial)
                .map_err(|error| TemplateError::NoJson(error.to_string()))?;
        }
        Ok(template)
    }

    /// The text for a message.
    #[must_use]
    pub fn render(&self, notification: &Notification) -> String {
        self.made(|field| field.of(notification))
    }

    fn made(&self, value: impl Fn(Field) -> String) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Field(field) => text.push_str(&self.escaped(&value(*field))),
            }
        }
        text
    }

    fn escaped(&self, value: &str) -> String {
        match self.escape {
            Escape::None => value.to_owned(),
            Escape::Json => {
                let quoted = serde_json::Value::from(value).to_string();
                let inside = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                inside.unwrap_or_default().to_owned()
            }
        }
    }
}
