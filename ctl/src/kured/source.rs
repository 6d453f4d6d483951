//! What configures one kured, wherever it was found.

use std::collections::BTreeMap;

use bellwether_policy::LabelExpression;

/// A text of the command line or the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arg {
    /// The text; without what is hidden.
    pub(crate) text: String,
    /// Part of the text is in a Secret, a ConfigMap or a field of the pod, and so not known.
    pub(crate) is_hidden: bool,
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            is_hidden: false,
        }
    }
}

/// The arguments, environment and place of one kured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The name of its DaemonSet, which the policy gets too.
    pub(crate) name: String,
    /// The namespace of its DaemonSet; empty if not known.
    pub(crate) namespace: String,
    /// Its arguments, without the program.
    pub(crate) args: Vec<Arg>,
    /// Its environment; of two of one name the later one counts.
    pub(crate) env: Vec<(String, Arg)>,
    /// Folders of the host that it sees: the path in the container, and on the host.
    pub(crate) mounts: Vec<(String, String)>,
    /// Labels that a node needs to have a pod of it.
    pub(crate) node_labels: BTreeMap<String, String>,
    /// Further conditions for that.
    pub(crate) node_expressions: Vec<LabelExpression>,
    /// Whether its pods tolerate every taint.
    pub(crate) tolerates_all: bool,
    /// What was left out of this, for the operator.
    pub(crate) notes: Vec<String>,
}

impl Source {
    /// The variable's value.
    pub(crate) fn variable(&self, name: &str) -> Option<&Arg> {
        let found = self.env.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }
}
