//! The chain of a family's refresh tokens: what follows a token, and where a presented one stands.

use crate::{
    crypto::keyed::Purpose,
    model::{
        credential::{Credential, Secret},
        oauth2::token::{Predecessor, RefreshChain, TokenFamily},
        timestamp::Timestamp,
    },
    oauth2provider::Provider,
};

/// Generations back to which an old refresh token is told from an invented one by deriving its
/// successors. One that claims to be older ends the family unproved: whoever knows the family's
/// id has seen one of its tokens.
pub const REPLAY_CHAIN_MAX: u32 = 4_096;

/// Where a presented refresh token stands in its family.
pub(super) enum Position {
    /// It is the current one.
    Current,
    /// It is the one before, within the replay window: its client lost the answer.
    JustReplaced,
    /// It was current once.
    Replayed,
    /// It never was.
    Invented,
}

impl RefreshChain {
    /// The chain once `successor` has replaced its current token.
    pub(super) fn rotated(
        self,
        now: Timestamp,
        successor: &Credential,
        idle_expires_at: Timestamp,
    ) -> Self {
        Self {
            generation: successor.generation(),
            digest: successor.digest(),
            predecessor: Some(Predecessor {
                digest: self.digest,
                rotated_at: now,
            }),
            idle_expires_at,
        }
    }
}

/// The refresh token that follows `token`: only who has `token` and the deployment's key can make
/// it, so it need not be kept to be given again.
pub(super) fn successor(provider: &Provider, token: &Credential) -> Credential {
    let generation = token.generation().saturating_add(1);
    let secret = provider.key.derive(
        Purpose::RefreshSuccessor,
        &[
            token.id().as_bytes(),
            &generation.to_be_bytes(),
            token.secret().as_bytes(),
        ],
    );
    Credential::refresh_token(token.id(), generation, Secret::from_bytes(secret))
}

/// Whether `token` is or was a refresh token of `family`, in any generation.
pub(super) fn is_of_family(
    provider: &Provider,
    now: Timestamp,
    family: &TokenFamily,
    token: &Credential,
) -> bool {
    family.refresh.as_ref().is_some_and(|chain| {
        !matches!(
            position(provider, now, family, chain, token),
            Position::Invented
        )
    })
}

/// Where `token` stands in `family`, whose id it has.
pub(super) fn position(
    provider: &Provider,
    now: Timestamp,
    family: &TokenFamily,
    chain: &RefreshChain,
    token: &Credential,
) -> Position {
    debug_assert_eq!(family.id, token.id());
    let Some(age) = chain.generation.checked_sub(token.generation()) else {
        return Position::Invented;
    };
    if age == 0 {
        let current = chain.digest == token.digest();
        return if current {
            Position::Current
        } else {
            Position::Invented
        };
    }
    if age == 1
        && let Some(predecessor) = &chain.predecessor
        && predecessor.digest == token.digest()
    {
        let window_ends_at = predecessor
            .rotated_at
            .after(provider.lifetimes.replay_window);
        let in_window = !window_ends_at.has_passed(now);
        return if in_window {
            Position::JustReplaced
        } else {
            Position::Replayed
        };
    }
    if age > REPLAY_CHAIN_MAX {
        return Position::Replayed;
    }
    let current = (0..age).fold(token.clone(), |token, _| successor(provider, &token));
    if current.digest() == chain.digest {
        Position::Replayed
    } else {
        Position::Invented
    }
}
