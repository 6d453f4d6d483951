//! What kured's users have on their nodes for other programs: labels before and after a reboot, and two annotations. They come and
//! go in the patches of the cordon, so that no node has one without the other.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use bellwether_proto::mark::OUT_OF_LOAD_BALANCERS;
use jiff::Timestamp;
use serde_json::{Map, Value};

/// Annotation of kured with the time since which a node is in the hands of its reboot.
const IN_PROGRESS: &str = "weave.works/kured-reboot-in-progress";
/// Annotation of kured with the time of the last reboot that was needed; it stays.
const MOST_RECENT: &str = "weave.works/kured-most-recent-reboot-needed";

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
        if key == OUT_OF_LOAD_BALANCERS || prefix == Some(OURS) {
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

/// What nodes get with our cordon, and in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeMarks {
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
    annotates: bool,
}

/// The part of a patch that sets or removes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MarkPatch {
    pub(crate) annotations: Map<String, Value>,
    pub(crate) labels: Map<String, Value>,
}

impl NodeMarks {
    /// Labels from the cordon on, and those that replace them with its end. Of two labels with one key the last counts, as in
    /// kured. `annotates`: kured's annotations too.
    #[must_use]
    pub fn new(before: &[NodeLabel], after: &[NodeLabel], annotates: bool) -> Self {
        let pair = |label: &NodeLabel| (label.key.clone(), label.value.clone());
        let by_key = |labels: &[NodeLabel]| labels.iter().map(pair).collect();
        Self {
            before: by_key(before),
            after: by_key(after),
            annotates,
        }
    }

    /// With the cordon of an attempt that began at this time.
    pub(crate) fn set(&self, began_at: Timestamp) -> MarkPatch {
        let mut patch = MarkPatch::default();
        for (key, value) in &self.before {
            patch.labels.insert(key.clone(), value.as_str().into());
        }
        if self.annotates {
            for annotation in [IN_PROGRESS, MOST_RECENT] {
                let at = format!("{began_at:.0}");
                patch.annotations.insert(annotation.to_owned(), at.into());
            }
        }
        patch
    }

    /// With the end of the cordon. A label that has no other value for afterwards is removed: no node keeps one that states a
    /// reboot.
    pub(crate) fn replace(&self) -> MarkPatch {
        let mut patch = MarkPatch::default();
        for key in self.before.keys() {
            patch.labels.insert(key.clone(), Value::Null);
        }
        for (key, value) in &self.after {
            patch.labels.insert(key.clone(), value.as_str().into());
        }
        if self.annotates {
            patch.annotations.insert(IN_PROGRESS.to_owned(), Value::Null);
        }
        patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(texts: &[&str]) -> Vec<NodeLabel> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn labels_are_replaced_with_the_end_of_the_cordon_and_none_is_left_that_states_a_reboot() {
        let marks = NodeMarks::new(
            &labels(&["phase=first", "phase=rebooting", "example.com/busy="]),
            &labels(&["phase=rebooted", "rebooted=yes"]),
            false,
        );
        let set = marks.set(Timestamp::UNIX_EPOCH);
        assert_eq!(
            json!(set.labels),
            json!({ "phase": "rebooting", "example.com/busy": "" })
        );
        assert_eq!(set.annotations.len(), 0);
        let replaced = marks.replace();
        let wanted = json!({ "phase": "rebooted", "rebooted": "yes", "example.com/busy": null });
        assert_eq!(json!(replaced.labels), wanted);
        assert_eq!(replaced.annotations.len(), 0);
    }

    #[test]
    fn one_annotation_goes_with_the_cordon_and_the_other_stays() {
        let marks = NodeMarks::new(&[], &[], true);
        let at = "1970-01-01T00:00:00Z";
        let set = json!({ IN_PROGRESS: at, MOST_RECENT: at });
        assert_eq!(json!(marks.set(Timestamp::UNIX_EPOCH).annotations), set);
        assert_eq!(json!(marks.replace().annotations), json!({ IN_PROGRESS: null }));
        let none = NodeMarks::default();
        assert_eq!(none.set(Timestamp::UNIX_EPOCH), MarkPatch::default());
        assert_eq!(none.replace(), MarkPatch::default());
    }

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
        ] {
            let error = reserved.parse::<NodeLabel>().unwrap_err();
            assert!(matches!(error, NodeLabelError::Reserved(_)), "{reserved}: {error}");
        }
    }
}
