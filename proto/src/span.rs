//! Names of spans. Those of the phases of an attempt are the phases' own.
//!
//! What each shows is in docs/tracing.md, and a test compares that table with this list.

names! {
    /// The moment from which a host requires a reboot: the root.
    REBOOT_REQUIRED = "reboot required";
    /// From the need to the first attempt.
    WAITING = "waiting";
    /// An attempt.
    REBOOT_NODE = "reboot node";
    /// From the order to the call for the reboot.
    REBOOT_HOST = "reboot host";
    /// From the last sign of the old boot to the first of the new one.
    HOST_AWAY = "host away";
    /// Firmware of the new boot.
    FIRMWARE = "firmware";
    /// Boot loader of the new boot.
    BOOT_LOADER = "boot loader";
    /// Kernel of the new boot.
    KERNEL = "kernel";
    /// First user space of the new boot.
    INITRD = "initrd";
    /// Services of the new boot.
    USER_SPACE = "user space";
    /// A drainer's work on a drain.
    DRAIN_NODE = "drain node";
    /// A wave of a drain.
    DRAIN_WAVE = "drain wave";
    /// A pod that a budget kept, or that took long.
    DRAIN_POD = "drain pod";
    /// A drainer's work on an uncordon.
    UNCORDON_NODE = "uncordon node";
}
