//! kured's settings by its own precedence: defaults, then the command line, then the environment.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::command_line;
use super::fault::Fault;
use super::flag::Flag;
use super::source::Source;
use super::value::{Kind, Value};

/// The flags that are given, with their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    given: BTreeMap<Flag, Value>,
    /// What an operator would not expect of the precedence.
    pub(crate) notes: Vec<String>,
}

impl Settings {
    /// Reads the command line and the environment. The environment wins over the command line; a list in the
    /// environment is appended; the variable of `--blocking-pod-selector` has no effect.
    ///
    /// # Errors
    /// The settings that kured refuses too.
    pub(crate) fn read(source: &Source) -> Result<Self, Vec<Fault>> {
        let mut settings = Self::default();
        let mut faults = Vec::new();
        for (flag, text) in command_line::parse(&source.args)? {
            if let Err(fault) = settings.set(flag, text.as_deref(), &format!("--{}", flag.name())) {
                faults.push(fault);
            }
        }
        for flag in Flag::ALL.iter().copied() {
            let variable = flag.variable();
            let Some(value) = source.variable(&variable) else {
                continue;
            };
            if flag.kind() == Kind::Array {
                settings.notes.push(format!(
                    "{variable} has no effect in kured, so it was left out: --{} counts on the command line only",
                    flag.name()
                ));
                continue;
            }
            let before = settings.given.get(&flag).cloned();
            let text = (!value.is_hidden).then_some(value.text.as_str());
            if let Err(fault) = settings.set(flag, text, &variable) {
                faults.push(fault);
                continue;
            }
            if before.is_some_and(|before| settings.given.get(&flag) != Some(&before)) {
                let how = match flag.kind() {
                    Kind::Slice => "is appended to",
                    Kind::Text | Kind::Bool | Kind::Int | Kind::Duration | Kind::Array => "wins over",
                };
                settings.notes.push(format!(
                    "{variable} {how} --{}, as in kured 1.23; older versions let the command line win",
                    flag.name()
                ));
            }
        }
        if faults.is_empty() { Ok(settings) } else { Err(faults) }
    }

    fn set(&mut self, flag: Flag, text: Option<&str>, setting: &str) -> Result<(), Fault> {
        let value = match text {
            None => Value::Hidden,
            Some(text) => Value::parse(flag.kind(), text).map_err(|remedy| {
                Fault::new(
                    setting,
                    format!("kured cannot read `{text}` and would not start: {remedy}"),
                )
            })?,
        };
        match (self.given.get_mut(&flag), value) {
            (Some(Value::List(before)), Value::List(more)) => before.extend(more),
            (_, value) => drop(self.given.insert(flag, value)),
        }
        Ok(())
    }

    /// The flags that are given and differ from their defaults, with their values.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (Flag, &Value)> {
        let given = self.given.iter().map(|(flag, value)| (*flag, value));
        given.filter(|(flag, value)| flag.default() != **value)
    }

    /// The flag's value: as given, or its default.
    pub(crate) fn value(&self, flag: Flag) -> Value {
        self.given.get(&flag).cloned().unwrap_or_else(|| flag.default())
    }

    /// The value of a flag of the type text; empty if it is hidden.
    pub(crate) fn text(&self, flag: Flag) -> String {
        if let Value::Text(text) = self.value(flag) {
            text
        } else {
            String::new()
        }
    }

    /// The value of a flag of the type bool; false if it is hidden.
    pub(crate) fn is_on(&self, flag: Flag) -> bool {
        self.value(flag) == Value::Bool(true)
    }

    /// The value of a flag of the type int; none if it is hidden.
    pub(crate) fn number(&self, flag: Flag) -> Option<i64> {
        if let Value::Int(number) = self.value(flag) {
            Some(number)
        } else {
            None
        }
    }

    /// The value of a flag of the type duration; zero if it is hidden.
    pub(crate) fn duration(&self, flag: Flag) -> SignedDuration {
        if let Value::Duration(duration) = self.value(flag) {
            duration
        } else {
            SignedDuration::ZERO
        }
    }

    /// The value of a list; empty if it is hidden.
    pub(crate) fn list(&self, flag: Flag) -> Vec<String> {
        if let Value::List(entries) = self.value(flag) {
            entries
        } else {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kured::source::Arg;

    fn source(args: &[&str], env: &[(&str, &str)]) -> Source {
        Source {
            args: args.iter().map(|arg| Arg::from(*arg)).collect(),
            env: env
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Arg::from(*value)))
                .collect(),
            ..Source::default()
        }
    }

    fn read(args: &[&str], env: &[(&str, &str)]) -> Settings {
        Settings::read(&source(args, env)).unwrap()
    }

    #[test]
    fn the_environment_wins_over_the_command_line_and_that_is_noted() {
        let settings = read(
            &["--period=30m", "--concurrency=2"],
            &[("KURED_PERIOD", "10m"), ("KURED_CONCURRENCY", "2")],
        );
        assert_eq!(settings.duration(Flag::Period), SignedDuration::from_mins(10));
        assert_eq!(
            settings.notes,
            ["KURED_PERIOD wins over --period, as in kured 1.23; older versions let the command line win"]
        );
    }

    #[test]
    fn the_last_flag_wins_over_those_before() {
        let settings = read(&["--period=30m", "--period", "5m"], &[]);
        assert_eq!(settings.duration(Flag::Period), SignedDuration::from_mins(5));
    }

    #[test]
    fn lists_are_appended_and_the_first_entry_replaces_the_default() {
        let settings = read(
            &["--reboot-days=mo", "--reboot-days=tu,we"],
            &[("KURED_REBOOT_DAYS", "th")],
        );
        assert_eq!(settings.list(Flag::RebootDays), ["mo", "tu", "we", "th"]);
        assert_eq!(
            settings.notes,
            [
                "KURED_REBOOT_DAYS is appended to --reboot-days, as in kured 1.23; older versions let the command line win"
            ]
        );
        let settings = read(&[], &[("KURED_REBOOT_DAYS", "th")]);
        assert_eq!(settings.list(Flag::RebootDays), ["th"]);
        assert_eq!(
            read(&["--reboot-days="], &[]).list(Flag::RebootDays),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_variable_of_blocking_pod_selectors_has_no_effect() {
        let env = [("KURED_BLOCKING_POD_SELECTOR", "app=ci")];
        let settings = read(
            &["--blocking-pod-selector=a=1,b=2", "--blocking-pod-selector=c=3"],
            &env,
        );
        assert_eq!(settings.list(Flag::BlockingPodSelector), ["a=1,b=2", "c=3"]);
        assert!(
            settings.notes[0].contains("has no effect in kured"),
            "{:?}",
            settings.notes
        );
        assert_eq!(read(&[], &env).list(Flag::BlockingPodSelector), Vec::<String>::new());
    }

    #[test]
    fn a_wrong_value_is_named_by_the_place_where_it_stands() {
        let faults = Settings::read(&source(&["--period=30"], &[("KURED_FORCE_REBOOT", "yes")])).unwrap_err();
        let names: Vec<_> = faults.iter().map(|fault| fault.setting.as_str()).collect();
        assert_eq!(names, ["--period", "KURED_FORCE_REBOOT"]);
        assert!(
            faults[0].message.contains("`30`") && faults[0].message.contains("90s"),
            "{}",
            faults[0]
        );
    }

    #[test]
    fn flags_with_their_defaults_are_not_changed() {
        let settings = read(
            &[
                "--metrics-port=8080",
                "--reboot-days=su,mo,tu,we,th,fr,sa",
                "--concurrency=2",
            ],
            &[],
        );
        let changed: Vec<_> = settings.changed().map(|(flag, _)| flag).collect();
        assert_eq!(changed, [Flag::Concurrency]);
    }
}
