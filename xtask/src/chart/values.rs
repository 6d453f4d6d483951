//! The values of the chart, by `values.schema.json`: where each comes from, and its default.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value as Json};

use super::document::{Document, Place};
use crate::reference::Reference;

/// One value.
#[derive(Debug)]
pub(crate) struct Value {
    /// The keys that lead to it.
    path: Vec<String>,
    /// Its meaning.
    description: String,
    /// The value unless a user sets another; none for a group of values.
    default: Option<Json>,
    /// Its use.
    pub(crate) role: Role,
}

/// The use of a value in the templates.
#[derive(Debug)]
pub(crate) enum Role {
    /// Holds other values.
    Group,
    /// Stands at these places.
    At(Vec<Place>),
    /// Is appended to the list, or adds keys to the map, at these places.
    AppendedTo(Vec<Place>),
    /// Repository, tag and digest, joined at this place.
    Image(Place),
    /// True: all objects of these kinds are there.
    Wraps(Vec<String>),
    /// True: what this overlay adds to the base is there.
    Overlay(String),
}

impl Value {
    /// Its name in templates and for `--set`.
    pub(crate) fn dotted(&self) -> String {
        self.path.join(".")
    }

    pub(crate) fn overlay(&self) -> Option<&str> {
        match &self.role {
            Role::Overlay(folder) => Some(folder),
            Role::Group | Role::At(_) | Role::AppendedTo(_) | Role::Image(_) | Role::Wraps(_) => None,
        }
    }
}

/// Reads the schema; defaults come from `objects`: what the base renders, and what overlays add to it.
pub(crate) fn from_schema(schema: &str, objects: &[Document]) -> Result<Vec<Value>> {
    let root = parse(schema)?;
    let mut reader = Reader {
        root: &root,
        objects,
        values: Vec::new(),
    };
    reader.properties(&root, &[], None)?;
    Ok(reader.values)
}

/// The folders that the schema names as `x-overlay`. Read before the values, since other values may stand
/// in objects that these overlays add.
pub(crate) fn overlays(schema: &str) -> Result<BTreeSet<String>> {
    fn collect(node: &Json, folders: &mut BTreeSet<String>) {
        match node {
            Json::Object(map) => {
                folders.extend(map.get("x-overlay").and_then(Json::as_str).map(str::to_owned));
                map.values().for_each(|child| collect(child, folders));
            }
            Json::Array(list) => list.iter().for_each(|child| collect(child, folders)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
    let mut folders = BTreeSet::new();
    collect(&parse(schema)?, &mut folders);
    Ok(folders)
}

fn parse(schema: &str) -> Result<Json> {
    serde_json::from_str(schema).context("values.schema.json is no JSON")
}

struct Reader<'a> {
    root: &'a Json,
    objects: &'a [Document],
    values: Vec<Value>,
}

impl Reader<'_> {
    fn properties(&mut self, node: &Json, path: &[String], workload: Option<&str>) -> Result<()> {
        let properties = node.get("properties").and_then(Json::as_object);
        for (key, node) in properties.into_iter().flatten() {
            let path = [path, std::slice::from_ref(key)].concat();
            // Helm itself puts it into every chart.
            if path == ["global"] {
                continue;
            }
            let node = self.resolved(node)?;
            let value = self
                .value(&node, &path, workload)
                .with_context(|| format!("value {} in values.schema.json", path.join(".")))?;
            let is_group = matches!(value.role, Role::Group);
            self.values.push(value);
            if is_group {
                let workload = node.get("x-workload").and_then(Json::as_str).or(workload);
                self.properties(&node, &path, workload)?;
            }
        }
        Ok(())
    }

    fn resolved(&self, node: &Json) -> Result<Json> {
        match node.get("$ref").and_then(Json::as_str) {
            None => Ok(node.clone()),
            Some(reference) => {
                let pointer = reference.trim_start_matches('#');
                let found = self.root.pointer(pointer);
                found.cloned().with_context(|| format!("there is no {reference}"))
            }
        }
    }

    fn value(&self, node: &Json, path: &[String], workload: Option<&str>) -> Result<Value> {
        let place = |text: &Json| Place::parse(text.as_str().context("a place is a text")?, workload);
        let places = |key| match node.get(key).and_then(Json::as_array) {
            None => Ok(None),
            Some(list) => list.iter().map(place).collect::<Result<Vec<_>>>().map(Some),
        };
        let own_default = node.get("default").cloned();
        let (role, default) = if let Some(places) = places("x-from")? {
            let default = self.common(&places)?.or(own_default);
            (
                Role::At(places),
                Some(default.context("nothing stands there, so the value needs a default")?),
            )
        } else if let Some(places) = places("x-append")? {
            for place in &places {
                place.find(self.objects)?;
            }
            (Role::AppendedTo(places), own_default)
        } else if let Some(text) = node.get("x-image") {
            let place = place(text)?;
            let image = place
                .find(self.objects)?
                .and_then(Json::as_str)
                .context("there is no image")?;
            let default = image_parts(image)?;
            (Role::Image(place), Some(default))
        } else if let Some(kinds) = node.get("x-wraps") {
            (Role::Wraps(serde_json::from_value(kinds.clone())?), own_default)
        } else if let Some(folder) = node.get("x-overlay").and_then(Json::as_str) {
            (Role::Overlay(folder.to_owned()), own_default)
        } else if node.get("properties").is_some() {
            (Role::Group, None)
        } else {
            bail!("the value has neither a place nor values of its own");
        };
        let description = node.get("description").and_then(Json::as_str);
        Ok(Value {
            path: path.to_vec(),
            description: description.unwrap_or_default().to_owned(),
            default,
            role,
        })
    }

    /// The value that stands at all of the places.
    fn common(&self, places: &[Place]) -> Result<Option<Json>> {
        let mut found = places.iter().map(|place| place.find(self.objects));
        let first = found.next().context("x-from is empty")??;
        for other in found {
            if other? != first {
                bail!("its places differ");
            }
        }
        Ok(first.cloned())
    }
}

fn image_parts(image: &str) -> Result<Json> {
    let parsed: Reference = image.parse().map_err(|problem| anyhow!("image {image:?}: {problem}"))?;
    let tag = parsed.tag.with_context(|| format!("image {image:?} has no tag"))?;
    let digest = parsed.digest.unwrap_or_default();
    Ok(serde_json::json!({ "repository": parsed.repository, "tag": tag, "digest": digest }))
}

/// `values.yaml`: each value with its meaning and its default.
pub(crate) fn file(values: &[Value]) -> Result<String> {
    let mut text = "# Made by `cargo xtask chart`: the defaults are those of deploy/base.\n".to_owned();
    for value in values {
        let Some((key, above)) = value.path.split_last() else {
            continue;
        };
        let indent = "  ".repeat(above.len());
        if above.is_empty() {
            text.push('\n');
        }
        for line in wrapped(&value.description, 96 - indent.len()) {
            text.push_str(&format!("{indent}# {line}\n"));
        }
        let below = match &value.default {
            None => String::new(),
            Some(default) => yaml_below(default)?,
        };
        text.push_str(&format!(
            "{indent}{key}:{}\n",
            below.replace('\n', &format!("\n{indent}"))
        ));
    }
    Ok(text)
}

/// The text after a key's colon: on the same line, or indented below.
fn yaml_below(value: &Json) -> Result<String> {
    let is_block = match value {
        Json::Object(map) => map != &Map::new(),
        Json::Array(list) => !list.is_empty(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    };
    if !is_block {
        return Ok(format!(" {value}"));
    }
    let text = serde_saphyr::to_string(value).context("this cannot be written as YAML")?;
    Ok(text.trim_end().lines().map(|line| format!("\n  {line}")).collect())
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SCHEMA: &str = r##"{ "properties": {
        "secrets": { "default": [], "x-from": ["Deployment/a#/spec/secrets", "StatefulSet/b#/spec/secrets"] },
        "extra": { "properties": {
            "enabled": { "default": false, "x-overlay": "some/folder" },
            "size": { "x-from": ["StatefulSet/b#/spec/size"] }
        } }
    } }"##;

    #[test]
    fn a_value_may_stand_in_what_an_overlay_adds() {
        assert_eq!(overlays(SCHEMA).unwrap(), BTreeSet::from(["some/folder".to_owned()]));
        let object =
            |kind, name| Document(json!({ "kind": kind, "metadata": { "name": name }, "spec": { "size": 3 } }));
        let objects = [object("Deployment", "a"), object("StatefulSet", "b")];
        let values = from_schema(SCHEMA, &objects).unwrap();
        let default = |name: &str| {
            values
                .iter()
                .find(|value| value.dotted() == name)
                .unwrap()
                .default
                .clone()
        };
        assert_eq!(default("extra.size"), Some(json!(3)));
        assert_eq!(default("secrets"), Some(json!([])));
        assert!(from_schema(SCHEMA, &objects[..1]).is_err(), "a place that is not there");
    }
}
