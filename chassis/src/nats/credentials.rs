//! What a client proves its name with: read from its file at each try to connect, never kept.

use async_nats::Auth;

use super::content;
use crate::args::ChassisArgs;
use crate::named_file::{FileError, NamedFile};

/// How this service proves its name to NATS.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    /// A JWT and the seed of its key, as `nsc` writes them.
    Creds(NamedFile),
    /// A user with the password in the file.
    Password { user: String, file: NamedFile },
    /// A token, such as that of a ServiceAccount.
    Token(NamedFile),
}

impl Credentials {
    /// Those of the arguments, of which there is at most one kind.
    pub(super) fn of(args: &ChassisArgs) -> Option<Self> {
        let creds = args.nats_credentials.as_deref();
        let password = args.nats_user.as_ref().zip(args.nats_password.as_deref());
        let token = args.nats_token.as_deref();
        creds
            .map(|path| Self::Creds(NamedFile::new("--nats-credentials", path)))
            .or_else(|| {
                password.map(|(user, path)| Self::Password {
                    user: user.clone(),
                    file: NamedFile::new("--nats-password", path),
                })
            })
            .or_else(|| token.map(|path| Self::Token(NamedFile::new("--nats-token", path))))
    }

    /// What the client sends for a connection whose server has drawn this nonce.
    ///
    /// # Errors
    /// The file cannot be used now.
    pub(super) async fn answer(&self, nonce: &[u8]) -> Result<Auth, FileError> {
        let mut auth = Auth::new();
        match self {
            Self::Creds(file) => {
                let text = file.read_text().await?;
                let (jwt, key) = content::credentials(&text).map_err(|wrong| file.malformed(wrong))?;
                let signature = key
                    .sign(nonce)
                    .map_err(|_| file.malformed("holds a key that cannot sign"))?;
                auth.jwt = Some(jwt.to_owned());
                auth.signature = Some(signature);
            }
            Self::Password { user, file } => {
                auth.username = Some(user.clone());
                let text = file.read_text().await?;
                let password = content::password(&text).map_err(|wrong| file.malformed(wrong))?;
                auth.password = Some(password.to_owned());
            }
            Self::Token(file) => {
                let text = file.read_text().await?;
                let token = content::token(&text).map_err(|wrong| file.malformed(wrong))?;
                auth.token = Some(token.to_owned());
            }
        }
        Ok(auth)
    }

    /// Whether an answer could be given now.
    ///
    /// # Errors
    /// The file cannot be used now.
    pub(super) async fn check(&self) -> Result<(), FileError> {
        self.answer(b"any nonce").await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use nkeys::KeyPair;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        chassis: ChassisArgs,
    }

    fn args(flags: &[&str]) -> Result<ChassisArgs, String> {
        let parsed = Cli::try_parse_from([&["x"], flags].concat());
        parsed.map(|cli| cli.chassis).map_err(|error| error.to_string())
    }

    fn credentials(flag: &str, folder: &Path, content: &str) -> Credentials {
        let path = folder.join("file");
        std::fs::write(&path, content).unwrap();
        let path = path.display().to_string();
        let user: &[&str] = match flag {
            "--nats-password" => &["--nats-user", "anna"],
            _ => &[],
        };
        Credentials::of(&args(&[user, &[flag, &path]].concat()).unwrap()).unwrap()
    }

    fn creds_file(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn one_kind_of_credentials_may_be_given_and_an_error_names_the_two_flags() {
        let kinds = [
            vec!["--nats-credentials", "/c"],
            vec!["--nats-user", "anna", "--nats-password", "/p"],
            vec!["--nats-token", "/t"],
        ];
        for (number, kind) in kinds.iter().enumerate() {
            assert!(Credentials::of(&args(kind).unwrap()).is_some(), "{kind:?}");
            for other in kinds.iter().skip(number + 1) {
                let refused = args(&[kind.as_slice(), other.as_slice()].concat()).unwrap_err();
                let named = refused.contains(kind[0]) && refused.contains(other[0]);
                assert!(refused.contains("cannot be used with") && named, "{refused}");
            }
        }
        assert!(Credentials::of(&args(&[]).unwrap()).is_none());
    }

    #[tokio::test]
    async fn a_new_line_at_the_end_is_no_part_of_a_password_or_token() {
        let folder = tempfile::tempdir().unwrap();
        let password = credentials("--nats-password", folder.path(), " p w \r\n");
        let sent = password.answer(b"nonce").await.unwrap();
        assert_eq!(
            (sent.username.as_deref(), sent.password.as_deref()),
            (Some("anna"), Some(" p w "))
        );
        let token = credentials("--nats-token", folder.path(), "a.b.c\n");
        assert_eq!(token.answer(b"nonce").await.unwrap().token.as_deref(), Some("a.b.c"));
    }

    #[tokio::test]
    async fn credentials_sign_what_the_server_has_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::new_user();
        let file = creds_file("e.y.J", &key.seed().unwrap());
        for file in [file.replace('\n', "\r\n"), file] {
            let creds = credentials("--nats-credentials", folder.path(), &file);
            let sent = creds.answer(b"nonce").await.unwrap();
            assert_eq!(sent.jwt.as_deref(), Some("e.y.J"));
            assert!(key.verify(b"nonce", &sent.signature.unwrap()).is_ok());
        }
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_never_sent_and_its_content_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let seed = KeyPair::new_user().seed().unwrap();
        let account = KeyPair::new_account().seed().unwrap();
        let creds = creds_file("e.y.J", &seed);
        for (flag, content) in [
            ("--nats-password", creds.as_str()),
            ("--nats-token", &creds),
            ("--nats-token", "two words"),
            ("--nats-token", "nul\0"),
            ("--nats-credentials", &seed),
            ("--nats-credentials", "just a password"),
            ("--nats-credentials", &creds_file("e.y.J", "no seed")),
            ("--nats-credentials", &creds_file("e.y", &seed)),
            ("--nats-credentials", &creds_file("e\r.y.J", &seed)),
            ("--nats-credentials", &creds_file("e.y.J", &account)),
            ("--nats-credentials", "-----BEGIN NATS USER JWT-----\n"),
        ] {
            let refused = credentials(flag, folder.path(), content).answer(b"nonce").await;
            let text = refused.err().unwrap_or_else(|| panic!("{content}")).to_string();
            assert!(text.contains(flag) && text.contains("is it the right one?"), "{text}");
            assert!(
                content.lines().all(|line| line.is_empty() || !text.contains(line)),
                "{text}"
            );
        }
    }
}
