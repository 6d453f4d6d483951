//! Secrets in texts that others wrote: addresses may hold a user with a password, and findings are
//! pasted into tickets.

/// The text without user and password of every address (`scheme://user:password@host`) in it.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // An address ends where a space is at the latest. A password may hold any other sign, also
        // those that it should not: so all up to the last `@` goes.
        let end = part.find(char::is_whitespace).unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        clean.push_str("://");
        clean.push_str(address.rsplit('@').next().unwrap_or_default());
        clean.push_str(rest);
    }
    clean
}

/// The same for a list of addresses of NATS servers, which may lack their scheme.
pub(crate) fn addresses(list: &str) -> String {
    let bare = |address: &str| match address.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => address.to_owned(),
    };
    // In those with a scheme no `@` is left.
    without_secrets(list).split(',').map(bare).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_wherever_the_address_is() {
        for (text, clean) in [
            ("nats://nats:4222", "nats://nats:4222"),
            ("info", "info"),
            (
                "nats: not connected to tls://anna:pw@nats-0:4222, is it there?",
                "nats: not connected to tls://nats-0:4222, is it there?",
            ),
            (
                "nats://anna:pa@ss@nats:4222,tls://otto:p/w,?@nats-1:4222",
                "nats://nats:4222,tls://nats-1:4222",
            ),
            (
                "\"nats://token@nats\"\nmail anna@example.com",
                "\"nats://nats\"\nmail anna@example.com",
            ),
            (
                "repository@sha256:77ab cannot be pulled",
                "repository@sha256:77ab cannot be pulled",
            ),
        ] {
            assert_eq!(without_secrets(text), clean);
        }
    }

    #[test]
    fn an_address_without_a_scheme_may_hold_one_too() {
        assert_eq!(
            addresses("token@nats-0,tls://anna:pw@nats-1,nats-2:4222"),
            "nats-0,tls://nats-1,nats-2:4222"
        );
    }
}
