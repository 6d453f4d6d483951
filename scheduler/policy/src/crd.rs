//! The CustomResourceDefinition of `RebootPolicy`, made from the types.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::spec::RebootPolicySpec;
use crate::status::RebootPolicyStatus;
use crate::{GROUP, KIND, PLURAL, VERSION};

/// The definition, ready to be written as YAML.
#[must_use]
pub fn definition() -> Value {
    let column = |name: &str, kind: &str, path: &str, description: &str| json!({ "name": name, "type": kind, "jsonPath": path, "description": description });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{PLURAL}.{GROUP}"),
            "labels": { "app.kubernetes.io/name": "bellwether" },
        },
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": ["rp"],
                "categories": ["bellwether"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": [
                    column("Priority", "integer", ".spec.priority", "The greater number goes first"),
                    column("Accepted", "string", ".status.conditions[?(@.type=='Accepted')].status", "The scheduler acts by this policy"),
                    column("Open", "boolean", ".status.window.open", "Nodes may start now"),
                    column("Until", "string", ".status.window.until", "When that changes"),
                    column("Nodes", "integer", ".status.nodes.governed", "Nodes that this policy governs"),
                    column("Waiting", "integer", ".status.nodes.waiting", "Nodes that need a reboot and wait"),
                    column("Running", "integer", ".status.nodes.inProgress", "Nodes with a running attempt"),
                    column("Failed", "integer", ".status.nodes.failed", "Nodes whose failed attempt holds a slot"),
                ],
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "description": "Says when nodes may reboot. Of several policies for a node the one with the highest priority governs the node; without any policy in the cluster the scheduler's flags alone count, at any time.",
                    "required": ["spec"],
                    "properties": {
                        "apiVersion": { "type": "string" },
                        "kind": { "type": "string" },
                        "metadata": { "type": "object", "properties": { "name": { "type": "string", "maxLength": 63 } } },
                        "spec": schema::<RebootPolicySpec>(),
                        "status": schema::<RebootPolicyStatus>(),
                    },
                } },
            }],
        },
    })
}

/// The structural schema of a type.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    Structural.transform(&mut schema);
    schema.to_value()
}

/// What the API server wants otherwise than schemars writes.
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut Schema) {
        // An absent field is no null: nothing that serde writes is one.
        for key in ["title", "nullable"] {
            schema.remove(key);
        }
        if schema
            .get("default")
            .is_some_and(|default| default.is_null() || *default == json!([]))
        {
            schema.remove("default");
        }
        // Additional properties are refused by the scheduler and pruned by the API server.
        if schema.get("additionalProperties") == Some(&json!(false)) {
            schema.remove("additionalProperties");
        }
        // A closed list of constants, each with a description.
        if let Some(variants) = schema.remove("oneOf") {
            let names: Vec<_> = variants
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|variant| variant.get("enum")?.get(0).or_else(|| variant.get("const")).cloned())
                .collect();
            schema.insert("type".to_owned(), json!("string"));
            schema.insert("enum".to_owned(), json!(names));
        }
        // The lines of a doc comment are one text.
        if let Some(Value::String(text)) = schema.get_mut("description") {
            *text = text.replace('\n', " ");
        }
        transform_subschemas(self, schema);
    }
}
