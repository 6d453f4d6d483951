//! Every input of the corpora keeps every promise, within seconds.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use bellwether_fuzz::{TARGETS, corpus};

/// For one input, in a debug build beside other tests; each takes milliseconds.
const TIME_MAX: Duration = Duration::from_secs(5);

#[test]
fn every_input_keeps_the_promises_and_every_target_takes_and_refuses_some() {
    for target in TARGETS {
        let (mut taken, mut refused) = (0, 0);
        for (name, bytes) in corpus::of(target.name) {
            let began = Instant::now();
            let result = std::panic::catch_unwind(|| (target.run)(&bytes));
            let Ok(is_taken) = result else {
                panic!("{}/{name} breaks a promise: see above", target.name);
            };
            let took = began.elapsed();
            assert!(took < TIME_MAX, "{}/{name} takes {took:?}", target.name);
            if is_taken {
                taken += 1;
            } else {
                refused += 1;
            }
        }
        // Otherwise the target would try nothing, or an input would have gone stale.
        assert!(
            taken > 0 && refused > 0,
            "{}: {taken} taken, {refused} refused",
            target.name
        );
    }
}

#[test]
fn every_folder_of_the_corpora_has_its_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folders = std::fs::read_dir(folder).expect("the corpora");
    let folders: BTreeSet<String> = folders
        .map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, names);
}
