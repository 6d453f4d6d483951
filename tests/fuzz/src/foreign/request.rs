//! The reader of requests to the admin server that the chassis gives every service.

#[path = "../../../../chassis/src/http/request.rs"]
mod of_chassis;

pub(crate) use of_chassis::{HEAD_MAX, Request, is_whole, parse};
