//! Numbers of requests.

/// Names one request, so that an answer that comes late is not taken for the answer to a newer request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// The requests of one state machine so far.
#[derive(Debug, Default)]
pub(crate) struct RequestIds(u64);

impl RequestIds {
    pub(crate) fn next(&mut self) -> RequestId {
        self.0 = self.0.saturating_add(1);
        RequestId(self.0)
    }
}
