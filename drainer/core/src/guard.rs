//! What is set on a node together with its cordon, and removed together with it: annotations that keep autoscalers off, to
//! which a node that is drained looks empty and useless (D46), and the label that takes the node out of external load
//! balancers (D6).
//!
//! What the node carried before is another owner's, and stays.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::mark::{AUTOSCALER_GUARDS, GUARDED_BY, OUT_OF_LOAD_BALANCERS};
use serde_json::{Map, Value};

/// The guards of one Node object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    present: BTreeSet<&'static str>,
    /// Those of them that we set.
    ours: BTreeSet<&'static str>,
}

/// The part of a patch that sets or removes guards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GuardPatch {
    pub(crate) annotations: Map<String, Value>,
    pub(crate) labels: Map<String, Value>,
}

impl GuardPatch {
    fn add(&mut self, guard: &str, value: Value) {
        let keys = if guard == OUT_OF_LOAD_BALANCERS {
            &mut self.labels
        } else {
            &mut self.annotations
        };
        keys.insert(guard.to_owned(), value);
    }
}

impl Guards {
    /// Reads the guards from the annotations and labels of a Node. A name that is no guard is never taken for ours.
    pub(crate) fn of(
        annotations: Option<&BTreeMap<String, String>>,
        labels: Option<&BTreeMap<String, String>>,
    ) -> Self {
        let has = |keys: Option<&BTreeMap<String, String>>, key: &str| keys.is_some_and(|keys| keys.contains_key(key));
        let mut present: BTreeSet<&str> = AUTOSCALER_GUARDS.into_iter().collect();
        present.retain(|guard| has(annotations, guard));
        if has(labels, OUT_OF_LOAD_BALANCERS) {
            present.insert(OUT_OF_LOAD_BALANCERS);
        }
        let listed = annotations.and_then(|annotations| annotations.get(GUARDED_BY));
        let listed = listed.map(String::as_str).unwrap_or_default();
        let is_listed = |guard: &&&str| listed.split(',').any(|name| name == **guard);
        let ours = present.iter().filter(is_listed).copied().collect();
        Self { present, ours }
    }

    /// Sets those that the node lacks; the label for load balancers only if the drain demands that.
    pub(crate) fn set(&self, leaves_load_balancers: bool) -> GuardPatch {
        let label = leaves_load_balancers.then_some(OUT_OF_LOAD_BALANCERS);
        let wanted = AUTOSCALER_GUARDS.into_iter().chain(label);
        let missing = wanted.filter(|guard| !self.present.contains(guard));
        let ours: BTreeSet<&str> = missing.chain(self.ours.iter().copied()).collect();
        let mut patch = GuardPatch::default();
        for guard in &ours {
            patch.add(guard, "true".into());
        }
        if !ours.is_empty() {
            let names: Vec<&str> = ours.into_iter().collect();
            patch.add(GUARDED_BY, names.join(",").into());
        }
        patch
    }

    /// Removes those that we set.
    pub(crate) fn remove(&self) -> GuardPatch {
        let mut patch = GuardPatch::default();
        for guard in &self.ours {
            patch.add(guard, Value::Null);
        }
        // Also where an operator has removed the guards themselves.
        patch.add(GUARDED_BY, Value::Null);
        patch
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
        let set = Guards::of(None, None).set(false);
        let both = format!("{SCALE_DOWN},{DISRUPT}");
        assert_eq!(
            shown(&set),
            json!([{ SCALE_DOWN: "true", DISRUPT: "true", GUARDED_BY: both }, {}])
        );
        let guarded = after(&set, json!([{}, {}]));
        assert_eq!(guarded.set(false), set, "a second cordon keeps them ours");
        assert_eq!(
            shown(&guarded.remove()),
            json!([{ SCALE_DOWN: null, DISRUPT: null, GUARDED_BY: null }, {}])
        );
    }

    #[test]
    fn d46_an_annotation_of_another_owner_stays() {
        let foreign = json!([{ DISRUPT: "true" }, {}]);
        let set = node(&foreign).set(false);
        assert_eq!(shown(&set), json!([{ SCALE_DOWN: "true", GUARDED_BY: SCALE_DOWN }, {}]));
        let removed = after(&set, foreign).remove();
        assert_eq!(shown(&removed), json!([{ SCALE_DOWN: null, GUARDED_BY: null }, {}]));
    }

    #[test]
    fn d6_the_label_for_load_balancers_is_set_on_demand_and_removed_if_it_is_ours() {
        let set = Guards::of(None, None).set(true);
        let all = format!("{SCALE_DOWN},{DISRUPT},{OUT_OF_LOAD_BALANCERS}");
        assert_eq!(
            shown(&set),
            json!([
                { SCALE_DOWN: "true", DISRUPT: "true", GUARDED_BY: all },
                { OUT_OF_LOAD_BALANCERS: "true" },
            ])
        );
        let ours = after(&set, json!([{}, {}]));
        assert_eq!(ours.set(true), set);
        assert_eq!(shown(&ours.remove())[1], json!({ OUT_OF_LOAD_BALANCERS: null }));
        let foreign = json!([{}, { OUT_OF_LOAD_BALANCERS: "" }]);
        let set = node(&foreign).set(true);
        assert_eq!(shown(&set)[1], json!({}), "an operator's label stays as it is");
        assert_eq!(shown(&after(&set, foreign).remove())[1], json!({}));
    }

    #[test]
    fn a_list_cannot_have_other_annotations_removed() {
        let hostname = "kubernetes.io/hostname";
        let wrong = json!([
            { GUARDED_BY: format!("bellwether.dev/hold,{hostname}"), "bellwether.dev/hold": "x" },
            { hostname: "node-1" },
        ]);
        assert_eq!(shown(&node(&wrong).remove()), json!([{ GUARDED_BY: null }, {}]));
    }

    /// The guards of a node with these annotations and labels.
    fn node(keys: &Value) -> Guards {
        let read = |keys: &Value| serde_json::from_value(keys.clone()).unwrap();
        Guards::of(Some(&read(&keys[0])), Some(&read(&keys[1])))
    }

    /// The guards of a node that had these annotations and labels, after a patch.
    fn after(patch: &GuardPatch, mut keys: Value) -> Guards {
        for (index, set) in [&patch.annotations, &patch.labels].into_iter().enumerate() {
            keys[index].as_object_mut().unwrap().extend(set.clone());
        }
        node(&keys)
    }

    fn shown(patch: &GuardPatch) -> Value {
        json!([patch.annotations, patch.labels])
    }
}
