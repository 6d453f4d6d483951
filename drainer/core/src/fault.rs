//! Why a request to the API server had no success, as far as the decisions depend on the reason.

/// Why a request to the API server had no success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiFault {
    /// The API server knows no such object.
    #[error("not found")]
    NotFound,
    /// Another writer has changed the object since it was read, or an object of that name has another UID.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// The drainer lacks the right, or admission refuses.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Anything else: whether the request took effect is unknown, another try may help.
    #[error("{0}")]
    Unavailable(String),
}
