//! Checking a password without telling whether the account exists.

use std::sync::OnceLock;

use crate::{
    crypto::password,
    model::user::{User, UserName},
    store::{Read, StoreError, users},
};

/// What a password is compared with: a user's hash, or for nobody a hash that costs as much.
#[derive(Clone)]
pub struct Candidate {
    user: Option<User>,
}

impl Candidate {
    /// Whoever may sign in with `name`, if anybody.
    pub fn find(tx: &dyn Read, name: Option<&UserName>) -> Result<Self, StoreError> {
        let user = name
            .map(|name| users::find_by_name(tx, name))
            .transpose()?
            .flatten();
        Ok(Self {
            user: user.filter(|user| user.disabled_at.is_none()),
        })
    }

    /// The candidate that is this user.
    pub fn of(user: User) -> Self {
        Self { user: Some(user) }
    }

    /// The user, if `password` is theirs. Takes as long when there is no such user.
    pub fn verify(self, password: &str) -> Option<User> {
        // The same work for nobody, so that the time of an answer does not tell who has an account.
        let hash = self
            .user
            .as_ref()
            .map_or_else(|| nobodys_hash(), |user| &user.password_hash);
        let matches = password::verify(password, hash);
        self.user.filter(|_| matches)
    }
}

fn nobodys_hash() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| password::hash("nobody", &[0; password::SALT_LEN]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_no_password() {
        let nobody = Candidate { user: None };
        assert!(nobody.clone().verify("nobody").is_none());
        assert!(nobody.verify("").is_none());
    }
}
