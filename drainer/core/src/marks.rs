//! What kured's users have on their nodes for other programs: labels before and after a reboot, and two annotations. They come and
//! go in the patches of the cordon, so that no node has one without the other.
//!
//! The node itself carries the list of what was set, so a change of the settings while it is cordoned leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::NodeLabel;
use bellwether_proto::mark::{KURED_IN_PROGRESS as IN_PROGRESS, MARKED_WITH};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::fault::ApiFault;
use crate::node::NodePatched;
use crate::set_marks::{LISTED_MAX, SetMarks};

/// Annotation of kured with the time of the last reboot that was needed; it stays.
const MOST_RECENT: &str = "weave.works/kured-most-recent-reboot-needed";

/// What nodes get with our cordon, and in its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeMarks {
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
    annotates: bool,
}

/// How often the API server may refuse a patch, or not answer, before the next one is without the marks of operators: they decide
/// neither whether a node is drained nor whether it returns.
const FAILURES_MAX: u32 = 3;

/// Tries of patches with marks.
#[derive(Debug, Clone, Default)]
pub(crate) struct MarkTries(u32);

impl MarkTries {
    /// Takes the result of a patch. A refusal, such as of an admission policy that knows not all labels, is final.
    pub(crate) fn note(&mut self, patched: &NodePatched) {
        self.0 = match patched {
            NodePatched::Failed(ApiFault::Forbidden(_)) => FAILURES_MAX,
            NodePatched::Failed(ApiFault::Unavailable(_) | ApiFault::NotFound | ApiFault::Conflict(_)) => {
                self.0.saturating_add(1)
            }
            NodePatched::Written(_) | NodePatched::Changed => self.0,
        };
    }

    /// The marks for the next patch.
    pub(crate) fn marks(&self, marks: impl FnOnce() -> MarkPatch) -> MarkPatch {
        if self.0 < FAILURES_MAX {
            marks()
        } else {
            MarkPatch::default()
        }
    }
}

/// The part of a patch that sets or removes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MarkPatch {
    pub(crate) annotations: Map<String, Value>,
    pub(crate) labels: Map<String, Value>,
}

impl MarkPatch {
    /// With the list of what this patch sets beside what was set before.
    pub(crate) fn with_list(mut self, set: &SetMarks) -> Self {
        let annotation = self.annotations.keys().filter(|name| *name == IN_PROGRESS);
        let names = self.labels.keys().chain(annotation).chain(set.names());
        let names: BTreeSet<&str> = names.map(String::as_str).collect();
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().take(LISTED_MAX).collect();
            self.annotations.insert(MARKED_WITH.to_owned(), names.join(",").into());
        }
        self
    }
}

impl NodeMarks {
    /// Labels from the cordon on, and those that replace them with its end. Of two labels with one key the last counts, as in
    /// kured. `annotates`: kured's annotations too.
    #[must_use]
    pub fn new(before: &[NodeLabel], after: &[NodeLabel], annotates: bool) -> Self {
        let pair = |label: &NodeLabel| (label.key().to_owned(), label.value().to_owned());
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

    /// With the end of a cordon with which this was set. A label that has no other value for afterwards is removed: no node keeps one
    /// that states a reboot.
    pub(crate) fn replace(&self, set: &SetMarks) -> MarkPatch {
        let mut patch = MarkPatch::default();
        for key in set.labels(&self.before) {
            patch.labels.insert(key.to_owned(), Value::Null);
        }
        for (key, value) in &self.after {
            patch.labels.insert(key.clone(), value.as_str().into());
        }
        if set.has_annotation(self.annotates) {
            patch.annotations.insert(IN_PROGRESS.to_owned(), Value::Null);
        }
        if set.is_listed() {
            patch.annotations.insert(MARKED_WITH.to_owned(), Value::Null);
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
        let replaced = marks.replace(&SetMarks::default());
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
        let replaced = marks.replace(&SetMarks::default());
        assert_eq!(json!(replaced.annotations), json!({ IN_PROGRESS: null }));
        let none = NodeMarks::default();
        assert_eq!(none.set(Timestamp::UNIX_EPOCH), MarkPatch::default());
        assert_eq!(none.replace(&SetMarks::default()), MarkPatch::default());
        assert_eq!(
            MarkPatch::default().with_list(&SetMarks::default()),
            MarkPatch::default()
        );
    }

    #[test]
    fn what_was_set_is_removed_though_the_settings_are_others_at_the_end_of_the_cordon() {
        let old = NodeMarks::new(&labels(&["phase=rebooting", "example.com/busy=yes"]), &[], true);
        let set = old.set(Timestamp::UNIX_EPOCH).with_list(&SetMarks::default());
        let list = format!("example.com/busy,phase,{IN_PROGRESS}");
        assert_eq!(json!(set.annotations[MARKED_WITH]), json!(list));
        // What the node carries from now on, and a second cordon with other settings.
        let new = NodeMarks::new(&labels(&["state=down"]), &labels(&["state=up"]), false);
        let again = new.set(Timestamp::UNIX_EPOCH).with_list(&listed(&list));
        let both = format!("example.com/busy,phase,state,{IN_PROGRESS}");
        assert_eq!(json!(again.annotations), json!({ MARKED_WITH: both }));
        let replaced = new.replace(&listed(&list));
        let wanted = json!({ "phase": null, "example.com/busy": null, "state": "up" });
        assert_eq!(json!(replaced.labels), wanted);
        assert_eq!(
            json!(replaced.annotations),
            json!({ IN_PROGRESS: null, MARKED_WITH: null })
        );
        // A setting that came after the cordon is of no label that the node has from us.
        let replaced = NodeMarks::new(&labels(&["own=x"]), &[], true).replace(&listed("phase"));
        assert_eq!(json!(replaced.labels), json!({ "phase": null }));
        assert_eq!(json!(replaced.annotations), json!({ MARKED_WITH: null }));
    }

    #[test]
    fn a_list_has_no_label_removed_that_a_kubelet_may_not_change() {
        let marks = NodeMarks::new(&labels(&["app.k8s.io/phase=x"]), &[], false);
        let names = [
            "node-restriction.kubernetes.io/tenant",
            "kubernetes.io/hostname",
            "k8s.io/other",
            "node-role.kubernetes.io/control-plane",
            "bellwether.dev/x",
            "no label",
            "",
            "app.k8s.io/phase",
            "notkubernetes.io/free",
        ];
        let replaced = marks.replace(&listed(&names.join(",")));
        let removed = json!({ "app.k8s.io/phase": null, "notkubernetes.io/free": null });
        assert_eq!(json!(replaced.labels), removed, "a setting, and one that is free");
        let many: Vec<String> = (0..100).map(|number| format!("l{number:03}")).collect();
        assert_eq!(marks.replace(&listed(&many.join(","))).labels.len(), LISTED_MAX);
    }

    fn listed(names: &str) -> SetMarks {
        SetMarks::of(Some(&BTreeMap::from([(MARKED_WITH.to_owned(), names.to_owned())])))
    }
}
