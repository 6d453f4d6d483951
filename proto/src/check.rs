//! The question whether a node can be drained, and the answer.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::field::{from_duration, instant_required, to_duration, to_timestamp};
use crate::ids::NodeName;
use crate::message::{Message, WireError};
use crate::namespace_owner::shown;
use crate::wire;

/// Look whether a node can be drained. See [`wire::CheckDrain`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckDrain {
    /// The node.
    pub node: NodeName,
    /// When the scheduler asked.
    pub asked_at: Timestamp,
    /// Nodes whose drains are under way.
    pub beside: Vec<NodeName>,
}

/// Whether a node can be drained. See [`wire::DrainForecast`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainForecast {
    /// The node.
    pub node: NodeName,
    /// Of the question.
    pub asked_at: Timestamp,
    /// Whether the node can be drained.
    pub verdict: DrainVerdict,
    /// Pods that have to go.
    pub pods_to_go: u32,
    /// Pods that stay on purpose.
    pub pods_staying: u32,
    /// How long the drain takes at most, estimated; none unless the node can be drained.
    pub takes: Option<SignedDuration>,
    /// The most important first.
    pub findings: Vec<DrainFinding>,
    /// Service and version that answered.
    pub source: String,
}

/// One fact about the drain of a node. See [`wire::DrainFinding`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainFinding {
    /// Its kind.
    pub kind: DrainFindingKind,
    /// The object that the finding is about; empty: the node.
    pub object: String,
    /// For operators.
    pub sentence: String,
    /// The owners of the pods' namespaces, of a finding that keeps the node from being drained; by name.
    pub namespace_owners: Vec<String>,
}

/// Whether a node can be drained. The worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainVerdict {
    /// Each pod that has to go can go.
    Can,
    /// Some pod cannot go now, and may go in a moment.
    NotNow,
    /// Some pod cannot go until its owner changes something.
    Cannot,
    /// The drainer could not look.
    Unknown,
}

impl DrainVerdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Can, Self::NotNow, Self::Cannot, Self::Unknown];

    /// Its word, as in the contract without the prefix and in CamelCase.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Can => "Can",
            Self::NotNow => "NotNow",
            Self::Cannot => "Cannot",
            Self::Unknown => "Unknown",
        }
    }

    fn from_wire(number: i32) -> Option<Self> {
        match wire::DrainVerdict::try_from(number) {
            Ok(wire::DrainVerdict::Can) => Some(Self::Can),
            Ok(wire::DrainVerdict::NotNow) => Some(Self::NotNow),
            Ok(wire::DrainVerdict::Cannot) => Some(Self::Cannot),
            Ok(wire::DrainVerdict::Unknown) => Some(Self::Unknown),
            Ok(wire::DrainVerdict::Unspecified) | Err(_) => None,
        }
    }

    fn to_wire(self) -> wire::DrainVerdict {
        match self {
            Self::Can => wire::DrainVerdict::Can,
            Self::NotNow => wire::DrainVerdict::NotNow,
            Self::Cannot => wire::DrainVerdict::Cannot,
            Self::Unknown => wire::DrainVerdict::Unknown,
        }
    }
}

/// The kind of a finding. See [`wire::DrainFindingKind`]; the most important comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainFindingKind {
    /// The drainer could not look.
    NotChecked,
    /// Several budgets match a pod.
    SeveralBudgets,
    /// A budget allows no eviction even while all its pods are healthy.
    BudgetNeverAllows,
    /// Kubernetes cannot work out a budget.
    BudgetBroken,
    /// A budget allows no eviction now.
    BudgetExhausted,
    /// Kubernetes has not looked at the newest form of a budget yet.
    BudgetUnprocessed,
    /// A budget allows fewer evictions than this node and the nodes beside need together.
    BudgetShared,
    /// A budget lets the pods go in turns.
    BudgetInTurns,
    /// A pod may take long to end.
    LongGrace,
    /// A volume ties a pod to the node: the pod is pending until the node is back.
    TiedVolume,
    /// No controller starts a pod again.
    NoController,
    /// A pod loses the data of an emptyDir volume.
    ScratchData,
    /// A kind of a newer version.
    Unknown(i32),
}

impl DrainFindingKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 12] = [
        Self::NotChecked,
        Self::SeveralBudgets,
        Self::BudgetNeverAllows,
        Self::BudgetBroken,
        Self::BudgetExhausted,
        Self::BudgetUnprocessed,
        Self::BudgetShared,
        Self::BudgetInTurns,
        Self::LongGrace,
        Self::TiedVolume,
        Self::NoController,
        Self::ScratchData,
    ];

    /// The verdict that a finding of this kind leads to.
    #[must_use]
    pub fn verdict(self) -> DrainVerdict {
        match self {
            Self::NotChecked => DrainVerdict::Unknown,
            Self::SeveralBudgets | Self::BudgetNeverAllows | Self::BudgetBroken => DrainVerdict::Cannot,
            Self::BudgetExhausted | Self::BudgetUnprocessed | Self::BudgetShared => DrainVerdict::NotNow,
            Self::BudgetInTurns
            | Self::LongGrace
            | Self::TiedVolume
            | Self::NoController
            | Self::ScratchData
            | Self::Unknown(_) => DrainVerdict::Can,
        }
    }

    /// Its word, as in the contract without the prefix and in CamelCase; of an unknown one its number.
    #[must_use]
    pub fn word(self) -> String {
        match wire::DrainFindingKind::try_from(self.to_wire()) {
            Ok(kind) => camel_case(kind.as_str_name().trim_start_matches("DRAIN_FINDING_KIND_")),
            Err(_) => format!("Unknown({})", self.to_wire()),
        }
    }

    /// The kind of this number.
    #[must_use]
    pub fn from_wire(number: i32) -> Self {
        let known = Self::ALL.into_iter().find(|kind| kind.to_wire() == number);
        known.unwrap_or(Self::Unknown(number))
    }

    fn to_wire(self) -> i32 {
        let kind = match self {
            Self::NotChecked => wire::DrainFindingKind::NotChecked,
            Self::SeveralBudgets => wire::DrainFindingKind::SeveralBudgets,
            Self::BudgetNeverAllows => wire::DrainFindingKind::BudgetNeverAllows,
            Self::BudgetBroken => wire::DrainFindingKind::BudgetBroken,
            Self::BudgetExhausted => wire::DrainFindingKind::BudgetExhausted,
            Self::BudgetUnprocessed => wire::DrainFindingKind::BudgetUnprocessed,
            Self::BudgetShared => wire::DrainFindingKind::BudgetShared,
            Self::BudgetInTurns => wire::DrainFindingKind::BudgetInTurns,
            Self::LongGrace => wire::DrainFindingKind::LongGrace,
            Self::TiedVolume => wire::DrainFindingKind::TiedVolume,
            Self::NoController => wire::DrainFindingKind::NoController,
            Self::ScratchData => wire::DrainFindingKind::ScratchData,
            Self::Unknown(number) => return number,
        };
        kind.into()
    }
}

/// `SOME_WORDS` as `SomeWords`.
fn camel_case(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for word in words.split('_') {
        let (first, rest) = word.split_at(word.len().min(1));
        text.push_str(first);
        text.push_str(&rest.to_ascii_lowercase());
    }
    text
}

impl Message for CheckDrain {
    const TYPE: &'static str = "bellwether.v1.CheckDrain";
    type Wire = wire::CheckDrain;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let beside = wire.beside.iter().map(|node| node.parse());
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            asked_at: instant_required(Self::TYPE, "asked_at", wire.asked_at)?,
            beside: beside
                .collect::<Result<_, _>>()
                .map_err(WireError::id(Self::TYPE, "beside"))?,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::CheckDrain {
            node: self.node.to_string(),
            asked_at: Some(to_timestamp(self.asked_at)),
            beside: self.beside.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Message for DrainForecast {
    const TYPE: &'static str = "bellwether.v1.DrainForecast";
    type Wire = wire::DrainForecast;

    fn from_wire(wire: Self::Wire) -> Result<Self, WireError> {
        let wrong = |field, problem: &str| WireError::field(Self::TYPE, field, problem);
        let takes = wire.takes.map(|takes| {
            let takes = from_duration(takes).filter(|takes| !takes.is_negative());
            takes.ok_or_else(|| wrong("takes", "is no duration"))
        });
        Ok(Self {
            node: wire.node.parse().map_err(WireError::id(Self::TYPE, "node"))?,
            asked_at: instant_required(Self::TYPE, "asked_at", wire.asked_at)?,
            verdict: DrainVerdict::from_wire(wire.verdict).ok_or_else(|| wrong("verdict", "is not known"))?,
            pods_to_go: wire.pods_to_go,
            pods_staying: wire.pods_staying,
            takes: takes.transpose()?,
            findings: wire.findings.into_iter().map(DrainFinding::from_wire).collect(),
            source: wire.source,
        })
    }

    fn to_wire(&self) -> Self::Wire {
        wire::DrainForecast {
            node: self.node.to_string(),
            asked_at: Some(to_timestamp(self.asked_at)),
            verdict: self.verdict.to_wire().into(),
            pods_to_go: self.pods_to_go,
            pods_staying: self.pods_staying,
            takes: self.takes.map(to_duration),
            findings: self.findings.iter().map(DrainFinding::to_wire).collect(),
            source: self.source.clone(),
        }
    }
}

impl DrainForecast {
    /// The answer to a question without a look at the node, for this reason. `source` is empty if no drainer answers.
    #[must_use]
    pub fn unknown(question: &CheckDrain, source: &str, reason: String) -> Self {
        Self {
            node: question.node.clone(),
            asked_at: question.asked_at,
            verdict: DrainVerdict::Unknown,
            pods_to_go: 0,
            pods_staying: 0,
            takes: None,
            findings: vec![DrainFinding {
                kind: DrainFindingKind::NotChecked,
                object: String::new(),
                sentence: reason,
                namespace_owners: Vec::new(),
            }],
            source: source.to_owned(),
        }
    }

    /// What keeps the node from being drained, for operators; empty if the node can be drained.
    #[must_use]
    pub fn obstacles(&self) -> String {
        let sentences: Vec<String> = self.blocking().map(ToString::to_string).collect();
        sentences.join("; ")
    }

    /// What keeps the node from being drained, by who answers for the pods, for operators. Under the empty name: what has no
    /// owner. Empty if the node can be drained.
    #[must_use]
    pub fn by_owner(&self) -> BTreeMap<String, String> {
        let none = [String::new()];
        let mut by_owner = BTreeMap::<String, String>::new();
        for finding in self.blocking() {
            let owners = match finding.namespace_owners.as_slice() {
                [] => &none[..],
                owners => owners,
            };
            for owner in owners {
                let sentences = by_owner.entry(owner.clone()).or_default();
                if !sentences.is_empty() {
                    sentences.push_str("; ");
                }
                sentences.push_str(&finding.sentence);
            }
        }
        by_owner
    }

    fn blocking(&self) -> impl Iterator<Item = &DrainFinding> {
        let findings = self.findings.iter();
        findings.filter(|finding| finding.kind.verdict() > DrainVerdict::Can)
    }
}

impl fmt::Display for DrainFinding {
    /// The sentence, with the owners.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sentence, shown(&self.namespace_owners))
    }
}

impl DrainFinding {
    /// Checks the finding.
    #[must_use]
    pub fn from_wire(wire: wire::DrainFinding) -> Self {
        let wire::DrainFinding {
            kind,
            object,
            sentence,
            namespace_owners,
        } = wire;
        Self {
            kind: DrainFindingKind::from_wire(kind),
            object,
            sentence,
            namespace_owners,
        }
    }

    fn to_wire(&self) -> wire::DrainFinding {
        wire::DrainFinding {
            kind: self.kind.to_wire(),
            object: self.object.clone(),
            sentence: self.sentence.clone(),
            namespace_owners: self.namespace_owners.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_finding_has_its_number_its_word_and_the_verdict_that_its_worst_finding_has() {
        let mut words: Vec<String> = DrainFindingKind::ALL.map(DrainFindingKind::word).into();
        for kind in DrainFindingKind::ALL {
            assert_eq!(DrainFindingKind::from_wire(kind.to_wire()), kind);
        }
        assert_eq!(DrainFindingKind::BudgetNeverAllows.word(), "BudgetNeverAllows");
        words.sort();
        words.dedup();
        assert_eq!(words.len(), DrainFindingKind::ALL.len());
        let unknown = DrainFindingKind::from_wire(77);
        assert_eq!(
            (unknown.word().as_str(), unknown.verdict()),
            ("Unknown(77)", DrainVerdict::Can)
        );
        // By their order, the first finding is one that explains the verdict.
        let verdicts = DrainFindingKind::ALL.map(DrainFindingKind::verdict);
        assert!(verdicts.is_sorted_by(|one, other| one >= other), "{verdicts:?}");
    }

    #[test]
    fn each_verdict_has_its_number_and_no_other_number_is_one() {
        for verdict in DrainVerdict::ALL {
            assert_eq!(DrainVerdict::from_wire(verdict.to_wire().into()), Some(verdict));
        }
        for number in [0, 5, -1] {
            assert_eq!(DrainVerdict::from_wire(number), None);
        }
    }
}
