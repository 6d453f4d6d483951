//! The plan for one kured: the policy, the settings, and what becomes of each flag; as text and as files.

use anyhow::Context as _;
use bellwether_policy::{GROUP, KIND, RebootPolicySpec, VERSION, WindowSpec};
use serde::Serialize;

use super::overlay::Overlay;
use super::settings::Settings;
use super::text::comment;
use super::traces::Trace;
use super::verdict::Counterpart;

/// Width of comments, as of the files of this repository.
const WIDTH: usize = 110;

/// What does the same as one kured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The name of the policy.
    pub(crate) name: String,
    /// The policy, which has no mistake.
    pub(crate) spec: RebootPolicySpec,
    /// The window that was most likely meant, if that is another one.
    pub(crate) meant: Option<WindowSpec>,
    /// The settings of services.
    pub(crate) overlay: Overlay,
    /// Each flag that is given and is not kured's default.
    pub(crate) flags: Vec<FlagPlan>,
    /// What an operator would not expect.
    pub(crate) notes: Vec<String>,
    /// kured's settings.
    pub(crate) settings: Settings,
}

/// What becomes of a flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FlagPlan {
    /// The flag, without dashes.
    pub(crate) flag: &'static str,
    /// Its value; not that of a credential.
    pub(crate) value: String,
    /// Where its counterpart is.
    pub(crate) counterpart: Counterpart,
    /// Which counterpart, or why there is none.
    pub(crate) text: String,
}

impl Plan {
    /// The policy as a file, with a comment of all that the policy cannot express.
    ///
    /// # Errors
    /// A value that YAML cannot express.
    pub(crate) fn policy_yaml(&self) -> anyhow::Result<String> {
        let mut text = comment(
            "When nodes may reboot, as kured did it. Made by `kubectl reboots migrate`.",
            WIDTH,
        );
        for note in &self.notes {
            text.push_str(&comment(&format!("- {note}"), WIDTH));
        }
        for flag in self.flags.iter().filter(|flag| flag.counterpart == Counterpart::None) {
            let without = format!("- --{} has no counterpart: {}", flag.flag, flag.text);
            text.push_str(&comment(&without, WIDTH));
        }
        text.push_str(&self.document()?);
        Ok(text)
    }

    /// The policy without notes.
    fn document(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        if let Some(meant) = &self.meant {
            text.push_str("# Most likely meant, instead of the two windows below:\n");
            let windows = yaml(&Windows { windows: [meant] })?;
            text.extend(windows.lines().map(|line| format!("#   {line}\n")));
        }
        let document = Document {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: KIND,
            metadata: Metadata { name: &self.name },
            spec: &self.spec,
        };
        text.push_str(&yaml(&document)?);
        Ok(text)
    }

    /// All of it for reading: the flags by their counterparts, the notes, the files, and what kured left.
    ///
    /// # Errors
    /// A value that YAML cannot express.
    pub(crate) fn report(&self, origin: &str, traces: &Traces<'_>) -> anyhow::Result<String> {
        let mut text = format!("{origin}: {} flags differ from kured's defaults\n", self.flags.len());
        for (counterpart, title) in [
            (Counterpart::Policy, "in the policy"),
            (Counterpart::Setting, "in the settings"),
            (Counterpart::Unneeded, "not needed"),
            (Counterpart::None, "WITHOUT COUNTERPART"),
        ] {
            let of_title = self.flags.iter().filter(|flag| flag.counterpart == counterpart);
            for (index, flag) in of_title.enumerate() {
                if index == 0 {
                    text.push_str(&format!("\n{title}\n"));
                }
                text.push_str(&format!("  --{}={}: {}\n", flag.flag, flag.value, flag.text));
            }
        }
        list(&mut text, "notes", self.notes.iter().map(String::as_str));
        text.push_str(&format!(
            "\n--- the policy (as a file with these notes: -o policy)\n{}",
            self.document()?
        ));
        text.push_str(&format!(
            "\n--- a component for your overlay (-o overlay)\n{}",
            self.overlay.yaml()?
        ));
        match traces {
            Traces::NotLooked => {
                text.push_str("\nThe cluster was not looked at, so what kured leaves there is not listed.\n")
            }
            Traces::Found([]) => text.push_str("\nkured left nothing on the nodes of the cluster.\n"),
            Traces::Found(traces) => {
                text.push_str("\nleft by kured; once no kured runs any more:\n");
                for trace in *traces {
                    text.push_str(&format!("  {}\n    {}\n", trace.found, trace.command));
                }
            }
        }
        Ok(text)
    }

    /// All of it for programs.
    pub(crate) fn json(&self, origin: &str, traces: &Traces<'_>) -> String {
        let json = serde_json::json!({
            "origin": origin,
            "policy": { "name": self.name, "spec": self.spec },
            "windowMeant": self.meant,
            "overlay": self.overlay,
            "flags": self.flags,
            "notes": self.notes,
            "traces": match traces {
                Traces::NotLooked => None,
                Traces::Found(traces) => Some(traces),
            },
        });
        format!("{json:#}\n")
    }
}

/// What kured left in the cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Traces<'a> {
    /// Only a file was read.
    NotLooked,
    /// All traces.
    Found(&'a [Trace]),
}

/// With every value in quotation marks, as docs/policy.md advises for times and dates.
fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { quote_all: true };
    serde_saphyr::to_string_with_options(value, options).context("the policy cannot be written as YAML")
}

fn list<'a>(text: &mut String, title: &str, entries: impl Iterator<Item = &'a str>) {
    for (index, entry) in entries.enumerate() {
        if index == 0 {
            text.push_str(&format!("\n{title}\n"));
        }
        text.push_str(&format!("  - {entry}\n"));
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    api_version: String,
    kind: &'static str,
    metadata: Metadata<'a>,
    spec: &'a RebootPolicySpec,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Windows<'a> {
    windows: [&'a WindowSpec; 1],
}
