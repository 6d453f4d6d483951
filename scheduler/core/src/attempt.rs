//! The life of one attempt.

pub(crate) mod phases;
