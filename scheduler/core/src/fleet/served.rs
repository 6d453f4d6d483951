//! Which annotations of a node a reboot serves, and which ones the last reboot has served, as the record keeps them.

use bellwether_policy::{Governing, NeedAnnotation};
use bellwether_proto::limit::SERVED_MAX;
use bellwether_proto::{Attempt, NodeName, Phase, ServedAnnotation};
use jiff::Timestamp;

use crate::fleet::Fleet;
use crate::fleet::member::Member;
use crate::observed::{NodeView, Served};

impl Fleet {
    /// Notes what the ordered reboot serves until its host is called, and what was gone since the last reboot. The needs by
    /// annotation of the node follow from that.
    pub(super) fn note_served_annotations(&mut self, name: &NodeName, now: Timestamp) {
        let Some(member) = self.members.get(name) else { return };
        let (Some(observation), Some(attempt)) = (member.observation(), member.attempt.as_deref()) else {
            return;
        };
        let is_ordered =
            attempt.phase == Phase::Rebooting && attempt.reboot_started_at.is_none() && !observation.left_boot(attempt);
        let serves = is_ordered.then(|| self.served_by_order(attempt, observation.node));
        let serves = serves.filter(|serves| attempt.served_annotations.as_ref() != Some(serves));
        let last = attempt.last_reboot.as_ref();
        let served = self.served_in_boot(member, observation.node);
        let served = served.filter(|served| last.is_some_and(|last| last.served_annotations.as_ref() != Some(served)));
        if serves.is_some() || served.is_some() {
            let mut changed = attempt.clone();
            if serves.is_some() {
                changed.served_annotations = serves;
            }
            if let Some(last) = changed.last_reboot.as_mut().filter(|_| served.is_some()) {
                last.served_annotations = served;
            }
            self.change_attempt(changed, None, now);
        }
        if self.blockers.policies.name_annotations() {
            self.add_annotations(name, now);
        }
    }

    /// What a reboot serves whose host is not called yet.
    pub(super) fn served_by_order(&self, attempt: &Attempt, node: &NodeView) -> Vec<ServedAnnotation> {
        let mut serves = attempt.served_annotations.clone().unwrap_or_default();
        remove_gone(&mut serves, node);
        let governing = self.blockers.policies.governing(node);
        add_carried(&mut serves, node, names(&governing).unwrap_or_default());
        serves
    }

    /// What the last reboot has served and was not gone in its boot; none: there is no reboot, or it is not known.
    fn served_in_boot(&self, member: &Member, node: &NodeView) -> Option<Vec<ServedAnnotation>> {
        let boot = &member.sentinel.as_ref()?.report.boot_id;
        let mut served = Vec::new();
        match Served::in_boot(member.attempt.as_deref(), boot) {
            Served::Nothing => return None,
            Served::These(these) => {
                served.extend_from_slice(these);
                remove_gone(&mut served, node);
            }
            // What is there at the first look counts as served, so that nothing is served twice. A view without an
            // annotation that is named is no look at it, and policies with a mistake name none.
            Served::Unknown => {
                let governing = self.blockers.policies.governing(node);
                let named = names(&governing)?;
                let is_read = |annotation: &NeedAnnotation| node.annotations.contains_key(&annotation.key);
                if !named.iter().all(is_read) {
                    return None;
                }
                add_carried(&mut served, node, named);
            }
        }
        Some(served)
    }
}

/// The annotations that the policy of a node names; none: the policies have a mistake.
fn names(governing: &Governing) -> Option<&[NeedAnnotation]> {
    match governing {
        Governing::BuiltIn | Governing::None => Some(&[]),
        Governing::Policy(policy) => Some(&policy.terms.as_ref().ok()?.need_annotations),
        Governing::Conflict(..) => None,
    }
}

/// Adds what the node carries. What its policy names comes first; what another policy names may be named for the node later.
fn add_carried(served: &mut Vec<ServedAnnotation>, node: &NodeView, named: &[NeedAnnotation]) {
    let is_named = |key: &str| named.iter().any(|annotation| annotation.key == key);
    let carried = node.annotations.iter().filter_map(|(key, value)| {
        Some(ServedAnnotation {
            key: key.clone(),
            value: value.clone()?,
        })
    });
    let (first, rest): (Vec<_>, Vec<_>) = carried.partition(|carried| is_named(&carried.key));
    for annotation in first.into_iter().chain(rest) {
        if served.len() < SERVED_MAX && !served.contains(&annotation) {
            served.push(annotation);
        }
    }
}

/// Removes what the node does not carry any more, or with another value. What the view does not state may be there.
fn remove_gone(served: &mut Vec<ServedAnnotation>, node: &NodeView) {
    let stays = |annotation: &ServedAnnotation| {
        let value = node.annotations.get(&annotation.key);
        value.is_none_or(|value| value.as_ref() == Some(&annotation.value))
    };
    served.retain(stays);
}
