//! In whose name something is called, and how far that goes.

use crate::{
    model::{id::Id, oauth2::scope::ScopeSet, user::User},
    oauth2provider::access::Access,
};

/// A person, and what may be done in their name.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// Who.
    pub(super) user: User,
    /// What may be done.
    pub(super) scopes: ScopeSet,
    /// What acts for them.
    pub(super) through: Through,
}

/// What acts for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// A client, with a token that they allowed.
    Client {
        /// Which client.
        client_id: Id,
        /// What they allowed.
        grant_id: Id,
    },
    /// A program of this machine, which needs no token.
    Machine,
}

impl From<Access> for Person {
    fn from(access: Access) -> Self {
        Self {
            user: access.user,
            scopes: access.scopes,
            through: Through::Client {
                client_id: access.client_id,
                grant_id: access.grant_id,
            },
        }
    }
}
