//! One Kubernetes object of a rendered set. It knows names and places, nothing of Helm.

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

/// The generated ConfigMap; kustomize appends a hash of its content.
pub(super) const SETTINGS: &str = "bellwether-settings-";

/// A rendered object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document(pub(crate) Json);

/// Reads a stream of YAML documents; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Document>> {
    let documents: Vec<Json> = serde_saphyr::from_multiple(text).context("this is no YAML")?;
    Ok(documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(Document)
        .collect())
}

impl Document {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Kind, namespace and name: what makes it one object.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.kind(), self.text("/metadata/namespace"), self.name())
    }

    /// Whether both are the same object. The name of generated settings ends with a hash of their content.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let stable = |it: &Self| match it.name().starts_with(SETTINGS) {
            true => (it.kind().to_owned(), it.text("/metadata/namespace").to_owned()),
            false => (it.id(), String::new()),
        };
        stable(self) == stable(other)
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    /// Puts `value` at `pointer`; makes the maps on the way there.
    pub(crate) fn set(&mut self, pointer: &str, value: Json) -> Result<()> {
        let mut here = &mut self.0;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            here = match here {
                Json::Array(list) => {
                    let index: usize = step.parse().with_context(|| format!("{step:?} is no index"))?;
                    list.get_mut(index).with_context(|| format!("there is no {pointer}"))?
                }
                Json::Object(map) => map.entry(step).or_insert_with(|| Json::Object(serde_json::Map::new())),
                Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
                    bail!("{pointer} leads into a scalar")
                }
            };
        }
        *here = value;
        Ok(())
    }
}

/// A place in the set: `Kind/name#/json/pointer`; a name may end with `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    kind: String,
    name: String,
    pub(crate) pointer: String,
}

impl Place {
    /// Reads a place; one that begins with `#` belongs to `workload`.
    pub(crate) fn parse(text: &str, workload: Option<&str>) -> Result<Self> {
        let (object, pointer) = text.split_once('#').with_context(|| format!("{text:?} has no #"))?;
        let object = if object.is_empty() {
            workload.with_context(|| format!("{text:?} stands outside of an x-workload"))?
        } else {
            object
        };
        let (kind, name) = object
            .split_once('/')
            .with_context(|| format!("{object:?} is no Kind/name"))?;
        Ok(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            pointer: pointer.to_owned(),
        })
    }

    pub(crate) fn matches(&self, document: &Document) -> bool {
        let named = match self.name.strip_suffix('*') {
            Some(prefix) => document.name().starts_with(prefix),
            None => document.name() == self.name,
        };
        named && document.kind() == self.kind
    }

    /// The value at the place, in each object that matches.
    pub(crate) fn find<'a>(&self, documents: &'a [Document]) -> Result<Option<&'a Json>> {
        let mut matching = documents.iter().filter(|document| self.matches(document)).peekable();
        if matching.peek().is_none() {
            bail!("neither deploy/base nor an x-overlay has {}/{}", self.kind, self.name);
        }
        let mut found = matching.map(|document| document.0.pointer(&self.pointer));
        let first = found.next().flatten();
        if found.any(|other| other != first) {
            bail!("{}/{} differ at {}", self.kind, self.name, self.pointer);
        }
        Ok(first)
    }
}
