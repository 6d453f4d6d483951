//! What one look at a host shows.

use bellwether_proto::Problem;
use jiff::Timestamp;

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether a reboot is required; a problem is neither yes nor no.
    pub need: Result<Option<Need>, Problem>,
    /// When the boot began, by the host's clock as it is now; none if the host does not show that.
    pub booted_at: Option<Timestamp>,
    /// The newest kernel that is installed.
    pub kernel_installed: Option<String>,
    /// The operating system.
    pub os: String,
}

/// A need as the host shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// When the sentinel file was last written.
    pub since: Timestamp,
    /// The packages that ask for the reboot.
    pub reasons: Vec<String>,
}
