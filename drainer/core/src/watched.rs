//! Events of a watch, without the types of any client.

/// One event of a watch on objects of which the core keeps the view `V`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched<V> {
    /// A list begins. Until [`Self::ListEnded`] the objects known before remain known.
    ListStarted,
    /// The list contains this object.
    Listed(V),
    /// The list is complete: an object that it does not contain does not exist.
    ListEnded,
    /// The object was created or changed.
    Changed(V),
    /// The object was deleted; its last state.
    Deleted(V),
}

/// The object that a watch observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatchTarget {
    /// The Node object.
    Node,
    /// The node's pods.
    Pods,
}

impl WatchTarget {
    /// The noun for sentences.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "the node",
            Self::Pods => "pods",
        }
    }
}

/// What a watch for the whole service shows; or why that is not known.
pub type Looked<T> = Result<T, Unseen>;

/// Why it is not known what a watch would show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The reason, for operators.
    pub reason: String,
    /// Waiting does not help: a right is missing, or the API server does not serve such objects.
    pub lasts: bool,
}

impl Unseen {
    /// A reason that passes by itself.
    #[must_use]
    pub fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            lasts: false,
        }
    }
}
