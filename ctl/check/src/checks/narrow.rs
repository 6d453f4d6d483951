//! The component `narrow-rights`: whether its admission policies are in the cluster, as this version has them.
//!
//! A policy with other rules may refuse what a newer drainer writes, or let through what an attacker writes. So their
//! rules are compared with the manifests, which are part of this library.

use serde_json::Value;

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Severity, Topic};

pub(crate) const CHECK: Check = Check {
    name: "narrow rights",
    needs_kubernetes: true,
    find: findings,
};

/// The policies of `deploy/components/narrow-rights`, each with its binding.
const MANIFESTS: [&str; 5] = [
    include_str!("../../../../deploy/components/narrow-rights/drainer-nodes.yaml"),
    include_str!("../../../../deploy/components/narrow-rights/drainer-pods.yaml"),
    include_str!("../../../../deploy/components/narrow-rights/scheduler-events.yaml"),
    include_str!("../../../../deploy/components/narrow-rights/scheduler-leases.yaml"),
    include_str!("../../../../deploy/components/narrow-rights/scheduler-nodes.yaml"),
];

/// The variables that belong to the user.
const OF_USER: [&str; 2] = ["keptNamespaces", "operatorLabels"];

const SUBJECT: &str = "rights narrower than RBAC";
const REMEDY: &str = "apply deploy/components/narrow-rights of this version with your overlay: deploy/README.md";

fn findings(facts: &Facts) -> Vec<Finding> {
    if facts.policies.failure.is_some() {
        // Reported as facts that could not be read.
        return vec![];
    }
    let (found, mut wrong) = (&facts.policies.objects, Vec::new());
    let shipped = shipped();
    let mut missing = 0;
    for wanted in &shipped {
        let (kind, name) = (text(wanted, "/kind"), text(wanted, "/metadata/name"));
        let same = |it: &&Value| text(it, "/kind") == kind && text(it, "/metadata/name") == name;
        match found.iter().map(|it| &it.0).find(same) {
            None => {
                missing += 1;
                wrong.push(format!("{kind} {name} is missing"));
            }
            Some(found) => {
                wrong.extend(difference(wanted, found).map(|place| format!("{kind} {name} differs at {place}")))
            }
        }
    }
    if missing == shipped.len() {
        let found =
            "not installed: with the drainer's token every label, annotation and taint of a node can be changed";
        let code = Code::RightsNotNarrowed;
        return vec![Topic::Rights.finding(Severity::Ok, code, SUBJECT, found, Some(REMEDY.to_owned()))];
    }
    if wrong.is_empty() {
        return vec![Topic::Rights.ok(SUBJECT, "enforced by admission policies, as in this version")];
    }
    vec![Topic::Rights.warning(Code::NarrowRightsDiffer, SUBJECT, wrong.join("; "), REMEDY)]
}

/// The objects of the component. A unit test reads them all.
fn shipped() -> Vec<Value> {
    let documents = MANIFESTS.into_iter().flat_map(|text| text.split("\n---\n"));
    let read = |text: &str| serde_saphyr::from_str::<Value>(text).ok();
    documents.filter_map(read).collect()
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The first place at which the spec of an object is not the one that we ship.
fn difference(wanted: &Value, found: &Value) -> Option<String> {
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    differs(&spec(wanted), &spec(found), "spec")
}

fn differs(wanted: &Value, found: &Value, place: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => {
            let name = wanted.get("name").and_then(Value::as_str);
            if name.is_some_and(|name| OF_USER.contains(&name)) && found.get("name") == wanted.get("name") {
                return None;
            }
            let here = |key: &String| format!("{place}.{key}");
            let mut places = wanted.iter().filter_map(|(key, wanted)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                differs(wanted, found, &here(key))
            });
            let mut more = found
                .iter()
                .filter(|(key, value)| !wanted.contains_key(*key) && !is_default(value));
            places.next().or_else(|| more.next().map(|(key, _)| here(key)))
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.find_map(|(index, (wanted, found))| differs(wanted, found, &format!("{place}[{index}]")))
        }
        (wanted, found) => (wanted != found).then(|| place.to_owned()),
    }
}

/// What the API server adds to a policy: none of it leaves a request out.
fn is_default(value: &Value) -> bool {
    value.as_object().is_some_and(serde_json::Map::is_empty) || value == "*" || value == "Equivalent"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::AdmissionObject;
    use crate::failure::Failure;

    /// The only finding about these objects.
    fn finding(objects: Vec<Value>) -> Finding {
        let mut facts = crate::testing::facts();
        facts.policies.objects = objects.into_iter().map(AdmissionObject).collect();
        let mut findings = findings(&facts);
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings.remove(0)
    }

    /// As the API server returns them.
    fn installed() -> Vec<Value> {
        let mut objects = shipped();
        for object in &mut objects {
            object["metadata"]["uid"] = json!("u");
            if object["kind"] == "ValidatingAdmissionPolicy" {
                let constraints = &mut object["spec"]["matchConstraints"];
                constraints["matchPolicy"] = json!("Equivalent");
                constraints["namespaceSelector"] = json!({});
                constraints["resourceRules"][0]["scope"] = json!("*");
                object["status"] = json!({ "observedGeneration": 1 });
            }
        }
        objects
    }

    #[test]
    fn all_objects_of_the_component_are_known() {
        let names = shipped();
        let names: Vec<_> = names
            .iter()
            .map(|it| (text(it, "/kind"), text(it, "/metadata/name")))
            .collect();
        assert_eq!(names.len(), 2 * MANIFESTS.len(), "{names:?}");
        for pair in names.chunks(2) {
            assert_eq!(pair[0].1, pair[1].1);
            assert_eq!(format!("{}Binding", pair[0].0), pair[1].0);
        }
    }

    #[test]
    fn the_component_of_this_version_is_in_order_whatever_namespaces_are_kept() {
        assert_eq!(finding(installed()).code, Code::InOrder);
        let mut objects = installed();
        for name in OF_USER {
            let variable = objects
                .iter_mut()
                .find_map(|it| it.pointer_mut("/spec/variables/0").filter(|it| it["name"] == name));
            variable.unwrap()["expression"] = json!("['ledger']");
        }
        assert_eq!(finding(objects).code, Code::InOrder);
    }

    #[test]
    fn a_cluster_without_the_component_is_named_and_no_fault() {
        let finding = finding(vec![
            json!({ "kind": "ValidatingAdmissionPolicy", "metadata": { "name": "other" } }),
        ]);
        assert_eq!(
            (finding.severity, finding.code),
            (Severity::Ok, Code::RightsNotNarrowed)
        );
    }

    #[test]
    fn whatever_lets_more_through_is_named() {
        let changes: [(usize, &str, Value); 8] = [
            (0, "/spec/failurePolicy", json!("Ignore")),
            (0, "/spec/validations/0/expression", json!("true")),
            (0, "/spec/validations", json!([])),
            (0, "/spec/matchConditions/0/expression", json!("false")),
            (
                0,
                "/spec/matchConstraints/namespaceSelector",
                json!({ "matchLabels": { "a": "b" } }),
            ),
            (2, "/spec/variables/1/expression", json!("{}")),
            (1, "/spec/validationActions", json!(["Warn"])),
            (
                1,
                "/spec/matchResources",
                json!({ "objectSelector": { "matchLabels": { "a": "b" } } }),
            ),
        ];
        for (index, pointer, value) in changes {
            let mut objects = installed();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            objects[index].pointer_mut(parent).unwrap()[key] = value;
            let finding = finding(objects);
            assert_eq!(
                (finding.severity, finding.code),
                (Severity::Warning, Code::NarrowRightsDiffer),
                "{pointer}"
            );
        }
        let mut objects = installed();
        objects.remove(3);
        let finding = finding(objects);
        assert_eq!(finding.code, Code::NarrowRightsDiffer);
        let missing = "ValidatingAdmissionPolicyBinding bellwether-drainer-pods is missing";
        assert_eq!(finding.found, missing);
    }

    #[test]
    fn what_could_not_be_read_is_not_called_missing() {
        let mut facts = crate::testing::facts();
        facts.policies.failure = Some(Failure::forbidden("no"));
        assert_eq!(findings(&facts), vec![]);
    }
}
