//! A problem that one part reports and another part reads: a code for programs, a message for
//! operators.
//!
//! The codes are a closed list, defined in `problem.proto`. Whoever decides on a problem decides by
//! its code. No reader drops a problem whose code is of a newer version.

use std::fmt;

use crate::wire;

/// A problem. See [`wire::Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which problem.
    pub code: ProblemCode,
    /// What was found, and what to do about it.
    pub message: String,
}

macro_rules! problem_codes {
    ($($code:ident,)+) => {
        /// Which problem. See [`wire::ProblemCode`] for the meaning of each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $(
                #[expect(missing_docs, reason = "the words are the contract's, explained in problem.proto")]
                $code,
            )+
            /// The writer is of a version before the codes.
            Unclassified,
            /// The writer is of a newer version, whose list has this number.
            Unknown(i32),
        }

        impl ProblemCode {
            /// Every code that this version knows, without [`Self::Unclassified`].
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The word for labels and JSON. All unknown codes share one, so that labels stay few.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => stringify!($code),)+
                    Self::Unclassified => "Unclassified",
                    Self::Unknown(_) => "Unknown",
                }
            }

            /// The code of a wire value.
            #[must_use]
            pub fn from_wire(value: i32) -> Self {
                match wire::ProblemCode::try_from(value) {
                    Ok(wire::ProblemCode::Unspecified) => Self::Unclassified,
                    $(Ok(wire::ProblemCode::$code) => Self::$code,)+
                    Err(_) => Self::Unknown(value),
                }
            }

            /// The wire value.
            #[must_use]
            pub fn to_wire(self) -> i32 {
                match self {
                    $(Self::$code => wire::ProblemCode::$code.into(),)+
                    Self::Unclassified => wire::ProblemCode::Unspecified.into(),
                    Self::Unknown(value) => value,
                }
            }
        }
    };
}

problem_codes! {
    HostDirectoryUnreadable,
    SentinelFileUnreadable,
    SentinelFileNotAFile,
    ProbeAborted,
    ProbeFailed,
    BusUnreachable,
    BusAccessDenied,
    LogindCallFailed,
    RebootNotPermitted,
    ShutdownInhibited,
    RebootMethodTimedOut,
    RebootCommandNotRunnable,
    RebootCommandFailed,
    RebootAlreadyCalled,
    RebootNotProvable,
    SignalNotPermitted,
    RebootKindNotPossible,
    KexecNotLoaded,
}

impl Problem {
    /// A problem of a code that this version knows.
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A problem of which only the message is known, as versions before the codes report it.
    pub fn unclassified(message: impl Into<String>) -> Self {
        Self::new(ProblemCode::Unclassified, message)
    }

    /// The problem of a message on the wire: the classified one, else what an older writer left in
    /// the text field. A problem without any message has its code as the message. Public for readers of the API, whose messages are not checked.
    #[must_use]
    pub fn from_wire(classified: Option<wire::Problem>, text: String) -> Option<Self> {
        match classified {
            Some(problem) => Some(Self {
                code: ProblemCode::from_wire(problem.code),
                message: [problem.message, text]
                    .into_iter()
                    .find(|message| !message.is_empty())
                    .unwrap_or_else(|| ProblemCode::from_wire(problem.code).to_string()),
            }),
            None if text.is_empty() => None,
            None => Some(Self::unclassified(text)),
        }
    }

    /// The form on the wire.
    #[must_use]
    pub fn to_wire(&self) -> wire::Problem {
        wire::Problem {
            code: self.code.to_wire(),
            message: self.message.clone(),
        }
    }

    /// The text field of older readers. Never empty: to them an empty text means no problem.
    #[must_use]
    pub fn text(&self) -> String {
        if self.message.is_empty() {
            self.code.to_string()
        } else {
            self.message.clone()
        }
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if let Self::Unknown(value) = self {
            write!(f, "({value})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_and_an_unknown_one_survive_the_wire() {
        let unknown = ProblemCode::Unknown(9999);
        for code in ProblemCode::ALL.iter().copied().chain([unknown]) {
            let problem = Problem::new(code, "no way");
            let read = Problem::from_wire(Some(problem.to_wire()), String::new());
            assert_eq!(read, Some(problem));
        }
        assert_eq!((unknown.as_str(), &*unknown.to_string()), ("Unknown", "Unknown(9999)"));
    }

    #[test]
    fn a_text_alone_is_a_problem_without_a_code_and_no_text_is_no_problem() {
        let older = Problem::from_wire(None, "no D-Bus".to_owned());
        assert_eq!(older, Some(Problem::unclassified("no D-Bus")));
        assert_eq!(Problem::from_wire(None, String::new()), None);
    }

    #[test]
    fn a_code_without_any_message_is_a_problem_to_every_reader() {
        let bare = Problem::new(ProblemCode::Unknown(77), "");
        let read = Problem::from_wire(Some(bare.to_wire()), String::new());
        assert_eq!(read, Some(Problem::new(bare.code, "Unknown(77)")));
        assert_eq!(bare.text(), "Unknown(77)");
    }
}
