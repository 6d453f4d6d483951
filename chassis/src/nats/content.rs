//! What the content of a file of credentials is: text in, credentials out. No error holds anything of the content.

use nkeys::{KeyPair, KeyPairType};

/// What is wrong with a content, as the end of a sentence that begins with "the file".
pub(super) type Wrong = &'static str;

/// The one line of a password. Editors and `echo` end a file with a new line, which is no part of it.
pub(super) fn password(text: &str) -> Result<&str, Wrong> {
    let line = text.trim_end_matches(['\r', '\n']);
    // A file of credentials or a certificate in place of a password would be sent to the server.
    if line.contains(['\r', '\n']) {
        return Err("holds more than one line: is it the right one?");
    }
    Ok(line)
}

/// The one line of a token.
pub(super) fn token(text: &str) -> Result<&str, Wrong> {
    let token = password(text)?;
    if token.contains(is_blank) {
        return Err("holds blanks, which no token does: is it the right one?");
    }
    Ok(token)
}

/// No token and no JWT has one. A lone carriage return ends no line here, and on other systems it does.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control()
}

/// The JWT and the key of a file of credentials: the first line after each of its first two headings.
pub(super) fn credentials(text: &str) -> Result<(&str, KeyPair), Wrong> {
    jwt_and_key(text)
        .ok_or("holds no credentials of a user, with JWT and seed as `nsc` writes them: is it the right one?")
}

fn jwt_and_key(text: &str) -> Option<(&str, KeyPair)> {
    let mut lines = text.lines().map(str::trim);
    let mut block = || {
        lines.find(|line| line.starts_with("-----BEGIN"))?;
        lines.find(|line| !line.is_empty())
    };
    let jwt = block().filter(|jwt| !jwt.contains(is_blank))?;
    let parts = jwt.split('.').filter(|part| !part.is_empty()).count();
    if parts != 3 {
        return None;
    }
    let key = KeyPair::from_seed(block()?).ok()?;
    (key.key_pair_type() == KeyPairType::User).then_some((jwt, key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_content_of_any_form_is_one_line_of_the_file_or_nothing(text in any::<String>(), seed in "S[A-Z2-7]{0,60}") {
            for line in [password(&text), token(&text)].into_iter().flatten() {
                prop_assert!(text.starts_with(line) && !line.contains(['\r', '\n']));
            }
            let file = format!("-----BEGIN\na.b.c\n-----BEGIN\n{seed}\n");
            for text in [text, file] {
                if let Ok((jwt, key)) = credentials(&text) {
                    prop_assert!(text.contains(jwt) && !jwt.contains(is_blank) && key.sign(b"nonce").is_ok());
                }
            }
        }
    }
}
