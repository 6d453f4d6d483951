//! The node's rebooter does not know the key that signs records, so it would obey no order: such a node is not drained in
//! vain. A rebooter of a version before signatures verifies nothing, and needs no key.

use bellwether_proto::KeyId;

use crate::admission::gate::Candidate;
use crate::admission::reason::Reason;
use crate::observed::Observation;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    lacks_key(&candidate.observation, candidate.blockers.signing_key)
}

/// Why an order that this key signs would not be obeyed; none if it would. Asked again right before the reboot is
/// ordered.
pub(crate) fn lacks_key(observation: &Observation<'_>, signing: Option<KeyId>) -> Option<Reason> {
    let key = signing?;
    let known = observation.rebooter?.report.record_keys.as_ref()?;
    (!known.contains(&key)).then_some(Reason::RecordKeyUnknown { key })
}
