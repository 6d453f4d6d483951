//! What configures a kured, from its DaemonSet: container, arguments, environment, mounts, nodes.

use serde_json::Value;

use super::fault::Fault;
use super::selector;
use super::source::{Arg, Source};

/// Longest argument or variable that Linux hands to a program, with the zero at its end. Variables that name each other
/// can double with each line of a manifest.
const WORD_BYTES_MAX: usize = 128 * 1024 - 1;

/// Most bytes of all arguments, or of all variables, of a program: what Linux has room for.
const WORDS_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The program, by the last part of its path.
const KURED: &str = "kured";

/// Reads a DaemonSet of kured.
///
/// # Errors
/// Its container cannot be found, or is started in a way that hides its arguments.
pub(crate) fn source(daemon_set: &Value) -> Result<Source, Vec<Fault>> {
    let text = |pointer: &str| daemon_set.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut source = Source {
        name: text("/metadata/name").to_owned(),
        namespace: text("/metadata/namespace").to_owned(),
        ..Source::default()
    };
    let spec = daemon_set.pointer("/spec/template/spec").unwrap_or(&Value::Null);
    let container = container(spec).map_err(|fault| vec![fault])?;
    source.env = env(container, &mut source.notes);
    let words = words(container).map_err(|fault| vec![fault])?;
    let mut room = WORDS_BYTES_MAX;
    source.args = words
        .iter()
        .map(|word| expanded(word, &source.env, &mut room))
        .collect();
    source.mounts = mounts(container, spec);
    selector::read(spec, &mut source);
    Ok(source)
}

/// The container that runs kured: by its name, image or program, or the only one.
fn container(spec: &Value) -> Result<&Value, Fault> {
    let containers = spec.get("containers").and_then(Value::as_array).map(Vec::as_slice);
    let containers = containers.unwrap_or_default();
    let is_kured = |container: &&Value| {
        let image = text(container, "image");
        let of_image = image
            .split([':', '@'])
            .any(|part| part.rsplit('/').next() == Some(KURED));
        let program = strings(container, "command").next().unwrap_or_default();
        text(container, "name") == KURED || of_image || is_program(program)
    };
    match containers {
        [one] => Ok(one),
        several => several.iter().find(is_kured).ok_or_else(|| {
            Fault::new(
                "spec.template.spec.containers",
                "none of these containers is kured by its name, image or command: give a manifest of kured",
            )
        }),
    }
}

fn is_program(word: &str) -> bool {
    word.rsplit('/').next() == Some(KURED)
}

/// The words after the program.
fn words(container: &Value) -> Result<Vec<&str>, Fault> {
    let mut command = strings(container, "command");
    match command.next() {
        None => {}
        Some(program) if is_program(program) => {}
        Some(program) => {
            let message = format!(
                "kured is started through `{program}`, so its arguments are not known: write them as `args` into a copy \
                 of the manifest, and give the copy by --file"
            );
            return Err(Fault::new("command", message));
        }
    }
    Ok(command.chain(strings(container, "args")).collect())
}

/// The environment; a value from elsewhere is hidden.
pub(crate) fn env(container: &Value, notes: &mut Vec<String>) -> Vec<(String, Arg)> {
    if container
        .get("envFrom")
        .and_then(Value::as_array)
        .is_some_and(|from| !from.is_empty())
    {
        notes.push(
            "kured has variables from whole ConfigMaps or Secrets (envFrom), which are not read: one that begins with \
             KURED_ would win over the flags here"
                .to_owned(),
        );
    }
    let mut env: Vec<(String, Arg)> = Vec::new();
    let mut room = WORDS_BYTES_MAX;
    for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
        let value = match variable.get("value").map(scalar) {
            Some(value) => expanded(&value, &env, &mut room),
            None => Arg {
                text: String::new(),
                is_hidden: variable.get("valueFrom").is_some(),
            },
        };
        env.push((text(variable, "name").to_owned(), value));
    }
    env
}

/// The folders of the host that a container sees: the path inside, and on the host.
pub(crate) fn mounts(container: &Value, spec: &Value) -> Vec<(String, String)> {
    let volumes = spec.get("volumes").and_then(Value::as_array);
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    let pair = |mount: &Value| {
        let mut all = volumes.into_iter().flatten();
        let volume = all.find(|volume| text(volume, "name") == text(mount, "name"))?;
        let path = volume.pointer("/hostPath/path")?.as_str()?;
        Some((
            text(mount, "mountPath").trim_end_matches('/').to_owned(),
            path.to_owned(),
        ))
    };
    mounts.into_iter().flatten().filter_map(pair).collect()
}

/// Replaces `$(NAME)` as Kubernetes does: by a variable that is set, and `$$` by `$`. A word with which no program could be
/// started is not known. `room` is what is left for all words.
fn expanded(word: &str, env: &[(String, Arg)], room: &mut usize) -> Arg {
    let bytes_max = WORD_BYTES_MAX.min(*room);
    let mut arg = Arg::default();
    let mut rest = word;
    while arg.text.len() <= bytes_max
        && let Some((before, after)) = rest.split_once('$')
    {
        arg.text.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            arg.text.push('$');
            rest = after;
            continue;
        }
        let reference = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let found = reference.and_then(|(name, after)| {
            let (_, value) = env.iter().rev().find(|(key, _)| key == name)?;
            Some((value, after))
        });
        match found {
            Some((value, after)) => {
                arg.text.push_str(&value.text);
                arg.is_hidden |= value.is_hidden;
                rest = after;
            }
            None => arg.text.push('$'),
        }
    }
    arg.text.push_str(rest);
    if arg.text.len() > bytes_max {
        return Arg {
            text: String::new(),
            is_hidden: true,
        };
    }
    *room = room.saturating_sub(arg.text.len());
    arg
}

/// A scalar as text, as Kubernetes and Helm write numbers and booleans of values.
pub(crate) fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn strings<'a>(object: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let list = object.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daemon_set(containers: Value) -> Value {
        json!({
            "kind": "DaemonSet",
            "metadata": { "name": "kured", "namespace": "kube-system" },
            "spec": { "template": { "spec": {
                "containers": containers,
                "volumes": [{ "name": "run", "hostPath": { "path": "/var/run" } }, { "name": "other", "emptyDir": {} }],
            } } },
        })
    }

    fn texts(source: &Source) -> Vec<&str> {
        source.args.iter().map(|arg| arg.text.as_str()).collect()
    }

    #[test]
    fn flags_stand_in_command_and_args_of_the_container_of_kured() {
        let source = source(&daemon_set(json!([
            { "name": "proxy", "image": "proxy:1", "args": ["--period=1s"] },
            { "name": "main", "image": "ghcr.io/kubereboot/kured:1.23.0", "command": ["/usr/bin/kured", "--period=2h"],
              "args": ["--concurrency", "2"],
              "volumeMounts": [{ "name": "run", "mountPath": "/sentinel/" }, { "name": "other", "mountPath": "/tmp" }] },
        ])))
        .unwrap();
        assert_eq!(
            (source.namespace.as_str(), source.name.as_str()),
            ("kube-system", "kured")
        );
        assert_eq!(texts(&source), ["--period=2h", "--concurrency", "2"]);
        assert_eq!(source.mounts, [("/sentinel".to_owned(), "/var/run".to_owned())]);
    }

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let source = source(&daemon_set(json!([{
            "name": "kured",
            "env": [
                { "name": "ZONE", "value": "Europe" },
                { "name": "FULL", "value": "$(ZONE)/Paris" },
                { "name": "HOOK", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                { "name": "EMPTY" },
            ],
            "envFrom": [{ "configMapRef": { "name": "more" } }],
            "args": ["--time-zone=$(FULL)", "--notify-url=$(HOOK)", "$(MISSING)", "a$$(ZONE)", "$(open", "$"],
        }])))
        .unwrap();
        assert_eq!(
            texts(&source),
            [
                "--time-zone=Europe/Paris",
                "--notify-url=",
                "$(MISSING)",
                "a$(ZONE)",
                "$(open",
                "$"
            ]
        );
        let hidden: Vec<bool> = source.args.iter().map(|arg| arg.is_hidden).collect();
        assert_eq!(hidden, [false, true, false, false, false, false]);
        assert_eq!(source.variable("EMPTY"), Some(&Arg::default()));
        assert!(source.notes[0].contains("envFrom"), "{:?}", source.notes);
    }

    #[test]
    fn variables_that_double_each_other_are_not_known_beyond_what_a_program_can_be_given() {
        let double = |number: u32| json!({ "name": format!("V{number}"), "value": format!("$(V{0})$(V{0})", number.saturating_sub(1)) });
        let mut env = vec![json!({ "name": "V0", "value": "x".repeat(1024) })];
        env.extend((1..60).map(double));
        let args = vec!["$(V6)"; 40];
        let source = source(&daemon_set(json!([{ "name": "kured", "env": env, "args": args }]))).unwrap();
        let known: Vec<usize> = source.env.iter().map(|(_, arg)| arg.text.len()).collect();
        assert_eq!(known.get(5..9).unwrap(), [32_768, 65_536, 0, 0]);
        assert!(source.env.iter().skip(7).all(|(_, arg)| arg.is_hidden));
        let words = source.args.iter().filter(|arg| !arg.is_hidden).count();
        assert_eq!(words, 32, "all arguments together");
    }

    #[test]
    fn a_kured_whose_arguments_are_not_known_is_refused() {
        let shell = json!([{ "name": "kured", "command": ["sh", "-c", "exec kured --period=$P"] }]);
        let faults = source(&daemon_set(shell)).unwrap_err();
        assert!(
            faults[0]
                .to_string()
                .starts_with("command: kured is started through `sh`"),
            "{faults:?}"
        );
        let others = json!([{ "name": "a" }, { "name": "b" }]);
        let faults = source(&daemon_set(others)).unwrap_err();
        assert!(faults[0].setting.ends_with("containers"), "{faults:?}");
    }
}
