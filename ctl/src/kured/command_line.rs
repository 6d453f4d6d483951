//! kured's command line, read as its parser (pflag) reads it.

use super::fault::Fault;
use super::flag::Flag;
use super::source::Arg;
use super::value::Kind;

/// A flag with its text; none if that is hidden.
pub(crate) type Set = (Flag, Option<String>);

/// The flags of a command line, in their order. `--flag=value` and `--flag value` are the same, except that a flag of
/// the type bool takes no word after it; words that belong to no flag are ignored, and `--` ends the flags.
///
/// # Errors
/// What kured refuses too: it would not start.
pub(crate) fn parse(args: &[Arg]) -> Result<Vec<Set>, Vec<Fault>> {
    let mut sets = Vec::new();
    let mut faults = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if arg.text == "--" {
            break;
        }
        let Some(long) = arg.text.strip_prefix("--") else {
            // A single dash alone is a word.
            if arg.text.starts_with('-') && arg.text.len() > 1 {
                faults.push(Fault::new(
                    &arg.text,
                    "kured has no short flags and would not start: write two dashes",
                ));
            }
            continue;
        };
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let Some(flag) = Flag::named(name) else {
            let message = "kured 1.23 has no such flag: correct it, or take it out if a newer kured has it and its \
                           effect is not needed";
            faults.push(Fault::new(format!("--{name}"), message));
            continue;
        };
        let text = match value {
            Some(value) => (!arg.is_hidden).then(|| value.to_owned()),
            None if flag.kind() == Kind::Bool => Some("true".to_owned()),
            None => match rest.next() {
                Some(next) => (!next.is_hidden).then(|| next.text.clone()),
                None => {
                    faults.push(Fault::new(
                        format!("--{name}"),
                        "it has no value, so kured would not start: write one",
                    ));
                    continue;
                }
            },
        };
        sets.push((flag, text));
    }
    if faults.is_empty() { Ok(sets) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Vec<String>, Vec<String>> {
        let args: Vec<Arg> = words.iter().map(|word| Arg::from(*word)).collect();
        let shown = |(flag, text): &Set| format!("{}={}", flag.name(), text.as_deref().unwrap_or("?"));
        match parse(&args) {
            Ok(sets) => Ok(sets.iter().map(shown).collect()),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.setting).collect()),
        }
    }

    #[test]
    fn a_value_follows_an_equals_sign_or_is_the_next_word() {
        let sets = parsed(&[
            "--period=30m",
            "--start-time",
            "9pm",
            "--lock-ttl",
            "-1s",
            "--alert-filter-regexp=a=b",
        ]);
        let expected = [
            "period=30m",
            "start-time=9pm",
            "lock-ttl=-1s",
            "alert-filter-regexp=a=b",
        ];
        assert_eq!(sets.unwrap(), expected);
    }

    #[test]
    fn a_bool_takes_no_next_word() {
        let sets = parsed(&["--force-reboot", "false", "--annotate-nodes=false"]).unwrap();
        assert_eq!(sets, ["force-reboot=true", "annotate-nodes=false"]);
    }

    #[test]
    fn words_are_ignored_and_two_dashes_end_the_flags() {
        assert_eq!(
            parsed(&["word", "-", "--period=1h", "--", "--concurrency=3"]).unwrap(),
            ["period=1h"]
        );
    }

    #[test]
    fn what_kured_refuses_is_refused_by_name() {
        let faults = parsed(&["-period=1h", "--perod=1h", "--period=1h", "--start-time"]).unwrap_err();
        assert_eq!(faults, ["-period=1h", "--perod", "--start-time"]);
    }

    #[test]
    fn a_value_from_a_secret_is_hidden() {
        let hidden = |text: &str| Arg {
            text: text.to_owned(),
            is_hidden: true,
        };
        let sets = parse(&[hidden("--notify-url=slack://"), Arg::from("--period"), hidden("")]).unwrap();
        assert_eq!(sets, [(Flag::NotifyUrl, None), (Flag::Period, None)]);
    }
}
