//! Which nodes a policy is for, and which pods a gate, by the rules of Kubernetes' label selectors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::labels::{LabelExpression, LabelSelector};

/// Nodes by their labels. The default selects every node.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Selector {
    conditions: Vec<(String, Condition)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Condition {
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// The meaning of a selector.
    ///
    /// # Errors
    /// Every mistake, with its field below `path`.
    pub fn new(spec: &LabelSelector, path: &str) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        let equal = |(key, value): (&String, &String)| (key.clone(), Condition::In([value.clone()].into()));
        let mut conditions: Vec<_> = spec.match_labels.iter().map(equal).collect();
        for (index, expression) in spec.match_expressions.iter().enumerate() {
            match condition(expression, &format!("{path}.matchExpressions[{index}]")) {
                Ok(condition) => conditions.push((expression.key.clone(), condition)),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() {
            faults.extend(contradiction(&conditions, path));
        }
        if faults.is_empty() {
            Ok(Self { conditions })
        } else {
            Err(faults)
        }
    }

    /// There is no condition: every object is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The labels meet every condition.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.conditions
            .iter()
            .all(|(key, condition)| match (condition, labels.get(key)) {
                (Condition::In(values), Some(value)) => values.contains(value),
                (Condition::NotIn(values), Some(value)) => !values.contains(value),
                (Condition::In(_) | Condition::Exists, None) | (Condition::DoesNotExist, Some(_)) => false,
                (Condition::NotIn(_) | Condition::DoesNotExist, None) | (Condition::Exists, Some(_)) => true,
            })
    }
}

impl fmt::Display for Selector {
    /// As kubectl writes selectors: `pool=a,zone in (1,2),!spot`; `every node` without a condition.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.conditions.is_empty() {
            return f.write_str("every node");
        }
        let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        for (index, (key, condition)) in self.conditions.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match condition {
                Condition::In(values) if values.len() == 1 => write!(f, "{key}={}", list(values))?,
                Condition::In(values) => write!(f, "{key} in ({})", list(values))?,
                Condition::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", list(values))?,
                Condition::NotIn(values) => write!(f, "{key} notin ({})", list(values))?,
                Condition::Exists => f.write_str(key)?,
                Condition::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn condition(expression: &LabelExpression, path: &str) -> Result<Condition, Fault> {
    let values: BTreeSet<String> = expression.values.iter().cloned().collect();
    if expression.key.is_empty() {
        return Err(Fault::new(format!("{path}.key"), "empty: name a label"));
    }
    match (expression.operator.as_str(), values.is_empty()) {
        ("In", false) => Ok(Condition::In(values)),
        ("NotIn", false) => Ok(Condition::NotIn(values)),
        ("Exists", true) => Ok(Condition::Exists),
        ("DoesNotExist", true) => Ok(Condition::DoesNotExist),
        ("In" | "NotIn", true) => Err(Fault::new(
            format!("{path}.values"),
            format!("empty: {} needs at least one value", expression.operator),
        )),
        ("Exists" | "DoesNotExist", false) => Err(Fault::new(
            format!("{path}.values"),
            format!("{} takes no value: leave values out", expression.operator),
        )),
        (other, _) => Err(Fault::new(
            format!("{path}.operator"),
            format!("`{other}` is no operator: write In, NotIn, Exists or DoesNotExist"),
        )),
    }
}

/// No node can meet two of the conditions at once.
fn contradiction(conditions: &[(String, Condition)], path: &str) -> Option<Fault> {
    let keys: BTreeSet<&String> = conditions.iter().map(|(key, _)| key).collect();
    keys.into_iter().find_map(|key| {
        let of_key = || {
            conditions
                .iter()
                .filter(|(other, _)| other == key)
                .map(|(_, condition)| condition)
        };
        let needs_label = of_key().any(|condition| matches!(condition, Condition::In(_) | Condition::Exists));
        let forbids_label = of_key().any(|condition| *condition == Condition::DoesNotExist);
        let mut sets = of_key().filter_map(|condition| match condition {
            Condition::In(values) => Some(values),
            Condition::NotIn(_) | Condition::Exists | Condition::DoesNotExist => None,
        });
        let mut left = sets.next().cloned();
        for values in sets {
            left = left.map(|left| left.intersection(values).cloned().collect());
        }
        for condition in of_key() {
            if let (Condition::NotIn(values), Some(left)) = (condition, &mut left) {
                left.retain(|value| !values.contains(value));
            }
        }
        let is_empty = left.is_some_and(|left| left.is_empty());
        (is_empty || (needs_label && forbids_label)).then(|| {
            Fault::new(
                path,
                format!("nothing can have the label {key} as all conditions together want: remove one of them"),
            )
        })
    })
}
