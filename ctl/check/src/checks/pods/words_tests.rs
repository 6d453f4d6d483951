//! Last words as they are kept with pods.

use serde_json::json;

use super::*;

fn words(message: &str) -> String {
    last_words(&json!({ "reason": "Error", "exitCode": 1, "message": message }))
}

#[test]
fn a_refused_argument_is_told_and_not_the_advice_after_it() {
    let unknown = "error: unexpected argument '--slot' found\n\n  tip: a similar argument exists: '--slots'\n\n\
                   Usage: bellwether-scheduler [OPTIONS]\n\nFor more information, try '--help'.\n";
    assert_eq!(words(unknown), "error: unexpected argument '--slot' found");
    let missing = "error: the following required arguments were not provided:\n  --node-name <NODE_NAME>\n\n\
                   Usage: bellwether-rebooter\n\nFor more information, try '--help'.\n";
    assert_eq!(
        words(missing),
        "error: the following required arguments were not provided: --node-name <NODE_NAME>"
    );
}

#[test]
fn a_panic_is_told_with_its_words_and_not_the_advice_after_it() {
    let panic = "{\"level\":\"INFO\",\"message\":\"Service started\"}\n\n\
                 thread 'main' (7) panicked at src/run.rs:5:10:\nassertion failed\n  left: 1\n right: 2\n\
                 note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
    assert_eq!(
        words(panic),
        "panicked at src/run.rs:5:10: assertion failed left: 1 right: 2"
    );
}

#[test]
fn of_our_own_log_the_last_line_counts_whatever_follows() {
    let log = "{\"level\":\"INFO\",\"message\":\"Service started\"}\n\
               {\"level\":\"ERROR\",\"message\":\"Service stopped\",\"error\":\"no port\"}\nterminated\n";
    assert_eq!(words(log), "Service stopped: no port");
}

#[test]
fn of_anything_else_it_is_the_last_line_or_the_code() {
    assert_eq!(words("first\nlast\n\n"), "last");
    assert_eq!(words("{\"other\":1}"), "{\"other\":1}");
    assert_eq!(words(""), "Error, exit code 1");
}

#[test]
fn whoever_was_killed_has_more_than_last_words() {
    let log = "{\"message\":\"Drain goes on\"}";
    let killed = json!({ "reason": "OOMKilled", "exitCode": 137, "message": log });
    assert_eq!(last_words(&killed), "OOMKilled, exit code 137: Drain goes on");
}
