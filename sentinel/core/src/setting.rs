//! The list of probes, as operators write it: `file; kernel interval=10m; command preset=dnf`.
//!
//! Entries are separated by `;` or a line end. An entry is the kind of the probe and its fields, each `NAME=VALUE`. Every
//! mistake is found at the start, and names the entry, the field and the remedy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether_proto::limit::{PROBE_NAME_BYTES_MAX, PROBES_MAX};
use jiff::SignedDuration;

use crate::preset::Preset;

/// The file that transactional-update leaves on a host that needs a reboot.
const TRANSACTIONAL_UPDATE_FILE: &str = "/var/run/reboot-needed";

/// How long a look may take, unless the setting states it: far longer than a file takes, and short beside the minutes
/// after which a silent sentinel counts as gone.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest limit: the first report waits for the first look of each probe.
const LIMIT_MAX: Duration = Duration::from_secs(60);

/// How old the result of a command may be, unless the setting states it: two runs of an hourly timer may fail.
const MAX_AGE: Duration = Duration::from_secs(3 * 3600);

/// The probes of a host, at least one, each with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes(pub Vec<Probe>);

/// One probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Its name in reports, metrics and logs.
    pub name: String,
    /// How it looks.
    pub kind: Kind,
    /// How often; none: as often as the host is looked at without a hint.
    pub interval: Option<Duration>,
    /// How long a look may take; then the probe has a problem.
    pub limit: Duration,
}

/// How a probe looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One of these files is there; without any, the sentinel file.
    File(Vec<PathBuf>),
    /// A newer kernel than the one that runs is installed.
    Kernel,
    /// The host runs for longer than this.
    Uptime(Duration),
    /// The result of a command that the host runs.
    Command {
        /// Which command.
        preset: Preset,
        /// How old the result may be.
        max_age: Duration,
    },
}

impl Kind {
    /// The word for reports and labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Kernel => "kernel",
            Self::Uptime(_) => "uptime",
            Self::Command { .. } => "command",
        }
    }
}

/// Reads a list of probes.
///
/// # Errors
/// Names the first mistake: its entry, its field and the remedy.
pub fn probes(text: &str) -> Result<Probes, String> {
    let entries = text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    let mut probes: Vec<Probe> = Vec::new();
    for entry in entries {
        let probe = probe(entry).map_err(|mistake| format!("`{entry}`: {mistake}"))?;
        if probes.iter().any(|other| other.name == probe.name) {
            return Err(format!(
                "`{entry}`: another probe has the name {} already; add name=ANOTHER to one of them",
                probe.name
            ));
        }
        probes.push(probe);
    }
    match probes.len() {
        0 => Err("names no probe; write it as file or as file; kernel".to_owned()),
        number if number > PROBES_MAX => Err(format!("names {number} probes; a report has at most {PROBES_MAX}")),
        _ => Ok(Probes(probes)),
    }
}

fn probe(entry: &str) -> Result<Probe, String> {
    let mut words = entry.split_whitespace();
    let word = words.next().unwrap_or_default();
    let mut fields = Fields::read(words)?;
    let mut name = word.to_owned();
    let kind = match word {
        "file" => Kind::File(fields.take("path").map(paths).transpose()?.unwrap_or_default()),
        "kernel" => Kind::Kernel,
        "uptime" => {
            let Some(text) = fields.take("older-than") else {
                return Err("field older-than is missing; add older-than=720h".to_owned());
            };
            Kind::Uptime(duration("older-than", text)?)
        }
        "command" => {
            let Some(preset) = fields.take("preset") else {
                return Err(format!("field preset is missing; add preset={}", names("|")));
            };
            name = preset.to_owned();
            let max_age = fields
                .take("max-age")
                .map(|text| duration("max-age", text))
                .transpose()?;
            command(preset, max_age)?
        }
        other => {
            return Err(format!(
                "{other} is no kind of probe; write file, kernel, uptime or command"
            ));
        }
    };
    if let Some(given) = fields.take("name") {
        name = given.to_owned();
    }
    let interval = fields
        .take("interval")
        .map(|text| duration("interval", text))
        .transpose()?;
    let limit = fields.take("limit").map(|text| duration("limit", text)).transpose()?;
    fields.end(word)?;
    Ok(Probe {
        name: self::name(name)?,
        kind,
        interval,
        limit: match limit {
            Some(limit) if limit > LIMIT_MAX => {
                return Err("field limit is longer than 60s; write it as 10s".to_owned());
            }
            Some(limit) => limit,
            None => LIMIT,
        },
    })
}

fn command(preset: &str, max_age: Option<Duration>) -> Result<Kind, String> {
    if preset == "transactional-update" {
        return match max_age {
            None => Ok(Kind::File(vec![PathBuf::from(TRANSACTIONAL_UPDATE_FILE)])),
            Some(_) => {
                Err("field max-age means nothing to transactional-update, which leaves a file; remove it".to_owned())
            }
        };
    }
    // Both have the same command, words and exit codes.
    let known = Preset::ALL
        .into_iter()
        .find(|known| known.as_str() == preset.replace("dnf5", "dnf"));
    let Some(preset) = known else {
        return Err(format!("field preset: {preset} is none; write preset={}", names("|")));
    };
    Ok(Kind::Command {
        preset,
        max_age: max_age.unwrap_or(MAX_AGE),
    })
}

fn names(separator: &str) -> String {
    let names = Preset::ALL.map(Preset::as_str);
    [&names[..], &["dnf5", "transactional-update"]].concat().join(separator)
}

fn paths(text: &str) -> Result<Vec<PathBuf>, String> {
    let paths = text.split(',').map(|path| {
        let path = Path::new(path);
        if path.is_absolute() && path.file_name().is_some() {
            Ok(path.to_owned())
        } else {
            Err(format!(
                "field path: {} is not the absolute path of a file; write it as path=/var/run/reboot-required",
                path.display()
            ))
        }
    });
    paths.collect()
}

fn name(name: String) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > PROBE_NAME_BYTES_MAX || !name.bytes().all(fits) {
        return Err(format!(
            "field name: {name} is no name of a probe; write 1 to {PROBE_NAME_BYTES_MAX} characters of a-z, 0-9 and -"
        ));
    }
    Ok(name)
}

fn duration(field: &str, text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    match parsed.and_then(|duration| Duration::try_from(duration).ok()) {
        Some(Duration::ZERO) => Err(format!("field {field} is zero; write it as 30s, 5m or 1h")),
        Some(duration) => Ok(duration),
        None => Err(format!(
            "field {field}: {text} is no duration; write it as 30s, 5m or 1h"
        )),
    }
}

/// The fields of an entry that are not read yet.
struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    fn read(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut fields = Vec::new();
        let mut known = BTreeSet::new();
        for word in words {
            let Some((name, value)) = word.split_once('=') else {
                return Err(format!("{word} is no field; write it as NAME=VALUE"));
            };
            if !known.insert(name) {
                return Err(format!("field {name} is there twice; remove one"));
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let place = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(place).1)
    }

    fn end(self, kind: &str) -> Result<(), String> {
        match self.0.first() {
            Some((name, _)) => Err(format!("field {name} is none of the kind {kind}; remove it")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_its_defaults_and_its_fields() {
        let text = "file; kernel interval=10m\n command preset=dnf max-age=2h ; command preset=transactional-update;\
                    uptime older-than=720h name=old limit=9s; file name=more path=/a/b,/c";
        let probes = probes(text).unwrap().0;
        let names: Vec<_> = probes.iter().map(|probe| (&*probe.name, probe.kind.as_str())).collect();
        assert_eq!(
            names,
            [
                ("file", "file"),
                ("kernel", "kernel"),
                ("dnf", "command"),
                ("transactional-update", "file"),
                ("old", "uptime"),
                ("more", "file"),
            ]
        );
        let second = Duration::from_secs(1);
        assert_eq!(probes[0].kind, Kind::File(Vec::new()));
        assert_eq!((probes[0].interval, probes[0].limit), (None, LIMIT));
        assert_eq!(probes[1].interval, Some(600 * second));
        let (preset, max_age) = (Preset::Dnf, 7200 * second);
        assert_eq!(probes[2].kind, Kind::Command { preset, max_age });
        assert_eq!(probes[3].kind, Kind::File(vec!["/var/run/reboot-needed".into()]));
        assert_eq!(
            (&probes[4].kind, probes[4].limit),
            (&Kind::Uptime(720 * 3600 * second), 9 * second)
        );
        assert_eq!(probes[5].kind, Kind::File(vec!["/a/b".into(), "/c".into()]));
        let five = self::probes("command preset=dnf5").unwrap().0;
        assert_eq!((&*five[0].name, five[0].kind.as_str()), ("dnf5", "command"));
    }

    #[test]
    fn a_mistake_names_its_entry_its_field_and_the_remedy() {
        for (text, words) in [
            ("", "write it as file"),
            (" ; ", "write it as file"),
            (
                "files",
                "files is no kind of probe; write file, kernel, uptime or command",
            ),
            (
                "command preset=pacman",
                "field preset: pacman is none; write preset=dnf|",
            ),
            ("command", "add preset="),
            ("command preset=zypper max-age=0s", "field max-age is zero"),
            ("command preset=transactional-update max-age=1h", "remove it"),
            (
                "file path=run/reboot-required",
                "field path: run/reboot-required is not the absolute path",
            ),
            ("file path=/a,", "field path:  is not the absolute path"),
            ("file path=/", "field path: / is not"),
            (
                "kernel interval=0s",
                "field interval is zero; write it as 30s, 5m or 1h",
            ),
            ("kernel interval=often", "field interval: often is no duration"),
            ("kernel limit=-3s", "field limit: -3s is no duration"),
            ("kernel limit=2m", "field limit is longer than 60s"),
            ("uptime", "add older-than=720h"),
            (
                "file; kernel; file",
                "another probe has the name file already; add name=",
            ),
            ("kernel name=file; file", "another probe has the name file already"),
            ("kernel name=My", "field name: My is no name"),
            ("kernel path=/a", "field path is none of the kind kernel; remove it"),
            ("kernel interval=1m interval=2m", "field interval is there twice"),
            ("kernel often", "often is no field; write it as NAME=VALUE"),
        ] {
            let mistake = probes(text).unwrap_err();
            assert!(mistake.contains(words), "{text}: {mistake}");
            let last = text.split(';').next_back().unwrap_or_default().trim();
            assert!(mistake.contains(last), "{text}: {mistake}");
        }
        let many: Vec<_> = (0..=PROBES_MAX)
            .map(|number| format!("kernel name=k{number}"))
            .collect();
        assert!(probes(&many.join(";")).unwrap_err().contains("at most 16"));
    }
}
