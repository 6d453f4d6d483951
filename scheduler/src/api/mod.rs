//! The API (gRPC), in one straight line: `service` receives a request, `request` checks its fields,
//! `handle` passes it to the leading loop, the loop asks the core and builds the response with `reply`.

pub(crate) mod handle;
mod history;
pub(crate) mod reply;
mod request;
pub(crate) mod service;
mod status;
