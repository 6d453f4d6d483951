//! The queue of what happens next, in virtual time. What is entered first happens first at the same moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::moment::Ms;

/// Entries by moment and then by the order in which they were entered.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    heap: BinaryHeap<Entry<T>>,
    entered: u64,
}

#[derive(Debug)]
struct Entry<T> {
    key: Reverse<(Ms, u64)>,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> Agenda<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            entered: 0,
        }
    }

    pub(crate) fn enter(&mut self, at: Ms, item: T) {
        self.entered += 1;
        self.heap.push(Entry {
            key: Reverse((at, self.entered)),
            item,
        });
    }

    pub(crate) fn next(&mut self) -> Option<(Ms, T)> {
        let Entry {
            key: Reverse((at, _)),
            item,
        } = self.heap.pop()?;
        Some((at, item))
    }
}
