//! The API (gRPC): parses a request, hands it to the leading loop, and sends the reply.

pub(crate) mod reply;
pub(crate) mod service;
