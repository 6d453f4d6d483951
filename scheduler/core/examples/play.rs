//! Plays a recording of a scheduler (`--record-inputs`) and prints every effect, with the time at which
//! the core asked for it: `cargo run -p bellwether-scheduler-core --example play -- FILE`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the person who reads a report of a fault"
)]

use std::process::ExitCode;

use bellwether_scheduler_core::recording;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("name the recording: play FILE");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    match recording::play(&text, |at, effect| println!("{at:.3} {effect:?}")) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            eprintln!("{}: {error}{}", path.display(), source.unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}
