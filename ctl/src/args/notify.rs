//! Arguments of `notify`.

use std::path::PathBuf;

/// Verbs for the notifier.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum NotifyVerb {
    /// Show each message of a rollout as each target would get it, by a configuration file; sends nothing
    ///
    /// The names of nodes and the numbers are samples; texts, routes and forms are those of the notifier. In place of a secret
    /// stands the name of its file.
    Preview(NotifyPreviewArgs),
    /// Have the notifier send one marked message to each target, and print what each answers
    ///
    /// Runs in the notifier's pod (kubectl exec), which alone has the secrets. Fails unless each target has taken the message.
    Test(NotifyTestArgs),
}

/// Arguments of `notify preview`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NotifyPreviewArgs {
    /// The notifier's config.yaml; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// Only this target
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,

    /// Only messages of this kind, such as DrainBlocked
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,

    /// The RebootPolicy of the sample's nodes, for routes with policies
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub(crate) policy: String,

    /// The owner of the sample's namespace whose pods block a drain, for routes with owners
    #[arg(long, value_name = "NAME", default_value = "team-shop")]
    pub(crate) owner: String,
}

/// Arguments of `notify test`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NotifyTestArgs {
    /// Only this target
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
}
