//! The form of `/readyz`: which part of a service is not ready, with a code for programs.
//!
//! A ready service answers `200` with the one line `ok`. Any other answers `503`, with one line for
//! each part that is not ready:
//!
//! ```text
//! <part> <Code>: <message>
//! nats NatsUnreachable: not connected to nats://nats:4222: is the server running?
//! ```
//!
//! Services before the codes wrote `<part>: <message>`; such a line has no code. Each code belongs
//! to one part. Readers decide by the code, never by the message.

/// The line of a service that is ready.
pub const READY: &str = "ok";

/// A part of a service without which the service is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The gatekeeper's authority, as clients know it.
    Authority,
    /// The certificate of the NATS server beside a gatekeeper.
    Certificate,
    /// The clock of the machine.
    Clock,
    /// The keys of the gatekeeper, or those of the records' signatures.
    Keys,
    /// The Kubernetes API server.
    Kubernetes,
    /// NATS, with JetStream.
    Nats,
    /// The agent's own report, stored.
    Report,
    /// The service's permissions in Kubernetes.
    Rights,
    /// The records of attempts and orders, as they are signed.
    Records,
    /// What NATS does with the service's writes.
    Store,
    /// The streams, buckets and consumers of the contract.
    Streams,
    /// The tokens of the clients.
    Tokens,
}

/// Why a part is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadinessCode {
    /// The API server has not answered, or does not answer any more.
    KubernetesUnreachable,
    /// The API server answers, and does not permit what the service has to read.
    KubernetesForbidden,
    /// No server answers at the address of NATS.
    NatsUnreachable,
    /// No TLS connection to NATS comes about: no server answers, or its certificate is not trusted.
    /// The NATS client does not tell the two apart.
    NatsTlsFailed,
    /// NATS does not accept the user or the credentials.
    NatsAuthRefused,
    /// The file of credentials, password or token for NATS is missing, cannot be read, or is not what it has to be.
    NatsCredentialsUnusable,
    /// The file with the authority of NATS's certificate is missing, cannot be read, or holds no certificate.
    NatsAuthorityUnusable,
    /// The connection to NATS is lost, and the cause is not known yet.
    NatsConnectionLost,
    /// NATS is connected, and JetStream does not answer, or refuses.
    JetStreamUnavailable,
    /// The agent has not stored its first report yet.
    ReportPending,
    /// Permissions in Kubernetes are missing.
    RightsMissing,
    /// A stream, bucket or consumer is missing or differs from the contract.
    StreamsNotSetUp,
    /// NATS is connected and does not store what the service writes: a limit is reached, the disk is full, or the
    /// stream has no leader.
    WritesNotStored,
    /// The Secret with the gatekeepers' keys is missing, or no gatekeeper has filled it yet.
    KeysMissing,
    /// The Secret with the gatekeepers' keys holds something else than a gatekeeper wrote.
    KeysMalformed,
    /// The Secret with the gatekeepers' keys was emptied or overwritten: the keys in use are others.
    KeysChanged,
    /// The NATS server has not taken its new certificate yet.
    CertificateNotServed,
    /// The authority ends before the next certificate would.
    AuthorityEnds,
    /// A ConfigMap does not hold the authority's certificate, so its clients trust no NATS server.
    AuthorityNotPublished,
    /// A token that the API server accepts is over by the clock of this machine.
    ClockWrong,
    /// A token of a pod names no node.
    TokensWithoutNode,
    /// The scheduler has no keys to sign records with.
    RecordKeysMissing,
    /// A ConfigMap does not hold the keys by which records are verified.
    RecordKeysNotPublished,
    /// There is no file of keys by which records are verified, or it is not as it has to be.
    RecordKeysUnusable,
    /// A record was read whose signature does not verify.
    RecordNotVerified,
}

/// One part that is not ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// The part's word. Not [`Part`], since a newer service may have parts of its own.
    pub part: String,
    /// Why. None: the service is older than the codes, or newer than this list.
    pub code: Option<ReadinessCode>,
    /// What was found, for operators.
    pub message: String,
}

impl NotReady {
    /// Part and message, for operators.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.part.as_str() {
            "" => self.message.clone(),
            part => format!("{part}: {}", self.message),
        }
    }
}

impl Part {
    /// The word in `/readyz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Certificate => "certificate",
            Self::Clock => "clock",
            Self::Keys => "keys",
            Self::Kubernetes => "kubernetes",
            Self::Nats => "nats",
            Self::Records => "records",
            Self::Report => "report",
            Self::Rights => "rights",
            Self::Store => "store",
            Self::Streams => "streams",
            Self::Tokens => "tokens",
        }
    }
}

impl ReadinessCode {
    /// Every code.
    pub const ALL: [Self; 25] = [
        Self::KubernetesUnreachable,
        Self::KubernetesForbidden,
        Self::NatsUnreachable,
        Self::NatsTlsFailed,
        Self::NatsAuthRefused,
        Self::NatsCredentialsUnusable,
        Self::NatsAuthorityUnusable,
        Self::NatsConnectionLost,
        Self::JetStreamUnavailable,
        Self::ReportPending,
        Self::RightsMissing,
        Self::StreamsNotSetUp,
        Self::WritesNotStored,
        Self::KeysMissing,
        Self::KeysMalformed,
        Self::KeysChanged,
        Self::CertificateNotServed,
        Self::AuthorityEnds,
        Self::AuthorityNotPublished,
        Self::ClockWrong,
        Self::TokensWithoutNode,
        Self::RecordKeysMissing,
        Self::RecordKeysNotPublished,
        Self::RecordKeysUnusable,
        Self::RecordNotVerified,
    ];

    /// The word in `/readyz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KubernetesUnreachable => "KubernetesUnreachable",
            Self::KubernetesForbidden => "KubernetesForbidden",
            Self::NatsUnreachable => "NatsUnreachable",
            Self::NatsTlsFailed => "NatsTlsFailed",
            Self::NatsAuthRefused => "NatsAuthRefused",
            Self::NatsCredentialsUnusable => "NatsCredentialsUnusable",
            Self::NatsAuthorityUnusable => "NatsAuthorityUnusable",
            Self::NatsConnectionLost => "NatsConnectionLost",
            Self::JetStreamUnavailable => "JetStreamUnavailable",
            Self::ReportPending => "ReportPending",
            Self::RightsMissing => "RightsMissing",
            Self::StreamsNotSetUp => "StreamsNotSetUp",
            Self::WritesNotStored => "WritesNotStored",
            Self::KeysMissing => "KeysMissing",
            Self::KeysMalformed => "KeysMalformed",
            Self::KeysChanged => "KeysChanged",
            Self::CertificateNotServed => "CertificateNotServed",
            Self::AuthorityEnds => "AuthorityEnds",
            Self::AuthorityNotPublished => "AuthorityNotPublished",
            Self::ClockWrong => "ClockWrong",
            Self::TokensWithoutNode => "TokensWithoutNode",
            Self::RecordKeysMissing => "RecordKeysMissing",
            Self::RecordKeysNotPublished => "RecordKeysNotPublished",
            Self::RecordKeysUnusable => "RecordKeysUnusable",
            Self::RecordNotVerified => "RecordNotVerified",
        }
    }

    /// The part that is not ready for this reason.
    #[must_use]
    pub fn part(self) -> Part {
        match self {
            Self::KubernetesUnreachable | Self::KubernetesForbidden => Part::Kubernetes,
            Self::NatsUnreachable
            | Self::NatsTlsFailed
            | Self::NatsAuthRefused
            | Self::NatsCredentialsUnusable
            | Self::NatsAuthorityUnusable
            | Self::NatsConnectionLost
            | Self::JetStreamUnavailable => Part::Nats,
            Self::ReportPending => Part::Report,
            Self::RightsMissing => Part::Rights,
            Self::StreamsNotSetUp => Part::Streams,
            Self::WritesNotStored => Part::Store,
            Self::KeysMissing | Self::KeysMalformed | Self::KeysChanged => Part::Keys,
            Self::CertificateNotServed | Self::AuthorityEnds => Part::Certificate,
            Self::AuthorityNotPublished => Part::Authority,
            Self::ClockWrong => Part::Clock,
            Self::TokensWithoutNode => Part::Tokens,
            Self::RecordKeysMissing | Self::RecordKeysNotPublished | Self::RecordKeysUnusable => Part::Keys,
            Self::RecordNotVerified => Part::Records,
        }
    }

    /// The line of `/readyz`, with its end. Line breaks in the message become spaces.
    #[must_use]
    pub fn line(self, message: &str) -> String {
        let message = message.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        format!("{} {}: {message}\n", self.part().as_str(), self.as_str())
    }
}

/// Reads the body of `/readyz`. Empty: the service is ready. A line of another form is kept as a
/// message of the part `""`.
#[must_use]
pub fn parse(body: &str) -> Vec<NotReady> {
    let lines = body.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && *line != READY)
        .map(parse_line)
        .collect()
}

fn parse_line(line: &str) -> NotReady {
    let words = |head: &str| {
        let head: Vec<&str> = head.split(' ').collect();
        match head.as_slice() {
            [part, code] => Some(((*part).to_owned(), code_of(code))),
            [part] => Some(((*part).to_owned(), None)),
            _ => None,
        }
    };
    let parsed = line
        .split_once(": ")
        .and_then(|(head, message)| words(head).map(|(part, code)| (part, code, message)));
    // Without a message: only a code that is known tells such a line from a sentence.
    let bare = || {
        let (part, code) = words(line.strip_suffix(':')?)?;
        code.map(|code| (part, Some(code), ""))
    };
    let (part, code, message) = parsed.or_else(bare).unwrap_or((String::new(), None, line));
    NotReady {
        part,
        code,
        message: message.to_owned(),
    }
}

fn code_of(word: &str) -> Option<ReadinessCode> {
    ReadinessCode::ALL.into_iter().find(|code| code.as_str() == word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_with_every_code() {
        for code in ReadinessCode::ALL {
            let expected = NotReady {
                part: code.part().as_str().to_owned(),
                code: Some(code),
                message: "not connected to nats://x:4222: IO error".to_owned(),
            };
            assert_eq!(parse(&code.line(&expected.message)), [expected]);
        }
    }

    #[test]
    fn a_service_before_the_codes_is_understood_without_a_code() {
        let read = parse("nats: not connected to x: is the server running?\nrights: missing\n");
        let parts: Vec<_> = read.iter().map(|it| (it.part.as_str(), it.code)).collect();
        assert_eq!(parts, [("nats", None), ("rights", None)]);
        assert_eq!(read[0].message, "not connected to x: is the server running?");
    }

    #[test]
    fn a_newer_code_keeps_its_message_and_any_other_line_is_a_message() {
        let read = parse("disk DiskFull: 3 bytes left\nsomething else entirely\n");
        assert_eq!((read[0].part.as_str(), read[0].code), ("disk", None));
        assert_eq!(read[0].message, "3 bytes left");
        assert_eq!(
            (read[1].part.as_str(), &*read[1].message),
            ("", "something else entirely")
        );
    }

    #[test]
    fn a_ready_service_has_no_part_that_is_not_ready() {
        assert_eq!(parse("ok\n"), []);
    }

    #[test]
    fn a_message_of_several_lines_is_one_line() {
        let line = ReadinessCode::StreamsNotSetUp.line("stream X:\n  differs\n");
        assert_eq!(line, "streams StreamsNotSetUp: stream X: differs\n");
    }

    proptest! {
        #[test]
        fn any_body_is_read_and_any_message_stays_on_its_line(
            body in any::<String>(),
            code in prop::sample::select(ReadinessCode::ALL.to_vec()),
        ) {
            for part in parse(&body) {
                prop_assert!(part.code.is_none() || body.contains(part.code.unwrap().as_str()));
            }
            let read = parse(&code.line(&body));
            prop_assert_eq!(read.len(), 1, "{:?}", read);
            prop_assert_eq!(read[0].code, Some(code));
        }
    }
}
