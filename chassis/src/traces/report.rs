//! What becomes of spans that the collector does not take: a counter, and one line in the log.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Shared by all that drop spans. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    dropped: Family<ReasonLabel, Counter>,
    /// The number of spans that were dropped since exports fail; none while they arrive.
    failing: Arc<Mutex<Option<u64>>>,
}

/// Why spans are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Too many wait for the collector.
    Queue,
    /// The collector has not taken them.
    Export,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Reason {
    const ALL: [Self; 2] = [Self::Queue, Self::Export];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "Queue",
            Self::Export => "Export",
        }
    }

    const fn label(self) -> ReasonLabel {
        ReasonLabel { reason: self.as_str() }
    }
}

impl Report {
    pub(crate) fn register(&self, registry: &mut Registry) {
        for reason in Reason::ALL {
            // A series that is there from the start is zero, not missing.
            self.dropped.get_or_create(&reason.label()).inc_by(0);
        }
        registry.register(
            "trace_spans_dropped",
            "Spans that never reach the collector: Export, as it did not take them, or Queue, as too many waited for it",
            self.dropped.clone(),
        );
    }

    /// These spans are lost.
    pub(crate) fn dropped(&self, reason: Reason, spans: usize) {
        let spans = u64::try_from(spans).unwrap_or(u64::MAX);
        self.dropped.get_or_create(&reason.label()).inc_by(spans);
        if let Some(lost) = &mut *self.failing() {
            *lost = lost.saturating_add(spans);
        }
    }

    /// Exports fail from now on. True if that is news.
    pub(crate) fn fails(&self) -> bool {
        let mut failing = self.failing();
        let is_news = failing.is_none();
        failing.get_or_insert(0);
        is_news
    }

    /// An export has arrived. The number of spans that were lost before, if that is news.
    pub(crate) fn arrives(&self) -> Option<u64> {
        self.failing().take()
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn count(&self, reason: Reason) -> u64 {
        self.dropped.get_or_create(&reason.label()).get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_news_once_until_an_export_arrives() {
        let report = Report::default();
        assert_eq!(report.arrives(), None);
        assert!(report.fails());
        report.dropped(Reason::Export, 3);
        assert!(!report.fails());
        report.dropped(Reason::Queue, 1);
        assert_eq!((report.count(Reason::Export), report.count(Reason::Queue)), (3, 1));
        assert_eq!(report.arrives(), Some(4));
        assert_eq!(report.arrives(), None);
        assert!(report.fails(), "it fails again");
    }
}
