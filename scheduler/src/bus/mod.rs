//! NATS: records, commands and events, parsed on their way in and encoded on their way out.

pub(crate) mod command;
pub(crate) mod event;
pub(crate) mod load;
pub(crate) mod outbox;
pub(crate) mod publisher;
pub(crate) mod queue_events;
pub(crate) mod store;
pub(crate) mod wire;
