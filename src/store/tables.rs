//! The tables, their keys and their values. Every name carries the version of its layout.

/// A table of ordered byte keys and byte values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Table {
    /// Facts about the file itself.
    Meta,
    /// Who may sign in.
    Users,
    /// Users by their name.
    UsersByName,
    /// Browser sessions.
    Sessions,
    /// A user's sessions in the order they began.
    SessionsByUser,
    /// OAuth clients.
    Clients,
    /// Secrets of confidential clients.
    ClientSecrets,
    /// What users allowed.
    Grants,
    /// A user's grants in the order they were given.
    GrantsByUser,
    /// A client's grants in the order they were given.
    GrantsByClient,
    /// Consent pages that were answered.
    SpentConsents,
    /// Authorization codes, spent ones as well.
    Codes,
    /// Families of refresh tokens and the access tokens issued with them.
    TokenFamilies,
    /// Access tokens.
    AccessTokens,
    /// What devices asked for.
    Devices,
    /// The same by the code that a person types.
    DevicesByUserCode,
    /// Other servers whose tokens are issued here.
    ResourceServers,
    /// The same by the audience of their tokens.
    ResourceServersByIdentifier,
    /// Who did what, linked into a chain.
    Audit,
    /// What ends when, of whatever is not swept in the order of its key.
    Expiry,
    /// Clients by the URL of the document that describes them.
    ClientsByDocument,
    /// Copies of such documents that the owner keeps.
    PinnedDocuments,
    /// Other MCP servers behind this one.
    Upstreams,
    /// What people were told.
    Notifications,
    /// A user's notifications in the order they came, with when each was read.
    NotificationsByUser,
    /// How full a user's inbox is.
    InboxCounts,
    /// How a user wants to be told.
    NotificationSettings,
    /// Browsers that want to be told.
    Subscriptions,
    /// The same by the digest of their endpoint.
    SubscriptionsByEndpoint,
    /// What is on its way to them.
    PushQueue,
    /// The same by when the first message for a browser is due.
    PushLines,
}

/// One row of [`TABLES`].
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition {
    /// Which table.
    pub table: Table,
    /// Its name in the file.
    pub name: &'static str,
    /// The key's parts, in scan order.
    pub key: &'static str,
    /// The value.
    pub value: &'static str,
}

const fn row(
    table: Table,
    name: &'static str,
    key: &'static str,
    value: &'static str,
) -> TableDefinition {
    TableDefinition {
        table,
        name,
        key,
        value,
    }
}

/// Every table of the file, in the order of [`Table`].
pub const TABLES: &[TableDefinition] = &[
    row(Table::Meta, "meta_v1", "name", "by name, see store/meta.rs"),
    row(Table::Users, "users_v1", "user id", "User"),
    row(Table::UsersByName, "users_by_name_v1", "name", "user id"),
    row(Table::Sessions, "sessions_v1", "session id", "Session"),
    row(
        Table::SessionsByUser,
        "sessions_by_user_v1",
        "user id, session id",
        "empty",
    ),
    row(Table::Clients, "clients_v1", "client id", "Client"),
    row(
        Table::ClientSecrets,
        "client_secrets_v1",
        "client id, secret id",
        "ClientSecret",
    ),
    row(Table::Grants, "grants_v1", "grant id", "Grant"),
    row(
        Table::GrantsByUser,
        "grants_by_user_v1",
        "user id, grant id",
        "empty",
    ),
    row(
        Table::GrantsByClient,
        "grants_by_client_v1",
        "client id, grant id",
        "empty",
    ),
    row(
        Table::SpentConsents,
        "spent_consents_v1",
        "consent id",
        "expiry, 8 bytes",
    ),
    row(Table::Codes, "codes_v1", "code id", "AuthorizationCode"),
    row(
        Table::TokenFamilies,
        "token_families_v1",
        "family id",
        "TokenFamily",
    ),
    row(
        Table::AccessTokens,
        "access_tokens_v1",
        "token id",
        "AccessToken",
    ),
    row(
        Table::Devices,
        "devices_v1",
        "device code id",
        "DeviceAuthorization",
    ),
    row(
        Table::DevicesByUserCode,
        "devices_by_user_code_v1",
        "keyed digest of the user code",
        "device code id",
    ),
    row(
        Table::ResourceServers,
        "resource_servers_v1",
        "resource server id",
        "ResourceServer",
    ),
    row(
        Table::ResourceServersByIdentifier,
        "resource_servers_by_identifier_v1",
        "resource identifier",
        "resource server id",
    ),
    row(Table::Audit, "audit_v1", "number, 8 bytes", "ChainedEntry"),
    row(Table::Expiry, "expiry_v1", "instant, kind, id", "empty"),
    row(
        Table::ClientsByDocument,
        "clients_by_document_v1",
        "document URL",
        "client id",
    ),
    row(
        Table::PinnedDocuments,
        "pinned_documents_v1",
        "document URL",
        "PinnedDocument",
    ),
    row(Table::Upstreams, "upstreams_v1", "name", "AddedUpstream"),
    row(
        Table::Notifications,
        "notifications_v1",
        "notification id",
        "Notification",
    ),
    row(
        Table::NotificationsByUser,
        "notifications_by_user_v1",
        "user id, notification id",
        "empty, or when it was read, 8 bytes",
    ),
    row(
        Table::InboxCounts,
        "inbox_counts_v1",
        "user id",
        "InboxCounts",
    ),
    row(
        Table::NotificationSettings,
        "notification_settings_v1",
        "user id",
        "NotificationSettings",
    ),
    row(
        Table::Subscriptions,
        "subscriptions_v1",
        "user id, subscription id",
        "Subscription",
    ),
    row(
        Table::SubscriptionsByEndpoint,
        "subscriptions_by_endpoint_v1",
        "digest of the endpoint",
        "user id, subscription id",
    ),
    row(
        Table::PushQueue,
        "push_queue_v1",
        "user id, subscription id, push id",
        "QueuedPush",
    ),
    row(
        Table::PushLines,
        "push_lines_v1",
        "instant, user id, subscription id",
        "empty",
    ),
];

impl Table {
    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        TABLES[self as usize].name
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_table_stands_at_its_own_place_under_its_own_name() {
        for (place, definition) in TABLES.iter().enumerate() {
            assert_eq!(definition.table as usize, place, "{}", definition.name);
            assert!(
                definition.name.ends_with("_v1"),
                "{} has no version",
                definition.name
            );
        }
        let names: BTreeSet<_> = TABLES.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), TABLES.len());
    }
}
