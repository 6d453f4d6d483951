//! Which nodes are our concern: those with a Linux host of their own.

/// Labels of nodes that are left alone: name, value, and what such a node is. The DaemonSets in
/// `deploy/base` leave out the same ones, so no agent is missed there.
const LEFT_ALONE: [(&str, &str, &str); 3] = [
    // No sentinel file, no systemd.
    ("kubernetes.io/os", "windows", "Windows node"),
    // No host: each pod has a machine of its own, elsewhere (AKS virtual nodes among others).
    ("type", "virtual-kubelet", "virtual node"),
    ("eks.amazonaws.com/compute-type", "fargate", "Fargate node"),
];

/// What a node is, if it is one that Bellwether leaves alone: no agents, no reboot, no slot.
/// `label` gives the value of a label of the node.
pub fn left_alone<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Option<&'static str> {
    LEFT_ALONE
        .into_iter()
        .find(|(name, value, _)| label(name) == Some(value))
        .map(|(_, _, what)| what)
}
