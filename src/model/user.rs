//! Who signs in.

use std::{fmt, str::FromStr};

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::model::{id::Id, timestamp::Timestamp};

/// The name one signs in with: lower case, so that no two differ only in how they look.
///
/// # Source
/// Threat 29: a name is normalised first and then checked, and has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct UserName(String);

impl UserName {
    /// Characters of a name at the most.
    pub const LEN_MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a user's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserNameError {
    /// Nothing, or too much.
    #[error("expected 1 to {max} characters, found {found}", max = UserName::LEN_MAX)]
    Length {
        /// Characters that were given.
        found: usize,
    },
    /// A character that looks like another, or that a shell or a URL would not take.
    #[error("expected letters a–z, digits, dot, dash and underscore, found {0:?}")]
    Character(char),
    /// It begins with something that is not a letter or a digit.
    #[error("expected a letter or a digit first, found {0:?}")]
    Start(char),
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(text: &str) -> Result<Self, UserNameError> {
        let name = text.trim().to_ascii_lowercase();
        let found = name.chars().count();
        let Some(first) = name.chars().next().filter(|_| found <= Self::LEN_MAX) else {
            return Err(UserNameError::Length { found });
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if let Some(other) = name.chars().find(|c| !allowed(*c)) {
            return Err(UserNameError::Character(other));
        }
        if !first.is_ascii_alphanumeric() {
            return Err(UserNameError::Start(first));
        }
        Ok(Self(name))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user may do on this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Administers the box.
    Owner,
    /// Manages what is their own.
    Member,
}

impl Role {
    /// The role's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }

    /// Whether who has it may do what is for `least`.
    pub fn covers(self, least: Self) -> bool {
        self == least || self == Self::Owner
    }
}

/// A password that somebody chose; the words of one that may not be chosen.
pub struct NewPassword(String);

/// Why a password may not be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewPasswordError {
    /// Guessable, or so long that hashing it is an attack.
    #[error(
        "expected {min} to {max} characters, found {found}",
        min = NewPassword::LEN_MIN, max = NewPassword::LEN_MAX
    )]
    Length {
        /// Characters that were given.
        found: usize,
    },
    /// It is the user's own name.
    #[error("expected something other than the user name")]
    IsTheName,
}

impl NewPassword {
    /// Characters at the least (NIST SP 800-63B §5.1.1.2 asks for 8).
    pub const LEN_MIN: usize = 8;
    /// Characters at the most.
    pub const LEN_MAX: usize = 256;

    /// Takes `text` as a password for `name`.
    pub fn parse(text: &str, name: &UserName) -> Result<Self, NewPasswordError> {
        let found = text.chars().count();
        if !(Self::LEN_MIN..=Self::LEN_MAX).contains(&found) {
            return Err(NewPasswordError::Length { found });
        }
        if text.eq_ignore_ascii_case(name.as_str()) {
            return Err(NewPasswordError::IsTheName);
        }
        Ok(Self(text.to_owned()))
    }

    /// The password, for the hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewPassword(redacted)")
    }
}

/// A user.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct User {
    /// The store's key.
    pub id: Id,
    /// What they sign in with.
    pub name: UserName,
    /// Owner or member.
    pub role: Role,
    /// Argon2id, as a PHC string.
    pub password_hash: String,
    /// When the account was made.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub last_sign_in_at: Option<Timestamp>,
    /// Since when they may not sign in, and their tokens and sessions open nothing.
    pub disabled_at: Option<Timestamp>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Threat 29: homoglyphs and look-alikes of a name.
    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(
            "  Ada ".parse::<UserName>().map(|n| n.to_string()),
            Ok("ada".to_owned())
        );
        assert_eq!(
            "аda".parse::<UserName>(),
            Err(UserNameError::Character('а'))
        );
        assert_eq!(
            "a@b".parse::<UserName>(),
            Err(UserNameError::Character('@'))
        );
        assert_eq!(
            "".parse::<UserName>(),
            Err(UserNameError::Length { found: 0 })
        );
        assert_eq!("-a".parse::<UserName>(), Err(UserNameError::Start('-')));
        assert_eq!(
            "a".repeat(65).parse::<UserName>(),
            Err(UserNameError::Length { found: 65 })
        );
    }

    #[test]
    fn a_password_is_neither_short_nor_the_name() {
        let name: UserName = "margaret".parse().expect("a name");
        assert!(NewPassword::parse("1234567", &name).is_err());
        assert!(NewPassword::parse("Margaret", &name).is_err());
        assert!(NewPassword::parse(&"x".repeat(257), &name).is_err());
        assert!(NewPassword::parse("12345678", &name).is_ok());
    }

    proptest! {
        #[test]
        fn parse_undoes_print(text in ".{0,80}") {
            if let Ok(name) = text.parse::<UserName>() {
                prop_assert_eq!(name.to_string().parse::<UserName>(), Ok(name));
            }
        }
    }
}
