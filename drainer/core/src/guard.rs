//! What keeps autoscalers off a node that is drained and rebooted (D46): to them the node looks empty and useless.
//!
//! Annotations that the node carried before are another owner's, and stay.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::mark::{AUTOSCALER_GUARDS, GUARDED_BY};
use serde_json::{Map, Value};

/// The guards of one Node object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    present: BTreeSet<&'static str>,
    /// Those of them that we set.
    ours: BTreeSet<&'static str>,
}

impl Guards {
    /// Reads the guards from the annotations of a Node. A name that is no guard is never taken for ours.
    pub(crate) fn of(annotations: Option<&BTreeMap<String, String>>) -> Self {
        let Some(annotations) = annotations else {
            return Self::default();
        };
        let guards = AUTOSCALER_GUARDS.into_iter();
        let present: BTreeSet<&str> = guards.filter(|guard| annotations.contains_key(*guard)).collect();
        let listed = annotations.get(GUARDED_BY).map(String::as_str).unwrap_or_default();
        let is_listed = |guard: &&&str| listed.split(',').any(|name| name == **guard);
        let ours = present.iter().filter(is_listed).copied().collect();
        Self { present, ours }
    }

    /// The annotations of a patch that sets those that the node lacks.
    pub(crate) fn set(&self) -> Map<String, Value> {
        let missing = AUTOSCALER_GUARDS
            .into_iter()
            .filter(|guard| !self.present.contains(guard));
        let ours: BTreeSet<&str> = missing.chain(self.ours.iter().copied()).collect();
        let mut patch: Map<String, Value> = ours.iter().map(|guard| ((*guard).to_owned(), "true".into())).collect();
        if !ours.is_empty() {
            let names: Vec<&str> = ours.into_iter().collect();
            patch.insert(GUARDED_BY.to_owned(), names.join(",").into());
        }
        patch
    }

    /// The annotations of a patch that removes those that we set.
    pub(crate) fn remove(&self) -> Map<String, Value> {
        let ours = self.ours.iter().map(|guard| ((*guard).to_owned(), Value::Null));
        // Also where an operator has removed the guards themselves.
        ours.chain([(GUARDED_BY.to_owned(), Value::Null)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCALE_DOWN: &str = AUTOSCALER_GUARDS[0];
    const DISRUPT: &str = AUTOSCALER_GUARDS[1];

    #[test]
    fn d46_what_the_node_lacks_is_set_and_the_same_is_removed() {
        let bare = Guards::of(None);
        let set = bare.set();
        let both = format!("{SCALE_DOWN},{DISRUPT}");
        assert_eq!(
            Value::from(set.clone()),
            json!({ SCALE_DOWN: "true", DISRUPT: "true", GUARDED_BY: both })
        );
        let guarded = Guards::of(Some(&annotations(&set)));
        assert_eq!(guarded.set(), set, "a second cordon keeps them ours");
        assert_eq!(
            Value::from(guarded.remove()),
            json!({ SCALE_DOWN: null, DISRUPT: null, GUARDED_BY: null })
        );
    }

    #[test]
    fn d46_an_annotation_of_another_owner_stays() {
        let foreign = BTreeMap::from([(DISRUPT.to_owned(), "true".to_owned())]);
        let set = Guards::of(Some(&foreign)).set();
        assert_eq!(
            Value::from(set.clone()),
            json!({ SCALE_DOWN: "true", GUARDED_BY: SCALE_DOWN })
        );
        let mut both = annotations(&set);
        both.extend(foreign);
        let removed = Guards::of(Some(&both)).remove();
        assert_eq!(Value::from(removed), json!({ SCALE_DOWN: null, GUARDED_BY: null }));
    }

    #[test]
    fn a_list_cannot_have_other_annotations_removed() {
        let wrong = json!({ GUARDED_BY: "bellwether.dev/hold,kubernetes.io/hostname", "bellwether.dev/hold": "x" });
        let wrong = annotations(wrong.as_object().unwrap());
        assert_eq!(
            Value::from(Guards::of(Some(&wrong)).remove()),
            json!({ GUARDED_BY: null })
        );
    }

    fn annotations(patch: &Map<String, Value>) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        patch.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }
}
