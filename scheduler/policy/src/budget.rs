//! How many nodes of a policy may be disrupted at once.

use std::collections::BTreeSet;
use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};

use crate::fault::Fault;
use crate::spec::{BudgetSpec, IntOrString, RampUp, TopologySpec};

/// The limits of a policy's nodes. The default lets the first node go alone, and then the scheduler's slots alone count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// How many nodes at once.
    pub max_unavailable: Option<Amount>,
    /// Limits by the values of labels, such as zones.
    pub topology: Vec<Topology>,
    /// How a rollout begins.
    pub ramp_up: RampUp,
}

/// Limits by the values of one label: nodes with the same value are one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The label.
    pub key: String,
    /// How many nodes of one domain at once.
    pub max_unavailable: Option<Amount>,
    /// How many domains may have disrupted nodes at once.
    pub max_domains: Option<NonZeroU32>,
}

/// A number of nodes, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many.
    Count(NonZeroU32),
    /// So many of a hundred, up to 100.
    Percent(NonZeroU8),
}

impl Amount {
    /// How many of `all` nodes: rounded down, and at least one, so that a share of a small pool is never none.
    #[must_use]
    pub fn of(self, all: usize) -> usize {
        match self {
            Self::Count(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
            Self::Percent(percent) => (all.saturating_mul(usize::from(percent.get())) / 100).max(1),
        }
    }

    /// The share is less than one of `all` nodes, and counts as one.
    #[must_use]
    pub fn is_raised(self, all: usize) -> bool {
        matches!(self, Self::Percent(percent) if all.saturating_mul(usize::from(percent.get())) < 100)
    }

    fn parse(spec: &IntOrString, path: &str) -> Result<Self, Fault> {
        const STOP: &str = "to stop the nodes of a policy, write a blackout or pause the fleet";
        let wrong = |message: String| Fault::new(path, message);
        match spec {
            IntOrString::Int(0) => Err(wrong(format!("0 would stop every node for ever: {STOP}"))),
            IntOrString::Int(count) => {
                let count = u32::try_from(*count).ok().and_then(NonZeroU32::new);
                count
                    .map(Self::Count)
                    .ok_or_else(|| wrong(format!("{} is out of range: write a number from 1 on", shown(spec))))
            }
            IntOrString::String(text) => {
                let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<u8>().ok());
                match percent.map(NonZeroU8::new) {
                    Some(None) => Err(wrong(format!("0% would stop every node for ever: {STOP}"))),
                    Some(Some(percent)) if percent.get() <= 100 => Ok(Self::Percent(percent)),
                    _ => Err(wrong(format!(
                        "`{text}` is no amount: write a number such as 2, or a share from 1% to 100%"
                    ))),
                }
            }
        }
    }
}

fn shown(spec: &IntOrString) -> String {
    match spec {
        IntOrString::Int(count) => count.to_string(),
        IntOrString::String(text) => text.clone(),
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The most labels: each one is looked at for each node that starts.
const TOPOLOGY_MAX: usize = 4;

impl Budget {
    /// No node of the policy ever waits for another one by it.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.max_unavailable.is_none() && self.topology.is_empty() && self.ramp_up == RampUp::None
    }

    /// The meaning of a budget.
    ///
    /// # Errors
    /// Every mistake, with its field below `path`.
    pub(crate) fn new(spec: &BudgetSpec, path: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let max_unavailable = amount(spec.max_unavailable.as_ref(), path, &mut faults);
        if spec.max_unavailable.is_none() && spec.topology.is_empty() && spec.ramp_up.is_none() {
            faults.push(Fault::new(
                path,
                "empty: write maxUnavailable, topology or rampUp, or remove it",
            ));
        }
        if spec.topology.len() > TOPOLOGY_MAX {
            faults.push(Fault::new(
                format!("{path}.topology"),
                format!("more than {TOPOLOGY_MAX} entries: remove some"),
            ));
        }
        let mut keys = BTreeSet::new();
        let mut topology = Vec::new();
        for (index, spec) in spec.topology.iter().enumerate() {
            let path = format!("{path}.topology[{index}]");
            if !keys.insert(&spec.key) {
                faults.push(Fault::new(
                    format!("{path}.key"),
                    format!("{} has an entry already: write both limits into one", spec.key),
                ));
            }
            topology.push(topology_of(spec, &path, &mut faults));
        }
        if faults.is_empty() {
            Ok(Self {
                max_unavailable,
                topology,
                ramp_up: spec.ramp_up.unwrap_or_default(),
            })
        } else {
            Err(faults)
        }
    }
}

fn topology_of(spec: &TopologySpec, path: &str, faults: &mut Vec<Fault>) -> Topology {
    if spec.key.is_empty() {
        faults.push(Fault::new(
            format!("{path}.key"),
            "empty: name a label, such as topology.kubernetes.io/zone",
        ));
    }
    if spec.max_unavailable.is_none() && spec.max_domains.is_none() {
        faults.push(Fault::new(
            path,
            "limits nothing: write maxUnavailable (nodes with one value), maxDomains (values at once) or both",
        ));
    }
    let max_domains = spec.max_domains.and_then(|max| {
        let max = u32::try_from(max).ok().and_then(NonZeroU32::new);
        if max.is_none() {
            faults.push(Fault::new(format!("{path}.maxDomains"), "write a number from 1 on"));
        }
        max
    });
    Topology {
        key: spec.key.clone(),
        max_unavailable: amount(spec.max_unavailable.as_ref(), path, faults),
        max_domains,
    }
}

fn amount(spec: Option<&IntOrString>, path: &str, faults: &mut Vec<Fault>) -> Option<Amount> {
    match Amount::parse(spec?, &format!("{path}.maxUnavailable")) {
        Ok(amount) => Some(amount),
        Err(fault) => {
            faults.push(fault);
            None
        }
    }
}
