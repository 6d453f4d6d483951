//! The views of Namespaces: who answers for the pods of each.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_proto::{OWNER, OWNERS_MAX, owner_of};
use k8s_openapi::api::core::v1::Namespace;

/// A Namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceView {
    /// `metadata.name`.
    pub name: String,
    /// Its owner, by its annotation; none: it has none that can be used.
    pub owner: Option<String>,
}

impl NamespaceView {
    /// Reads the view; none if the object lacks its identity, as no stored object does.
    #[must_use]
    pub fn of(namespace: &Namespace) -> Option<Self> {
        let annotations = namespace.metadata.annotations.as_ref();
        let owner = annotations.and_then(|annotations| annotations.get(OWNER));
        Some(Self {
            name: namespace.metadata.name.clone()?,
            owner: owner.and_then(|owner| owner_of(owner)).map(str::to_owned),
        })
    }
}

/// The owners of all Namespaces that have one, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceOwners {
    by_name: BTreeMap<String, String>,
}

impl NamespaceOwners {
    /// Adds a Namespace, in place of the one with its name.
    pub fn insert(&mut self, NamespaceView { name, owner }: NamespaceView) {
        match owner {
            Some(owner) => self.by_name.insert(name, owner),
            None => self.by_name.remove(&name),
        };
    }

    /// Removes a Namespace.
    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// The owner of a Namespace.
    #[must_use]
    pub fn owner(&self, namespace: &str) -> Option<&str> {
        self.by_name.get(namespace).map(String::as_str)
    }

    /// The owners of these Namespaces, by name, as a blocker names them.
    pub(crate) fn of<'a>(&self, namespaces: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let owners = namespaces.into_iter().filter_map(|name| self.by_name.get(name));
        let owners: BTreeSet<&String> = owners.collect();
        owners.into_iter().take(OWNERS_MAX).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_owners_follow_the_annotations() {
        let mut owners = NamespaceOwners::default();
        owners.insert(namespace("shop", " team-shop "));
        owners.insert(namespace("cart", "team-shop"));
        owners.insert(namespace("blog", "editors"));
        owners.insert(namespace("wild", &"a".repeat(64)));
        let of = |owners: &NamespaceOwners, names: &[&str]| owners.of(names.iter().copied());
        assert_eq!(
            of(&owners, &["shop", "wild", "cart", "gone", "blog"]),
            ["editors", "team-shop"]
        );
        owners.insert(namespace("blog", ""));
        owners.remove("shop");
        assert_eq!(of(&owners, &["shop", "blog"]), Vec::<String>::new());
        assert_eq!(of(&owners, &["cart"]), ["team-shop"]);
    }

    fn namespace(name: &str, owner: &str) -> NamespaceView {
        let metadata = json!({ "metadata": { "name": name, "annotations": { OWNER: owner } } });
        NamespaceView::of(&serde_json::from_value(metadata).unwrap()).unwrap()
    }
}
