//! What operators' settings have set together with the cordon of a node, by the list that the node carries.
//!
//! Others may write that list too: it never has a label removed that its writer could not remove.

use std::collections::BTreeMap;

use bellwether_proto::NodeLabel;
use bellwether_proto::mark::{KURED_IN_PROGRESS as IN_PROGRESS, MARKED_WITH};

/// More than the settings of one drainer name: a longer list is none of ours.
pub(crate) const LISTED_MAX: usize = 64;

/// Domains of labels that a kubelet may not change of its own Node, though it may write the list.
const PROTECTED: [&str; 2] = ["kubernetes.io", "k8s.io"];

/// What was set with the cordon of one Node object, as its annotation lists that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetMarks(Option<Box<[String]>>);

impl SetMarks {
    /// Reads the list of a Node.
    pub(crate) fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let listed = annotations.and_then(|annotations| annotations.get(MARKED_WITH));
        let names = |list: &String| list.split(',').take(LISTED_MAX).map(str::to_owned).collect();
        Self(listed.map(names))
    }

    /// All that was set, as far as the list names that.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.iter().flat_map(|listed| listed.iter())
    }

    /// The node carries a list.
    pub(crate) fn is_listed(&self) -> bool {
        self.0.is_some()
    }

    /// The labels that the end of the cordon removes; `before`: those of the present settings, which are all that is known of a
    /// cordon without a list. A label that only the list names is removed if it may be a setting, and is not protected.
    pub(crate) fn labels<'n>(&'n self, before: &'n BTreeMap<String, String>) -> Vec<&'n str> {
        let Some(listed) = &self.0 else {
            return before.keys().map(String::as_str).collect();
        };
        let may_be_set = |name: &&String| {
            let domain = name.split_once('/').map_or("", |(domain, _)| domain);
            let is_protected = PROTECTED.iter().any(|protected| {
                let parent = domain.strip_suffix(protected);
                parent.is_some_and(|parent| parent.is_empty() || parent.ends_with('.'))
            });
            let is_label = format!("{name}=").parse::<NodeLabel>().is_ok() && *name != IN_PROGRESS;
            before.contains_key(*name) || (is_label && !is_protected)
        };
        listed.iter().filter(may_be_set).map(String::as_str).collect()
    }

    /// The end of the cordon removes the annotation; `annotates`: by the present settings it is set.
    pub(crate) fn has_annotation(&self, annotates: bool) -> bool {
        let has = |listed: &[String]| listed.iter().any(|name| name == IN_PROGRESS);
        self.0.as_deref().map_or(annotates, has)
    }
}
