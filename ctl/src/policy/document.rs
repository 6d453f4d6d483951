//! The policies in a file: YAML or JSON, one or several documents, lists too.

use anyhow::{Context as _, bail};
use bellwether_policy::{GROUP, KIND, RebootPolicy, VERSION};
use serde_json::Value;

/// The objects of the kind RebootPolicy in a text. Other objects are passed over, since overlays have both.
///
/// # Errors
/// The text is no YAML, or a policy has no name or another version.
pub(crate) fn policies(text: &str) -> anyhow::Result<Vec<RebootPolicy>> {
    let mut policies = Vec::new();
    for object in objects(text)? {
        policies.extend(policy(&object)?);
    }
    Ok(policies)
}

/// All objects of a text, those of lists one by one.
///
/// # Errors
/// The text is no YAML.
pub(crate) fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("this is no YAML")?;
    let mut objects = Vec::new();
    for mut document in documents {
        match document.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => objects.extend(items),
            Some(_) | None => objects.push(document),
        }
    }
    Ok(objects)
}

/// An object as a policy; none if it is of another kind.
pub(crate) fn policy(object: &Value) -> anyhow::Result<Option<RebootPolicy>> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/kind") != KIND {
        return Ok(None);
    }
    let name = text("/metadata/name");
    if name.is_empty() {
        bail!("metadata.name: a {KIND} has no name");
    }
    let (version, expected) = (text("/apiVersion"), format!("{GROUP}/{VERSION}"));
    if version != expected {
        bail!("apiVersion: {name} is of `{version}`, and this command knows {expected}");
    }
    let spec = object.get("spec").unwrap_or(&Value::Null);
    Ok(Some(RebootPolicy::read(name.into(), spec)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: bellwether.dev/v1alpha1\nkind: RebootPolicy\nmetadata: { name: nights }\n";

    fn names(text: &str) -> Vec<String> {
        let policies = policies(text).unwrap();
        policies.into_iter().map(|policy| policy.name.to_string()).collect()
    }

    #[test]
    fn policies_of_several_documents_and_of_lists_are_found_among_other_objects() {
        let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: other }\n";
        let list = r#"{ "kind": "List", "items": [
            { "apiVersion": "bellwether.dev/v1alpha1", "kind": "RebootPolicy", "metadata": { "name": "days" }, "spec": {} }
        ] }"#;
        let text = format!("{HEAD}spec: {{}}\n---\n{other}---\n{list}\n");
        assert_eq!(names(&text), ["nights", "days"]);
        assert_eq!(names(other), Vec::<String>::new());
    }

    #[test]
    fn a_policy_without_a_spec_has_a_mistake_and_one_without_a_name_is_refused() {
        assert!(policies(HEAD).unwrap()[0].terms.is_err());
        let error = |text: &str| policies(text).unwrap_err().to_string();
        let nameless = HEAD.replace("{ name: nights }", "{}");
        assert!(error(&nameless).starts_with("metadata.name: "), "{}", error(&nameless));
        let newer = HEAD.replace("v1alpha1", "v2");
        assert!(error(&newer).contains("bellwether.dev/v1alpha1"), "{}", error(&newer));
        assert_eq!(error("a: [b"), "this is no YAML");
    }
}
