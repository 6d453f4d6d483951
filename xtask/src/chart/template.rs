//! The templates: the base with an expression at the place of each value.

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use super::document::{Document, SETTINGS};
use super::values::{Role, Value};
use super::{Difference, Switch};

/// Label whose value is the tool's name.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Annotation of an object that Helm leaves in the cluster, with its value.
const KEPT: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// All objects in one file: those of the base, then those that overlays add. Where an overlay changes an object of the base,
/// its value chooses between the two.
pub(crate) fn file(base: &[Document], switches: &[Switch<'_>], values: &[Value]) -> Result<String> {
    let mut text = "# Made from deploy/base by `cargo xtask chart`.\n".to_owned();
    for document in base {
        let plain = one(document, None, values, None)?;
        let changes: Vec<(&Switch<'_>, &Document)> = switches
            .iter()
            .flat_map(|switch| switch.difference.changed.iter().map(move |it| (switch, it)))
            .filter(|(_, changed)| changed.is(document))
            .collect();
        match changes.as_slice() {
            [] => text.push_str(&plain),
            [(switch, changed)] => {
                let changed = one(changed, Some(document), values, None)?;
                let value = switch.value.dotted();
                text.push_str(&format!(
                    "{{{{- if .Values.{value} }}}}\n{changed}{{{{- else }}}}\n{plain}{{{{- end }}}}\n"
                ));
            }
            [(one, _), (other, _), ..] => bail!(
                "{} and {} both change {}: the chart could render one of the changes only",
                one.name,
                other.name,
                document.id()
            ),
        }
    }
    for switch in switches {
        for document in &switch.difference.added {
            text.push_str(&one(document, None, values, Some(switch.value))?);
        }
    }
    Ok(text)
}

/// How an overlay differs from the base.
pub(crate) fn difference(base: &[Document], overlay: &[Document]) -> Difference {
    let mut difference = Difference {
        added: Vec::new(),
        changed: Vec::new(),
    };
    for document in overlay {
        match base.iter().find(|other| other.is(document)) {
            None => difference.added.push(document.clone()),
            // The name of the settings follows them: what refers to it is the same object.
            Some(same) if unnamed(&same.0) == unnamed(&document.0) => {}
            Some(_) => difference.changed.push(document.clone()),
        }
    }
    difference
}

/// Without the hash in the name of the settings.
fn unnamed(json: &Json) -> Json {
    match json {
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), unnamed(value))).collect(),
        Json::Array(list) => list.iter().map(unnamed).collect(),
        Json::String(text) if text.starts_with(SETTINGS) => Json::from(SETTINGS),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => json.clone(),
    }
}

/// One object. `base` is the same object where it is another one in the base; `on` is the value without which it is not there.
fn one(document: &Document, base: Option<&Document>, values: &[Value], on: Option<&Value>) -> Result<String> {
    keeps_definition(document)?;
    let mut expressions = Expressions(Vec::new());
    let mut document = document.clone();
    // First, since a map that a value adds to is planted as a whole.
    brand(&mut document.0);
    for value in values {
        plant(&mut document, base, value, &mut expressions).with_context(|| format!("value {}", value.dotted()))?;
    }
    // Last, since values find their objects by name.
    rename(&mut document.0, &mut expressions);
    let yaml = serde_saphyr::to_string(&document.0).context("this cannot be written as YAML")?;
    let body = expressions.expand(&yaml);
    let wraps = values.iter().filter(|value| match &value.role {
        Role::Wraps(kinds) => kinds.iter().any(|kind| kind == document.kind()),
        Role::Group | Role::At(_) | Role::AppendedTo(_) | Role::Image(_) | Role::Overlay(_) => false,
    });
    let conditions: Vec<String> = wraps
        .chain(on)
        .map(|value| format!(".Values.{}", value.dotted()))
        .collect();
    Ok(match conditions.as_slice() {
        [] => format!("---\n{body}"),
        [only] => format!("{{{{- if {only} }}}}\n---\n{body}{{{{- end }}}}\n"),
        all => format!("{{{{- if and {} }}}}\n---\n{body}{{{{- end }}}}\n", all.join(" ")),
    })
}

/// A definition is a template, since Helm never upgrades the folder `crds/` of a chart. But with a definition all
/// objects of its kind are deleted, so Helm has to leave the definition where it is.
fn keeps_definition(document: &Document) -> Result<()> {
    let (annotation, value) = KEPT;
    let annotations = document.0.pointer("/metadata/annotations");
    let found = annotations.and_then(|annotations| annotations.get(annotation));
    if document.kind() == "CustomResourceDefinition" && found.and_then(Json::as_str) != Some(value) {
        bail!(
            "{}: Helm would delete the definition, and with it all objects of its kind: annotate it with {annotation}: {value}",
            document.id()
        );
    }
    Ok(())
}

/// Puts the expression of `value` where it belongs in this object, if it does.
fn plant(document: &mut Document, base: Option<&Document>, value: &Value, expressions: &mut Expressions) -> Result<()> {
    let path = format!(".Values.{}", value.dotted());
    match &value.role {
        Role::At(places) => {
            for place in places {
                if place.matches(document) {
                    let all = match base {
                        None => path.clone(),
                        Some(base) => forced(document, base, &place.pointer, &path)?,
                    };
                    let token = expressions.token(format!("{{{{ {all} | toJson }}}}"));
                    document.set(&place.pointer, token)?;
                }
            }
        }
        Role::AppendedTo(places) => {
            for place in places {
                if !place.matches(document) {
                    continue;
                }
                let all = match document.0.pointer(&place.pointer) {
                    None => path.clone(),
                    Some(there) if there.to_string().contains('`') => {
                        bail!("a backtick at {} would end the expression", place.pointer)
                    }
                    // Our own keys win.
                    Some(there) if there.is_object() => format!("merge (fromJson `{there}`) {path}"),
                    Some(there) => format!("concat (fromJsonArray `{there}`) {path}"),
                };
                let token = expressions.token(format!("{{{{ {all} | toJson }}}}"));
                document.set(&place.pointer, token)?;
            }
        }
        Role::Image(place) if place.matches(document) => {
            let token = expressions.token(format!(
                "{{{{ with {path} }}}}\"{{{{ .repository }}}}{{{{ if .digest }}}}@{{{{ .digest }}}}\
                 {{{{ else }}}}:{{{{ .tag }}}}{{{{ end }}}}\"{{{{ end }}}}"
            ));
            document.set(&place.pointer, token)?;
        }
        Role::Image(_) | Role::Group | Role::Wraps(_) | Role::Overlay(_) => {}
    }
    Ok(())
}

/// The expression for a place where the value's default is that of the base. What an overlay sets in a map there counts
/// whatever the value has; anything else in its way is an error, since the overlay or the value would be lost.
fn forced(document: &Document, base: &Document, pointer: &str, path: &str) -> Result<String> {
    match (document.0.pointer(pointer), base.0.pointer(pointer)) {
        (there, other) if there == other => Ok(path.to_owned()),
        (Some(Json::Object(there)), Some(Json::Object(other))) => {
            if let Some(lost) = other.keys().find(|key| !there.contains_key(*key)) {
                bail!("an overlay removes {lost} at {pointer} of {}", document.id());
            }
            let set = there.iter().filter(|(key, value)| other.get(*key) != Some(value));
            let set: Json = set.map(|(key, value)| (key.clone(), value.clone())).collect();
            Ok(format!("merge (fromJson `{set}`) {path}"))
        }
        _ => bail!("an overlay and a value both set {pointer} of {}", document.id()),
    }
}

/// Puts Helm into the label of the tool.
fn brand(json: &mut Json) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                if key == MANAGED_BY {
                    *value = Json::from("Helm");
                } else {
                    brand(value);
                }
            }
        }
        Json::Array(list) => list.iter_mut().for_each(brand),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// The name of the settings ends with a hash of their values.
fn rename(json: &mut Json, expressions: &mut Expressions) {
    match json {
        Json::Object(map) => map.values_mut().for_each(|value| rename(value, expressions)),
        Json::Array(list) => list.iter_mut().for_each(|item| rename(item, expressions)),
        Json::String(text) if text.starts_with(SETTINGS) => {
            let hash = "{{ .Values.settings | toJson | sha256sum | trunc 10 }}";
            *json = expressions.token(format!("{SETTINGS}{hash}"));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Expressions that stand as tokens in the object until it is text: YAML would quote them.
struct Expressions(Vec<String>);

impl Expressions {
    fn token(&mut self, expression: String) -> Json {
        self.0.push(expression);
        Json::from(token(self.0.len() - 1))
    }

    fn expand(&self, yaml: &str) -> String {
        // Double braces of the base itself (alerts have some) are meant literally.
        let literal = yaml.replace("{{", "{{ \"{{\" }}");
        let tokens = self.0.iter().enumerate();
        tokens.fold(literal, |text, (index, expression)| {
            text.replace(&token(index), expression)
        })
    }
}

/// Closed at both ends, so that token 1 is no part of token 12.
fn token(index: usize) -> String {
    format!("xtaskChart{index}Expression")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(hash: &str, data: Json) -> Document {
        let name = format!("{SETTINGS}{hash}");
        Document(json!({ "kind": "ConfigMap", "metadata": { "name": name, "namespace": "a" }, "data": data }))
    }

    #[test]
    fn an_overlay_differs_by_content_and_not_by_the_hash_in_a_name() {
        let user = |hash: &str| {
            let name = format!("{SETTINGS}{hash}");
            Document(json!({ "kind": "Deployment", "metadata": { "name": "a" }, "settings": name }))
        };
        let base = [settings("1", json!({ "URL": "a" })), user("1")];
        let new = Document(json!({ "kind": "Secret", "metadata": { "name": "a" } }));
        let overlay = [settings("2", json!({ "URL": "b" })), user("2"), new.clone()];
        let difference = difference(&base, &overlay);
        assert_eq!(difference.added, [new]);
        assert_eq!(difference.changed, [settings("2", json!({ "URL": "b" }))]);
    }

    #[test]
    fn what_an_overlay_sets_in_a_map_counts_whatever_the_value_has() {
        let base = settings("1", json!({ "URL": "a", "LOG": "info" }));
        let forced = |data| forced(&settings("2", data), &base, "/data", ".Values.settings");
        let same = forced(json!({ "URL": "a", "LOG": "info" })).unwrap();
        assert_eq!(same, ".Values.settings");
        let more = forced(json!({ "URL": "b", "LOG": "info", "TOKEN": "c" })).unwrap();
        assert_eq!(more, r#"merge (fromJson `{"TOKEN":"c","URL":"b"}`) .Values.settings"#);
        let lost = forced(json!({ "URL": "b" })).unwrap_err().to_string();
        assert!(lost.contains("removes LOG"), "{lost}");
        let scalar = forced(json!("a")).unwrap_err().to_string();
        assert!(scalar.contains("both set /data"), "{scalar}");
    }

    #[test]
    fn a_definition_that_helm_would_delete_is_refused() {
        let object = |kind: &str, annotations: &Json| {
            Document(json!({ "kind": kind, "metadata": { "name": "a", "annotations": annotations } }))
        };
        let definition = "CustomResourceDefinition";
        let kept = json!({ "helm.sh/resource-policy": "keep" });
        assert!(keeps_definition(&object(definition, &kept)).is_ok());
        assert!(keeps_definition(&object("Deployment", &json!({}))).is_ok());
        let error = keeps_definition(&object(definition, &json!({}))).unwrap_err();
        assert!(error.to_string().contains("helm.sh/resource-policy: keep"), "{error}");
    }
}
