//! The rules by name, and the list of those that are known to be broken.

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Bellwether never disrupts more nodes at once than there are slots, and starts none while nodes that are down
    /// or cordoned by others take them.
    Budget,
    /// No drainer cordons a node after its attempt has ended, so that one node too many is disrupted. A part of
    /// the budget with a name of its own.
    NoLateCordon,
    /// No node reboots unless this attempt has drained the node, and the node carries this attempt's cordon.
    DrainedBeforeRebooted,
    /// Need and fitness are looked at again right before the order, by the newest reports that the leader has.
    LookedAtAgain,
    /// One need leads to at most one reboot.
    Once,
    /// A cordon of another owner stays, and such a node is not started.
    ForeignCordonStays,
    /// A node that carries our cordon is uncordoned within a bound, or its attempt keeps its slot.
    WayBack,
    /// An attempt is Done only in a new boot and without our cordon.
    NoFalseSuccess,
    /// Every node that needs a reboot has a reason at every look; in an attempt, its next step.
    Explained,
    /// At most one node of the control plane is disrupted at once.
    ControlPlaneOneAtATime,
    /// Nothing starts while a stored order pauses the fleet.
    PauseHolds,
    /// A free node that was not tried yet starts within a bound, however many others fail.
    NoStarvation,
    /// The attempts of one node in one hour are bounded.
    NoStorm,
    /// Every attempt ends within a bound.
    AttemptsEnd,
    /// Once no mishap happens any more, every slot comes back.
    SlotsComeBack,
    /// Once no mishap happens any more, every node that needs a reboot and can be rebooted is.
    NeedsAreServed,
}

impl Check {
    /// The name of the rule.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "Budget",
            Self::NoLateCordon => "No late cordon",
            Self::DrainedBeforeRebooted => "Drained before rebooted",
            Self::LookedAtAgain => "Looked at again",
            Self::Once => "Once",
            Self::ForeignCordonStays => "Foreign cordon stays",
            Self::WayBack => "Way back",
            Self::NoFalseSuccess => "No false success",
            Self::Explained => "Explained",
            Self::ControlPlaneOneAtATime => "Control plane one at a time",
            Self::PauseHolds => "Pause holds",
            Self::NoStarvation => "No starvation",
            Self::NoStorm => "No storm",
            Self::AttemptsEnd => "Attempts end",
            Self::SlotsComeBack => "Slots come back",
            Self::NeedsAreServed => "Needs are served",
        }
    }
}

/// Rules that the code is known to break, each with its issue. They are counted and do not fail a run.
pub const OPEN: &[(Check, &str)] = &[];
