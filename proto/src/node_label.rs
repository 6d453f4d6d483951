//! A label that operators have the drainer set on nodes: part of the contract, since a drainer reads such settings and `migrate`
//! writes them.

use std::fmt;
use std::str::FromStr;

use crate::mark::{CONTROL_PLANE_LABELS, OUT_OF_LOAD_BALANCERS};

/// The prefix of all keys of Bellwether.
const OURS: &str = "bellwether.dev";

/// Longest name and value of a label, and longest prefix of a name, by the API server.
const NAME_BYTES_MAX: usize = 63;
const PREFIX_BYTES_MAX: usize = 253;

/// A label of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLabel {
    key: String,
    value: String,
}

/// Why a text is no label that the drainer may set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NodeLabelError {
    /// It has another form.
    #[error("`{0}` is no label: write it as KEY=VALUE, such as example.com/phase=rebooting")]
    Form(String),
    /// The drainer, or another part of Bellwether, gives the key a meaning.
    #[error(
        "`{0}` has a meaning for Bellwether: choose a key of your own, or drain.loadBalancerWait of a policy for load balancers"
    )]
    Reserved(String),
}

impl NodeLabel {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its value; may be empty.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for NodeLabel {
    type Err = NodeLabelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || NodeLabelError::Form(text.to_owned());
        let (key, value) = text.split_once('=').ok_or_else(form)?;
        let (prefix, name) = key
            .rsplit_once('/')
            .map_or((None, key), |(prefix, name)| (Some(prefix), name));
        if !is_name(name) || !(value.is_empty() || is_name(value)) || !prefix.is_none_or(is_prefix) {
            return Err(form());
        }
        if key == OUT_OF_LOAD_BALANCERS || CONTROL_PLANE_LABELS.contains(&key) || prefix == Some(OURS) {
            return Err(NodeLabelError::Reserved(key.to_owned()));
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

fn is_name(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= NAME_BYTES_MAX && text.starts_with(is_end) && text.ends_with(is_end) && text.chars().all(is_inner)
}

fn is_prefix(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !part.is_empty()
            && part.len() <= NAME_BYTES_MAX
            && part.chars().all(is_inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= PREFIX_BYTES_MAX && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_the_api_server_would_refuse_or_that_has_a_meaning_is_refused() {
        for right in ["a=1", "a=", "example.com/a.b_c-d=v.1", "bellwether.dev.example.com/a=1"] {
            assert_eq!(right.parse::<NodeLabel>().unwrap().to_string(), right);
        }
        let long = format!("{}=1", "a".repeat(64));
        for wrong in [
            "",
            "a",
            "=1",
            "a b=1",
            "a=b c",
            "-a=1",
            "a=1-",
            "A.com/b=1",
            "/a=1",
            "a..b/c=1",
            &long,
        ] {
            let error = wrong.parse::<NodeLabel>().unwrap_err();
            assert_eq!(error, NodeLabelError::Form(wrong.to_owned()));
        }
        for reserved in [
            "bellwether.dev/group=a",
            "node.kubernetes.io/exclude-from-external-load-balancers=true",
            "node-role.kubernetes.io/control-plane=",
        ] {
            let error = reserved.parse::<NodeLabel>().unwrap_err();
            assert!(matches!(error, NodeLabelError::Reserved(_)), "{reserved}: {error}");
        }
    }
}
