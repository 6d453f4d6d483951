//! The meaning of `canaries`.

use jiff::SignedDuration;

use crate::duration::duration;
use crate::fault::Fault;
use crate::selector::Selector;
use crate::spec::CanariesSpec;

/// Nodes that reboot before the others of their policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canaries {
    /// The nodes.
    pub selector: Selector,
    /// The time from the last canary's reboot to the start of the first other node.
    pub soak: SignedDuration,
}

impl Canaries {
    /// Longest soak: a month. Security updates of all other nodes wait for so long.
    const SOAK_MAX: SignedDuration = SignedDuration::from_hours(24 * 31);

    /// The meaning of the fields. Mistakes are noted.
    pub(crate) fn read(spec: &CanariesSpec, faults: &mut Vec<Fault>) -> Self {
        const SELECTOR: &str = "spec.canaries.nodeSelector";
        let selector = Selector::new(&spec.node_selector, SELECTOR).unwrap_or_else(|mut found| {
            faults.append(&mut found);
            Selector::default()
        });
        if spec.node_selector.match_labels.is_empty() && spec.node_selector.match_expressions.is_empty() {
            faults.push(Fault::new(
                SELECTOR,
                "selects every node: write the labels of the few nodes that reboot first",
            ));
        }
        let soak = duration(&spec.soak, "spec.canaries.soak", Self::SOAK_MAX);
        Self {
            selector,
            soak: soak.unwrap_or_else(|fault| {
                faults.push(fault);
                SignedDuration::ZERO
            }),
        }
    }
}
