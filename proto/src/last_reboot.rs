//! The last reboot of a node, as the records of its later attempts keep it.

use jiff::{SignedDuration, Timestamp};

use crate::field::{instant_required, to_timestamp};
use crate::ids::BootId;
use crate::message::WireError;
use crate::served_annotation::ServedAnnotation;
use crate::wire;

/// The last reboot of a node: it distinguishes a need that survived its reboot from a new one. See
/// [`wire::LastReboot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastReboot {
    /// The boot in which the reboot ended.
    pub boot_id: BootId,
    /// Since when the host needed that reboot, by the host's clock and the last report before the reboot.
    pub need_since: Timestamp,
    /// When the old boot began to end, as far as the scheduler knows.
    pub began_at: Timestamp,
    /// The sentinel has reported in this boot that no reboot is required.
    pub need_cleared: bool,
    /// When the old boots of the reboots before this one began to end, newest first, since an operator's last cancel.
    pub earlier: Vec<Timestamp>,
    /// How many soft reboots that boot had had after it, if it was a soft one.
    pub soft_reboots: Option<u32>,
    /// The annotations that it has served, without those that were gone in this boot; none: not known.
    pub served_annotations: Option<Vec<ServedAnnotation>>,
}

impl LastReboot {
    /// When the reboots within this time up to the last one began, newest first; the last one is among them.
    pub fn within(&self, time: SignedDuration) -> impl Iterator<Item = Timestamp> {
        let reboots = std::iter::once(self.began_at).chain(self.earlier.iter().copied());
        reboots.take_while(move |at| self.began_at.duration_since(*at) <= time)
    }

    const TYPE: &'static str = "bellwether.v1.LastReboot";

    pub(crate) fn from_wire(wire: wire::LastReboot) -> Result<Self, WireError> {
        Ok(Self {
            boot_id: wire.boot_id.parse().map_err(WireError::id(Self::TYPE, "boot_id"))?,
            need_since: instant_required(Self::TYPE, "need_since", wire.need_since)?,
            began_at: instant_required(Self::TYPE, "began_at", wire.began_at)?,
            need_cleared: wire.need_cleared,
            earlier: wire
                .earlier
                .into_iter()
                .map(|at| instant_required(Self::TYPE, "earlier", Some(at)))
                .collect::<Result<_, _>>()?,
            soft_reboots: wire.soft_reboots,
            served_annotations: wire.served_annotations.map(ServedAnnotation::all_from_wire),
        })
    }

    pub(crate) fn to_wire(&self) -> wire::LastReboot {
        wire::LastReboot {
            boot_id: self.boot_id.to_string(),
            need_since: Some(to_timestamp(self.need_since)),
            began_at: Some(to_timestamp(self.began_at)),
            need_cleared: self.need_cleared,
            earlier: self.earlier.iter().copied().map(to_timestamp).collect(),
            soft_reboots: self.soft_reboots,
            served_annotations: self.served_annotations.as_deref().map(ServedAnnotation::all_to_wire),
        }
    }
}
