//! The templates: the base with an expression at the place of each value.

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

use super::Switch;
use super::document::Document;
use super::values::{Role, Value};

/// Label whose value is the tool's name.
pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Annotation of an object that Helm leaves in the cluster, with its value.
const KEPT: (&str, &str) = ("helm.sh/resource-policy", "keep");
/// The generated ConfigMap; kustomize appends a hash of its content.
pub(super) const SETTINGS: &str = "bellwether-settings-";

/// All objects in one file: those of the base, then those that overlays add.
pub(crate) fn file(base: &[Document], switches: &[Switch<'_>], values: &[Value]) -> Result<String> {
    let mut text = "# Made from deploy/base by `cargo xtask chart`.\n".to_owned();
    for document in base {
        text.push_str(&one(document, values, None)?);
    }
    for switch in switches {
        for document in switch.added {
            text.push_str(&one(document, values, Some(switch.value))?);
        }
    }
    Ok(text)
}

/// The objects that an overlay adds to the base. An overlay that changes the base is an error: no value
/// could switch that.
pub(crate) fn added(base: &[Document], folder: &str, overlay: &[Document]) -> Result<Vec<Document>> {
    let mut added = Vec::new();
    for document in overlay {
        match base.iter().find(|other| other.id() == document.id()) {
            None => added.push(document.clone()),
            Some(same) if same == document => {}
            Some(_) => bail!(
                "{folder} changes {}: a value of the chart can only add objects",
                document.id()
            ),
        }
    }
    Ok(added)
}

fn one(document: &Document, values: &[Value], on: Option<&Value>) -> Result<String> {
    keeps_definition(document)?;
    let mut expressions = Expressions(Vec::new());
    let mut document = document.clone();
    // First, since a map that a value adds to is planted as a whole.
    brand(&mut document.0);
    for value in values {
        plant(&mut document, value, &mut expressions).with_context(|| format!("value {}", value.dotted()))?;
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
fn plant(document: &mut Document, value: &Value, expressions: &mut Expressions) -> Result<()> {
    let path = format!(".Values.{}", value.dotted());
    match &value.role {
        Role::At(places) => {
            for place in places {
                if place.matches(document) {
                    let token = expressions.token(format!("{{{{ {path} | toJson }}}}"));
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
