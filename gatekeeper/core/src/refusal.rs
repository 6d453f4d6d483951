//! The closed list of refusals. The code is in the gatekeeper's log, in its metrics, and in the log of the NATS server;
//! the client learns only that NATS does not accept it.

/// Why a client may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The question is not one that a NATS server of these keys signs.
    QuestionMalformed,
    /// The server trusts another issuer than this gatekeeper's.
    OtherKeys,
    /// The client shows no token.
    TokenAbsent,
    /// The token has not the form of a Kubernetes token.
    TokenMalformed,
    /// The token is for another audience.
    AudienceWrong,
    /// The API server does not accept the token: of another cluster, expired, or of a pod that is gone.
    TokenRefused,
    /// The token has no end, or its end is over by the gatekeeper's clock.
    TokenExpired,
    /// The token is of an identity that has no role on the bus.
    AccountUnknown,
    /// The token is not bound to a pod.
    PodMissing,
    /// The token of an agent names no node.
    NodeMissing,
    /// The API server could not be asked.
    ReviewFailed,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Self; 11] = [
        Self::QuestionMalformed,
        Self::OtherKeys,
        Self::TokenAbsent,
        Self::TokenMalformed,
        Self::AudienceWrong,
        Self::TokenRefused,
        Self::TokenExpired,
        Self::AccountUnknown,
        Self::PodMissing,
        Self::NodeMissing,
        Self::ReviewFailed,
    ];

    /// The code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QuestionMalformed => "QuestionMalformed",
            Self::OtherKeys => "OtherKeys",
            Self::TokenAbsent => "TokenAbsent",
            Self::TokenMalformed => "TokenMalformed",
            Self::AudienceWrong => "AudienceWrong",
            Self::TokenRefused => "TokenRefused",
            Self::TokenExpired => "TokenExpired",
            Self::AccountUnknown => "AccountUnknown",
            Self::PodMissing => "PodMissing",
            Self::NodeMissing => "NodeMissing",
            Self::ReviewFailed => "ReviewFailed",
        }
    }

    /// The fault and the remedy, for operators.
    #[must_use]
    pub fn explained(self) -> &'static str {
        match self {
            Self::QuestionMalformed => "the question is not one of a NATS server: upgrade the gatekeeper with NATS",
            Self::OtherKeys => {
                "the server has the keys of another gatekeeper: restart the NATS pods one after the other"
            }
            Self::TokenAbsent => {
                "the client shows no token: set BELLWETHER_NATS_TOKEN to the file of its projected token"
            }
            Self::TokenMalformed => "the token is none of Kubernetes: is the file of the token the projected one?",
            Self::AudienceWrong => {
                "the token is for another audience: the projected volume has to name bellwether-nats"
            }
            Self::TokenRefused => {
                "the API server does not accept the token: is it of this cluster, unexpired, and its pod still there?"
            }
            Self::TokenExpired => {
                "the token's end is over, though the API server accepts it: is the clock of the NATS pod's node right?"
            }
            Self::AccountUnknown => {
                "the ServiceAccount has no role: does the pod run as that of its service, and do --sentinel-account, \
                 --rebooter-account, --drainer-account and --scheduler-account name it?"
            }
            Self::PodMissing => "the token is not bound to a pod: use the projected volume, not `kubectl create token`",
            Self::NodeMissing => {
                "the token names no node: the API server has to be 1.33 or newer, and the pod has to be on a node"
            }
            Self::ReviewFailed => "the API server could not be asked about the token: see /readyz of the gatekeeper",
        }
    }
}
