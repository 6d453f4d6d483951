//! The file of public keys, by which readers verify records.

use bellwether_proto::signature::{KEY_FILE_BYTES_MAX, KEYS_MAX, PublicKeys};

use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    match text.parse::<PublicKeys>() {
        Ok(keys) => {
            assert!(keys.ids().count() <= KEYS_MAX);
            let written = keys.to_string();
            assert!(written.len() <= KEY_FILE_BYTES_MAX, "{} bytes", written.len());
            assert_eq!(written.parse::<PublicKeys>().expect("what was written is read"), keys);
            !keys.is_empty()
        }
        Err(error) => {
            judge::error(&error);
            false
        }
    }
}
