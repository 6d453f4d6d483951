//! What shows that a node of a policy needs a reboot, beside what its host shows: annotations on the Node.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::GROUP;
use crate::fault::Fault;

/// Longest value that is compared, in bytes: longer ones of a Node are of no program that states a yes or no.
pub const VALUE_BYTES_MAX: usize = 256;
/// Most annotations of a policy.
const ANNOTATIONS_MAX: usize = 8;
/// Longest prefix and longest name of a key, by the rules of Kubernetes.
const PREFIX_BYTES_MAX: usize = 253;
const NAME_BYTES_MAX: usize = 63;
/// The value by which programs state that there is no need, without removing their annotation.
const NO: &str = "false";

/// What shows that a node needs a reboot, beside what its host shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NeedsSpec {
    /// Annotations by which a program or an operator asks for a reboot of the node that carries them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 8)))]
    pub annotations: Vec<AnnotationSpec>,
}

/// An annotation that asks for a reboot of its node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AnnotationSpec {
    /// The annotation, such as example.com/needs-reboot.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 317)))]
    pub key: String,

    /// The only value that asks for a reboot. Absent: every value but false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub value: Option<String>,
}

/// An annotation that asks for a reboot of its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeedAnnotation {
    /// The annotation.
    pub key: String,
    /// The only value that asks for a reboot; none: every value but `false`.
    pub value: Option<String>,
}

impl NeedAnnotation {
    /// The annotation with this value asks for a reboot.
    #[must_use]
    pub fn asks(&self, value: &str) -> bool {
        self.value.as_deref().map_or(value != NO, |only| value == only)
    }
}

impl fmt::Display for NeedAnnotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

/// The annotations without mistakes; each mistake is noted.
pub(crate) fn annotations_of(spec: Option<&NeedsSpec>, faults: &mut Vec<Fault>) -> Vec<NeedAnnotation> {
    let specs = spec.map(|spec| spec.annotations.as_slice()).unwrap_or_default();
    if specs.len() > ANNOTATIONS_MAX {
        let message = format!("{} entries: {ANNOTATIONS_MAX} are the most, remove some", specs.len());
        faults.push(Fault::new("spec.needs.annotations", message));
    }
    let mut annotations: Vec<NeedAnnotation> = Vec::new();
    for (index, AnnotationSpec { key, value }) in specs.iter().enumerate() {
        let path = format!("spec.needs.annotations[{index}]");
        if let Err(message) = check_key(key) {
            faults.push(Fault::new(format!("{path}.key"), message));
            continue;
        }
        if value.as_ref().is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            let message = format!("longer than {VALUE_BYTES_MAX} bytes: write a shorter one, or leave it out");
            faults.push(Fault::new(format!("{path}.value"), message));
            continue;
        }
        let annotation = NeedAnnotation {
            key: key.clone(),
            value: value.clone(),
        };
        // An entry without a value covers every other one of its key but that of the value `false`.
        let is_covered = |other: &NeedAnnotation| {
            other.key == annotation.key && (other.value == annotation.value || other.value.is_none())
        };
        if annotations.iter().any(is_covered) {
            let message = format!("`{annotation}` is named by an entry before: remove one of the two");
            faults.push(Fault::new(path, message));
            continue;
        }
        annotations.push(annotation);
    }
    annotations
}

/// The rules of Kubernetes for the keys of annotations, and ours.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_edge = |letter: char| letter.is_ascii_alphanumeric();
    let is_inner = |letter: char| is_edge(letter) || matches!(letter, '-' | '_' | '.');
    let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(is_inner);
    if !is_name || prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return Err(format!(
            "`{key}` is no key of an annotation: write one such as example.com/needs-reboot"
        ));
    }
    let is_ours = |prefix: &str| prefix == GROUP || prefix.strip_suffix(GROUP).is_some_and(|rest| rest.ends_with('.'));
    if prefix.is_some_and(is_ours) {
        return Err(format!(
            "`{key}` is a key of Bellwether: write one of the program that asks for reboots, such as example.com/needs-reboot"
        ));
    }
    Ok(())
}

fn is_subdomain(prefix: &str) -> bool {
    let is_edge = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let is_label = |label: &str| {
        label.starts_with(is_edge)
            && label.ends_with(is_edge)
            && label.chars().all(|letter| is_edge(letter) || letter == '-')
    };
    prefix.len() <= PREFIX_BYTES_MAX && prefix.split('.').all(is_label)
}
