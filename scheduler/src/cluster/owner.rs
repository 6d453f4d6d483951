//! Which program owns the annotations of a Node that are orders, as the API server keeps it in the managed fields.
//!
//! Every Node has managed fields, and few have such annotations. So they are read of those few alone, and entries that own
//! none leave nothing behind.

use std::borrow::Cow;

use bellwether_scheduler_core::AnnotatedKind;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

/// A program that owns an annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OrderOwner {
    /// The order that the annotation is.
    pub(crate) kind: AnnotatedKind,
    /// The name of the program.
    pub(crate) manager: String,
    /// When the program last changed a field that it owns; none: not stated.
    pub(crate) at: Option<Timestamp>,
}

/// One entry of the managed fields, as far as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow, default)]
    manager: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Cow<'a, str>,
    #[serde(default)]
    fields_v1: Fields,
}

#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default, rename = "f:metadata")]
    metadata: FieldsOfMetadata,
}

#[derive(Default, Deserialize)]
struct FieldsOfMetadata {
    #[serde(default, rename = "f:annotations")]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "f:bellwether.dev/hold")]
    hold: Option<IgnoredAny>,
    #[serde(rename = "f:bellwether.dev/skip")]
    skip: Option<IgnoredAny>,
    #[serde(rename = "f:bellwether.dev/approve")]
    approve: Option<IgnoredAny>,
}

impl Annotations {
    fn owns(&self, kind: AnnotatedKind) -> bool {
        match kind {
            AnnotatedKind::Hold => self.hold.is_some(),
            AnnotatedKind::Skip => self.skip.is_some(),
            AnnotatedKind::Approve => self.approve.is_some(),
        }
    }
}

/// The owners of orders, as the managed fields have them.
pub(super) struct OrderOwners(pub(super) Vec<OrderOwner>);

impl<'de> Deserialize<'de> for OrderOwners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Option::<Vec<Entry<'de>>>::deserialize(deserializer)?.unwrap_or_default();
        let of_entry = |entry: Entry<'de>| {
            let owned = AnnotatedKind::ALL
                .into_iter()
                .filter(|kind| entry.fields_v1.metadata.annotations.owns(*kind));
            let owners = owned.map(|kind| OrderOwner {
                kind,
                manager: entry.manager.clone().into_owned(),
                at: entry.time.parse().ok(),
            });
            owners.collect::<Vec<_>>()
        };
        Ok(Self(entries.into_iter().flat_map(of_entry).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(managed_fields: &str) -> Vec<OrderOwner> {
        serde_json::from_str::<OrderOwners>(managed_fields).unwrap().0
    }

    #[test]
    fn the_owner_of_each_order_is_found_by_the_name_of_its_annotation() {
        for kind in AnnotatedKind::ALL {
            let field = format!(
                r#"[
                    {{ "manager": "kubelet", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
                      "fieldsV1": {{ "f:metadata": {{ "f:annotations": {{ ".": {{}}, "f:a": {{}} }}, "f:labels": {{}} }}, "f:status": {{}} }},
                      "subresource": "status" }},
                    {{ "manager": "argo\u0063d", "operation": "Apply", "time": "2026-01-02T00:00:00Z",
                      "fieldsV1": {{ "f:metadata": {{ "f:annotations": {{ "f:{}": {{}}, "f:{}": {{}} }} }} }} }}
                ]"#,
                kind.annotation(),
                kind.until_annotation(),
            );
            let expected = OrderOwner {
                kind,
                manager: "argocd".to_owned(),
                at: Some("2026-01-02T00:00:00Z".parse().unwrap()),
            };
            assert_eq!(owners(&field), [expected]);
        }
    }

    #[test]
    fn managed_fields_without_an_order_or_a_time_are_read() {
        assert_eq!(owners("null"), []);
        assert_eq!(owners("[{}]"), []);
        let bare = r#"[{ "fieldsV1": { "f:metadata": { "f:annotations": { "f:bellwether.dev/hold": {} } } } }]"#;
        let expected = OrderOwner {
            kind: AnnotatedKind::Hold,
            manager: String::new(),
            at: None,
        };
        assert_eq!(owners(bare), [expected]);
    }
}
