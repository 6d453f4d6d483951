//! Facts for tests, written as kubectl prints them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::facts::{Facts, Gathered, NamespaceObjects, ServiceObjects};
use crate::namespaces::Namespaces;
use crate::read::Collect;
use crate::removal_facts::RemovalFacts;

pub(crate) fn namespaces() -> Namespaces {
    Namespaces {
        control: "bellwether".to_owned(),
        agents: "bellwether-agents".to_owned(),
    }
}

/// An empty cluster, at noon.
pub(crate) fn facts() -> Facts {
    Facts::new("2026-11-22T12:00:00Z".parse().unwrap(), namespaces())
}

/// A cluster in which nothing of ours is left, at noon.
pub(crate) fn removal_facts() -> RemovalFacts {
    RemovalFacts::new(facts().now, namespaces())
}

/// An object of a type.
pub(crate) fn typed<T: DeserializeOwned>(object: Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// Objects, all of which can be read.
pub(crate) fn objects<T: Collect>(objects: impl IntoIterator<Item = Value>) -> T {
    let gathered = Gathered::read(objects.into_iter().collect(), None);
    assert_eq!(gathered.failure, None);
    gathered.objects
}

/// Pods, events and ConfigMaps.
pub(crate) fn beside(all: impl IntoIterator<Item = Value>) -> NamespaceObjects {
    objects(all)
}

/// Services and EndpointSlices.
pub(crate) fn services(all: impl IntoIterator<Item = Value>) -> ServiceObjects {
    objects(all)
}
