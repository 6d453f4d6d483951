//! Names and numbers that identify things, checked when they are made.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

/// Why a text is not the id that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More than the field allows.
    #[error("has {len} characters, at most {max} are allowed")]
    TooLong {
        /// What was given.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// A character that may not stand there.
    #[error("has the character {found:?}, allowed are {allowed}")]
    Character {
        /// The offender.
        found: char,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Another form than the field's.
    #[error("is not {expected}")]
    Form {
        /// The form.
        expected: &'static str,
    },
}

fn check(text: &str, max: usize, allowed: &'static str, fits: impl Fn(char) -> bool) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > max {
        return Err(IdError::TooLong { len: text.len(), max });
    }
    match text.chars().find(|c| !fits(*c)) {
        Some(found) => Err(IdError::Character { found, allowed }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Name of a Kubernetes node: a DNS subdomain.
    NodeName
}

impl FromStr for NodeName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check(
            text,
            253,
            "a-z, 0-9, - and .",
            |c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.'),
        )?;
        // An empty label would make an empty token of a subject.
        if text
            .split('.')
            .any(|label| label.is_empty() || label.starts_with('-') || label.ends_with('-'))
        {
            return Err(IdError::Form {
                expected: "a DNS subdomain",
            });
        }
        Ok(Self(text.into()))
    }
}

impl NodeName {
    /// The node as one token of a subject or key.
    #[must_use]
    pub fn token(&self) -> NodeToken {
        NodeToken(self.0.replace('.', "_").into())
    }
}

text_id! {
    /// A node name as one token of a subject or key: `.` is written `_`, which no node name contains.
    NodeToken
}

impl FromStr for NodeToken {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let name: NodeName = text.replace('_', ".").parse()?;
        Ok(name.token())
    }
}

impl NodeToken {
    /// The node that this token stands for.
    #[must_use]
    pub fn name(&self) -> NodeName {
        NodeName(self.0.replace('_', ".").into())
    }
}

text_id! {
    /// UID of a Node object: tells a node from another one of the same name.
    NodeUid
}

impl FromStr for NodeUid {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check(text, 128, "printable ASCII", |c| c.is_ascii_graphic())?;
        Ok(Self(text.into()))
    }
}

text_id! {
    /// The kernel's random id of one boot. Another id is another boot: the proof of a reboot.
    BootId
}

impl FromStr for BootId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        check(text, 64, "0-9, a-z, A-Z and -", |c| {
            c.is_ascii_alphanumeric() || c == '-'
        })?;
        Ok(Self(text.into()))
    }
}

/// One try to reboot one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(Uuid);

impl AttemptId {
    /// The id of the attempt that starts on this node, in this generation, now.
    ///
    /// Derived and not random, so that the deciding core stays a function of its inputs.
    #[must_use]
    pub fn new(node: &NodeUid, generation: Generation, now: Timestamp) -> Self {
        let name = format!("{node} {generation} {}", now.as_nanosecond());
        Self(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
    }

    /// The sixteen bytes of the id.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for AttemptId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        Uuid::parse_str(text)
            .map(Self)
            .map_err(|_| IdError::Form { expected: "a UUID" })
    }
}

/// A number that grows with each change of phase on a node; what carries an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl Generation {
    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A W3C `traceparent`: the trace and the span that something belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Sixteen bytes, not all zero.
    pub trace_id: [u8; 16],
    /// Eight bytes, not all zero.
    pub span_id: [u8; 8],
    /// The flag of that name: false if no service exports spans of this trace.
    pub sampled: bool,
}

impl TraceParent {
    /// A trace that begins here, with its first span.
    #[must_use]
    pub fn random() -> Self {
        let [a, b, c, d, e, f, g, h, ..] = Uuid::new_v4().into_bytes();
        Self {
            trace_id: Uuid::new_v4().into_bytes(),
            // Not all zero, as the trace id: the seventh byte of a random UUID states that it is one.
            span_id: [a, b, c, d, e, f, g, h],
            sampled: true,
        }
    }
}

impl TraceParent {
    /// The id of a part of the span that this is of, by the part's name and the moment at which it began.
    ///
    /// Every process that knows the attempt's record comes to the same id: so a part can be named as a parent before it is
    /// over, and a service that writes it again after a crash writes the same span.
    #[must_use]
    pub fn part(&self, name: &str, began: Timestamp) -> [u8; 8] {
        // FNV-1a, since the ids must be the same in all versions, and need to be no more than different.
        let moment = began.as_millisecond().to_be_bytes();
        let bytes = self.span_id.iter().chain(name.as_bytes()).chain(&moment);
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // Zero is no id.
        hash.max(1).to_be_bytes()
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        let flags = u8::from(self.sampled);
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl FromStr for TraceParent {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = IdError::Form {
            expected: "a W3C traceparent",
        };
        let mut parts = text.split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong);
        };
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| wrong.clone())?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| wrong.clone())?;
        if version.len() != 2 || trace.len() != 32 || span.len() != 16 || trace_id == 0 || span_id == 0 {
            return Err(wrong);
        }
        Ok(Self {
            trace_id: trace_id.to_be_bytes(),
            span_id: span_id.to_be_bytes(),
            // Flags that cannot be read cost no spans.
            sampled: u8::from_str_radix(flags, 16).map_or(true, |flags| flags & 1 == 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_name_with_dots_is_one_token_and_comes_back() {
        let name: NodeName = "ip-10-0-0-1.eu.internal".parse().unwrap();
        assert_eq!(name.token().as_str(), "ip-10-0-0-1_eu_internal");
        assert_eq!(name.token().name(), name);
        assert_eq!("ip-10-0-0-1_eu_internal".parse::<NodeToken>().unwrap(), name.token());
    }

    #[test]
    fn names_that_would_break_a_subject_are_refused() {
        for wrong in [
            "",
            "a..b",
            "a b",
            "a*",
            "a>",
            "A",
            "a_b",
            ".a",
            "a.",
            "-a",
            &"a".repeat(254),
        ] {
            assert!(wrong.parse::<NodeName>().is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn each_trace_that_begins_has_ids_of_its_own() {
        let (one, other) = (TraceParent::random(), TraceParent::random());
        assert!(one.trace_id != other.trace_id && one.span_id != other.span_id);
        assert_eq!(one.to_string().parse(), Ok(one));
    }

    #[test]
    fn a_part_of_a_span_has_one_id_by_its_name_and_its_begin() {
        let trace: TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            .parse()
            .unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(trace.part("Draining", at(1)), [127, 171, 18, 248, 110, 224, 189, 25]);
        let others = [
            trace.part("Draining", at(2)),
            trace.part("Rebooting", at(1)),
            TraceParent {
                span_id: [7; 8],
                ..trace
            }
            .part("Draining", at(1)),
            trace.span_id,
        ];
        assert!(!others.contains(&trace.part("Draining", at(1))));
    }

    #[test]
    fn a_traceparent_comes_back_and_zero_ids_are_refused() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), text);
        for (flags, sampled) in [("00", false), ("02", false), ("03", true), ("", true)] {
            let text = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
            assert_eq!(text.parse::<TraceParent>().unwrap().sampled, sampled, "{text}");
        }
        assert!(
            "00-00000000000000000000000000000000-b7ad6b7169203331-01"
                .parse::<TraceParent>()
                .is_err()
        );
        assert!("nonsense".parse::<TraceParent>().is_err());
    }
}
