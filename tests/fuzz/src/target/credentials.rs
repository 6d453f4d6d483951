//! The content of a file of credentials, a password or a token.

use crate::foreign::content;
use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    for found in [content::password(text), content::token(text)] {
        match found {
            Ok(line) => {
                judge_line(line);
                assert!(text.starts_with(line), "more than the end is taken away");
            }
            Err(wrong) => judge::error(&wrong),
        }
    }
    match content::credentials(text) {
        Ok((jwt, key)) => {
            judge_line(jwt);
            let signature = key.sign(b"nonce").expect("a key of a seed signs");
            key.verify(b"nonce", &signature).expect("its own signature");
            true
        }
        Err(wrong) => {
            judge::error(&wrong);
            false
        }
    }
}

/// What is sent to a server is one line.
fn judge_line(text: &str) {
    assert!(
        !text.contains(['\r', '\n']),
        "several lines are sent: {} bytes",
        text.len()
    );
}
