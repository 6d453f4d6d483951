//! What the program under trial did, in one order: its requests to the API server and its messages on the bus.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use bellwether_proto::header;
use rig::front::Request;

/// A message that the program, or the trial, published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) subject: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Published {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Decoded by the rules of the contract.
    pub(crate) fn decode<M: bellwether_proto::Message>(&self) -> Result<M> {
        let header = |name: &'static str| self.header(name);
        Ok(bellwether_proto::decode(header, &self.payload)?)
    }

    pub(crate) fn message_id(&self) -> Option<&str> {
        self.header(header::MESSAGE_ID)
    }
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Request(Request),
    Published(Published),
}

/// One entry; its index in the ledger is its place in the order.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    pub(crate) what: What,
}

impl Entry {
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.what {
            What::Request(request) => Some(request),
            What::Published(_) => None,
        }
    }

    pub(crate) fn published(&self) -> Option<&Published> {
        match &self.what {
            What::Published(message) => Some(message),
            What::Request(_) => None,
        }
    }
}

/// Shared by all that observe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Ledger {
    /// Adds an entry; returns its index.
    pub(crate) fn add(&self, what: What) -> usize {
        let mut entries = self.locked();
        let at = Instant::now();
        entries.push(Entry { at, what });
        entries.len() - 1
    }

    /// Changes the request at an index.
    pub(crate) fn amend(&self, index: usize, change: impl FnOnce(&mut Request)) {
        if let Some(Entry {
            what: What::Request(request),
            ..
        }) = self.locked().get_mut(index)
        {
            change(request);
        }
    }

    /// The index of the next entry.
    pub(crate) fn len(&self) -> usize {
        self.locked().len()
    }

    /// All entries from an index on for which `choose` gives a value, with their indexes.
    pub(crate) fn all<T>(&self, from: usize, mut choose: impl FnMut(&Entry) -> Option<T>) -> Vec<(usize, Instant, T)> {
        let entries = self.locked();
        let tail = entries.iter().enumerate().skip(from);
        tail.filter_map(|(index, entry)| Some((index, entry.at, choose(entry)?)))
            .collect()
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
