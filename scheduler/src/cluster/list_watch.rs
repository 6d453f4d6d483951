//! Listing and watching one kind of object.

use std::fmt;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::cluster::health::WatchResult;

/// How long the API server keeps a watch open before it has to be renewed, in seconds. It bounds how long a
/// healthy watch is silent, and so how soon a connection whose other end is gone without a word is noticed.
/// A renewal costs the API server one request, answered from its memory.
pub(super) const WATCH_SECONDS: u32 = 8;

/// A kind of object that can be watched in all namespaces.
pub(super) trait Watchable:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static
{
}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + 'static> Watchable for K {}

/// Lists and watches for ever, backing off while the API server does not answer.
pub(super) fn watch<K: Watchable>(client: &Client) -> BoxStream<'static, WatchResult<K>> {
    let config = watcher::Config::default().timeout(WATCH_SECONDS);
    watcher(Api::all(client.clone()), config).default_backoff().boxed()
}
