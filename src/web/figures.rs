//! What is counted of tokens, sign-ins and pushes.

use crate::{
    metrics::{Counter, counters},
    model::oauth2::client::GrantType,
    notifications::Outcome,
    oauth2provider::tokens::{Issued, TokenError},
    web::oauth2::error::OAuthError,
};

/// What came of a request for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// The client got tokens.
    Issued,
    /// What it showed had been used before; what that had given is revoked.
    Replayed,
    /// Nobody has answered yet.
    Pending,
    /// The client got none.
    Refused,
    /// Something failed here.
    Fault,
}

impl TokenOutcome {
    /// Every outcome, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Issued,
        Self::Replayed,
        Self::Pending,
        Self::Refused,
        Self::Fault,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Replayed => "replayed",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Fault => "fault",
        }
    }

    pub(super) fn of(asked: &Result<Result<Issued, TokenError>, OAuthError>) -> Self {
        match asked {
            Ok(Ok(_)) => Self::Issued,
            Ok(Err(
                TokenError::CodeReplayed | TokenError::RefreshReplayed | TokenError::DeviceReplayed,
            )) => Self::Replayed,
            Ok(Err(TokenError::DevicePending | TokenError::DeviceTooFast { .. })) => Self::Pending,
            Err(error) if error.is_fault() => Self::Fault,
            Ok(Err(_)) | Err(_) => Self::Refused,
        }
    }
}

/// What came of a try at a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInOutcome {
    /// A browser is signed in.
    SignedIn,
    /// The name or the password was not right.
    Wrong,
    /// There were too many tries.
    TooOften,
    /// Something failed here.
    Fault,
}

impl SignInOutcome {
    /// Every outcome, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::SignedIn, Self::Wrong, Self::TooOften, Self::Fault];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Wrong => "wrong",
            Self::TooOften => "too_often",
            Self::Fault => "fault",
        }
    }
}

/// What came of a try to hand a message to a push service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The push service took it.
    Delivered,
    /// The browser is gone, and forgotten.
    Gone,
    /// It is tried again, unless its time is over.
    Later,
    /// The push service does not want it.
    Refused,
    /// There was nothing left to say, or nobody to say it to.
    Nothing,
}

impl PushOutcome {
    /// Every outcome, in the order of their declaration.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Gone,
        Self::Later,
        Self::Refused,
        Self::Nothing,
    ];

    /// What it is called.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Gone => "gone",
            Self::Later => "later",
            Self::Refused => "refused",
            Self::Nothing => "nothing",
        }
    }
}

impl From<Outcome> for PushOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Gone => Self::Gone,
            Outcome::Later(_) => Self::Later,
            Outcome::Refused => Self::Refused,
            Outcome::Nothing => Self::Nothing,
        }
    }
}

/// What the endpoints of this floor count, and the deliverer of pushes.
#[derive(Debug)]
pub struct Figures {
    tokens: [[Counter; TokenOutcome::ALL.len()]; GrantType::ALL.len()],
    sign_ins: [Counter; SignInOutcome::ALL.len()],
    pushes: [Counter; PushOutcome::ALL.len()],
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            tokens: std::array::from_fn(|_| counters()),
            sign_ins: counters(),
            pushes: counters(),
        }
    }
}

impl Figures {
    /// How many requests for tokens by that grant came to that.
    pub fn tokens(&self, grant: GrantType, outcome: TokenOutcome) -> u64 {
        self.tokens[grant as usize][outcome as usize].get()
    }

    /// How many tries at a password came to that.
    pub fn sign_ins(&self, outcome: SignInOutcome) -> u64 {
        self.sign_ins[outcome as usize].get()
    }

    /// How many tries of pushes came to that.
    pub fn pushes(&self, outcome: PushOutcome) -> u64 {
        self.pushes[outcome as usize].get()
    }

    /// A push was tried.
    pub fn pushed(&self, outcome: PushOutcome) {
        self.pushes[outcome as usize].add_one();
    }

    pub(super) fn asked_for_tokens(&self, grant: GrantType, outcome: TokenOutcome) {
        self.tokens[grant as usize][outcome as usize].add_one();
    }

    pub(super) fn signed_in(&self, outcome: SignInOutcome) {
        self.sign_ins[outcome as usize].add_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_stands_at_its_place() {
        let grants = GrantType::ALL.map(|grant| grant as usize);
        assert_eq!(grants, [0, 1, 2, 3]);
        let tokens = TokenOutcome::ALL.map(|outcome| outcome as usize);
        assert_eq!(tokens, [0, 1, 2, 3, 4]);
        let sign_ins = SignInOutcome::ALL.map(|outcome| outcome as usize);
        assert_eq!(sign_ins, [0, 1, 2, 3]);
        let pushes = PushOutcome::ALL.map(|outcome| outcome as usize);
        assert_eq!(pushes, [0, 1, 2, 3, 4]);
    }
}
