//! Why facts are missing.

/// Why something could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which failure; remedies depend on it.
    pub kind: FailureKind,
    /// The words of the program that failed, for operators.
    pub message: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The API server refused: the user lacks a right.
    Forbidden,
    /// There was no answer, or none that could be read.
    Unread,
}

impl Failure {
    /// The API server refused, with these words.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Forbidden,
            message: message.into(),
        }
    }

    /// There was no answer, or none that could be read.
    pub fn unread(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Unread,
            message: message.into(),
        }
    }

    /// The remedy; `rights` is the one for users who lack a right.
    pub(crate) fn remedy(&self, rights: &str) -> String {
        match self.kind {
            FailureKind::Forbidden => rights.to_owned(),
            FailureKind::Unread => {
                "try again; if it stays, see whether the API server is well: kubectl get --raw '/readyz?verbose'"
                    .to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_help_only_against_a_refusal() {
        let refused = Failure::forbidden("nodes is forbidden: User \"anna\" cannot list resource");
        assert_eq!(refused.remedy("bind them"), "bind them");
        let silent = Failure::unread("kubectl gave no answer within 60s");
        assert!(silent.remedy("bind them").starts_with("try again"));
    }
}
