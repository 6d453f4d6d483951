//! All requests to the Kubernetes API server: one function for each, plain data in and out.
//!
//! These files decide nothing and repeat nothing; the core decides when to ask again.

pub(crate) mod budgets;
pub(crate) mod client;
pub(crate) mod evict;
pub(crate) mod namespaces;
pub(crate) mod node;
pub(crate) mod pods;
mod request;
pub(crate) mod rights;
pub(crate) mod sets;
pub(crate) mod shared;
mod status;
pub(crate) mod volumes;
pub(crate) mod watch;
