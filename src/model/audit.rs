//! The audit log's nouns: who did what to what, when, and from where.

use std::net::IpAddr;

use bincode::{Decode, Encode};

use crate::{
    crypto::digest::Digest,
    model::{id::Id, timestamp::Timestamp},
};

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Actor {
    /// Somebody who has not said who they are, or not yet.
    Stranger,
    /// A user, by themselves or through a client that acts for them.
    User(Id),
    /// A client, by itself.
    Client(Id),
    /// Whoever administers the machine: on the data file or through the administration socket.
    Administrator,
    /// Keystead itself, because something's time was over.
    Keystead,
}

impl Actor {
    /// What kind it is, and which.
    pub const fn named(&self) -> (&'static str, Option<Id>) {
        match self {
            Self::Stranger => ("stranger", None),
            Self::User(id) => ("user", Some(*id)),
            Self::Client(id) => ("client", Some(*id)),
            Self::Administrator => ("administrator", None),
            Self::Keystead => ("keystead", None),
        }
    }
}

/// Where something that changes the store comes from: the same for all that one request does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When it arrived.
    pub at: Timestamp,
    /// Who asks for it.
    pub actor: Actor,
    /// From where; none for what comes from the machine itself.
    pub address: Option<IpAddr>,
    /// The request, as the log and the answer name it.
    pub request_id: Option<String>,
}

impl Origin {
    /// Something that happens on the machine itself.
    pub const fn local(at: Timestamp, actor: Actor) -> Self {
        Self {
            at,
            actor,
            address: None,
            request_id: None,
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Action {
    /// The box got its first owner.
    BoxClaimed,
    /// A user was made.
    UserCreated,
    /// A user got another password.
    UserPasswordChanged,
    /// A user may no longer sign in.
    UserDisabled,
    /// A user may sign in again.
    UserEnabled,
    /// A user is gone.
    UserRemoved,
    /// A browser signed in.
    SessionOpened,
    /// A browser was signed out.
    SessionClosed,
    /// The owner made a client.
    ClientCreated,
    /// A client registered itself.
    ClientRegistered,
    /// A client changed what it had registered.
    ClientChanged,
    /// A client is gone.
    ClientRemoved,
    /// A client is gone because nobody had approved it.
    ClientExpired,
    /// A client got a secret.
    SecretCreated,
    /// A client lost a secret.
    SecretRemoved,
    /// A person allowed something.
    ConsentGiven,
    /// A person did not allow something.
    ConsentRefused,
    /// A grant was taken back.
    GrantRevoked,
    /// A client got tokens.
    TokenIssued,
    /// A client got an access token for its refresh token.
    TokenRefreshed,
    /// A client gave a token back.
    TokenRevoked,
    /// A code came a second time; what it had given was revoked.
    CodeReplayed,
    /// A refresh token came a second time; its family was revoked.
    TokenReplayed,
    /// The owner changed a setting.
    SettingChanged,
    /// A resource server was added.
    ResourceAdded,
    /// A resource server is gone.
    ResourceRemoved,
    /// A client became known by the document that describes it.
    ClientDescribed,
    /// The owner keeps a copy of a client's document.
    DocumentPinned,
    /// The owner gave such a copy up.
    DocumentUnpinned,
    /// The box was made anew of a backup.
    BoxRestored,
    /// Another MCP server was put behind this one.
    UpstreamAdded,
    /// Another MCP server is gone from behind this one.
    UpstreamRemoved,
    /// A browser is told of a person's notifications from now on.
    PushSubscribed,
    /// A browser is told of them no more.
    PushUnsubscribed,
    /// Push services know the box by another pair of keys.
    VapidRegenerated,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 35] = [
        Self::BoxClaimed,
        Self::UserCreated,
        Self::UserPasswordChanged,
        Self::UserDisabled,
        Self::UserEnabled,
        Self::UserRemoved,
        Self::SessionOpened,
        Self::SessionClosed,
        Self::ClientCreated,
        Self::ClientRegistered,
        Self::ClientChanged,
        Self::ClientRemoved,
        Self::ClientExpired,
        Self::SecretCreated,
        Self::SecretRemoved,
        Self::ConsentGiven,
        Self::ConsentRefused,
        Self::GrantRevoked,
        Self::TokenIssued,
        Self::TokenRefreshed,
        Self::TokenRevoked,
        Self::CodeReplayed,
        Self::TokenReplayed,
        Self::SettingChanged,
        Self::ResourceAdded,
        Self::ResourceRemoved,
        Self::ClientDescribed,
        Self::DocumentPinned,
        Self::DocumentUnpinned,
        Self::BoxRestored,
        Self::UpstreamAdded,
        Self::UpstreamRemoved,
        Self::PushSubscribed,
        Self::PushUnsubscribed,
        Self::VapidRegenerated,
    ];

    /// Its word, `thing.done`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BoxClaimed => "box.claimed",
            Self::UserCreated => "user.created",
            Self::UserPasswordChanged => "user.password_changed",
            Self::UserDisabled => "user.disabled",
            Self::UserEnabled => "user.enabled",
            Self::UserRemoved => "user.removed",
            Self::SessionOpened => "session.opened",
            Self::SessionClosed => "session.closed",
            Self::ClientCreated => "client.created",
            Self::ClientRegistered => "client.registered",
            Self::ClientChanged => "client.changed",
            Self::ClientRemoved => "client.removed",
            Self::ClientExpired => "client.expired",
            Self::SecretCreated => "secret.created",
            Self::SecretRemoved => "secret.removed",
            Self::ConsentGiven => "consent.given",
            Self::ConsentRefused => "consent.refused",
            Self::GrantRevoked => "grant.revoked",
            Self::TokenIssued => "token.issued",
            Self::TokenRefreshed => "token.refreshed",
            Self::TokenRevoked => "token.revoked",
            Self::CodeReplayed => "code.replayed",
            Self::TokenReplayed => "token.replayed",
            Self::SettingChanged => "setting.changed",
            Self::ResourceAdded => "resource.added",
            Self::ResourceRemoved => "resource.removed",
            Self::ClientDescribed => "client.described",
            Self::DocumentPinned => "document.pinned",
            Self::DocumentUnpinned => "document.unpinned",
            Self::BoxRestored => "box.restored",
            Self::UpstreamAdded => "upstream.added",
            Self::UpstreamRemoved => "upstream.removed",
            Self::PushSubscribed => "push.subscribed",
            Self::PushUnsubscribed => "push.unsubscribed",
            Self::VapidRegenerated => "vapid.regenerated",
        }
    }
}

/// What it was done to.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Object {
    /// The box as a whole.
    Box,
    /// A user.
    User(Id),
    /// A browser session.
    Session(Id),
    /// A client.
    Client(Id),
    /// A client's secret.
    Secret(Id),
    /// A grant.
    Grant(Id),
    /// A family of tokens.
    Family(Id),
    /// An access token.
    AccessToken(Id),
    /// An authorization code.
    Code(Id),
    /// A resource server.
    ResourceServer(Id),
    /// Another MCP server behind this one.
    Upstream(Id),
}

impl Object {
    /// What kind it is, and which.
    pub const fn named(&self) -> (&'static str, Option<Id>) {
        match self {
            Self::Box => ("box", None),
            Self::User(id) => ("user", Some(*id)),
            Self::Session(id) => ("session", Some(*id)),
            Self::Client(id) => ("client", Some(*id)),
            Self::Secret(id) => ("secret", Some(*id)),
            Self::Grant(id) => ("grant", Some(*id)),
            Self::Family(id) => ("family", Some(*id)),
            Self::AccessToken(id) => ("access_token", Some(*id)),
            Self::Code(id) => ("code", Some(*id)),
            Self::ResourceServer(id) => ("resource_server", Some(*id)),
            Self::Upstream(id) => ("upstream", Some(*id)),
        }
    }
}

/// One value that changed, as text; a secret one is never here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// The field's name on the wire.
    pub field: String,
    /// What it was; none if it was not there.
    pub old: Option<String>,
    /// What it is now; none if it is gone.
    pub new: Option<String>,
}

impl Change {
    /// A value that was not there before.
    pub fn to(field: &str, new: &(impl ToString + ?Sized)) -> Self {
        Self {
            field: field.to_owned(),
            old: None,
            new: Some(new.to_string()),
        }
    }

    /// A value that was another before; nothing if it is the same.
    pub fn between(
        field: &str,
        old: &(impl ToString + ?Sized),
        new: &(impl ToString + ?Sized),
    ) -> Option<Self> {
        let (old, new) = (old.to_string(), new.to_string());
        (old != new).then(|| Self {
            field: field.to_owned(),
            old: Some(old),
            new: Some(new),
        })
    }
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuditEntry {
    /// Its place in the log, from 1, without a gap.
    pub number: u64,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// From where.
    pub address: Option<String>,
    /// In which request.
    pub request_id: Option<String>,
    /// What was done.
    pub action: Action,
    /// To what.
    pub object: Object,
    /// What changed by it.
    pub changes: Vec<Change>,
}

/// An entry in its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainedEntry {
    /// The entry.
    pub entry: AuditEntry,
    /// Of the link before it and the entry: whoever changes one has to change all that follow.
    pub link: Digest,
}

/// One end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainEnd {
    /// The number of the entry there; 0 before the first.
    pub number: u64,
    /// Its link.
    pub link: Digest,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_action_has_a_word_of_its_own() {
        let words: BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(words.len(), Action::ALL.len());
        assert!(words.iter().all(|word| word.split('.').count() == 2));
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        assert_eq!(Change::between("name", "a", "a"), None);
        let change = Change::between("name", "a", "b").expect("a change");
        assert_eq!(
            (change.old.as_deref(), change.new.as_deref()),
            (Some("a"), Some("b"))
        );
    }
}
