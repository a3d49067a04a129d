//! What an administrator makes: clients that may act for themselves, and resource servers.

use super::{
    house::House,
    wire::{Answer, Ask, Fields},
};
use crate::{
    mcp::upstreams::testing,
    model::oauth2::{
        client::{AuthMethod, ClientMetadata, ClientName, GrantType},
        resource_server::ServerScope,
    },
    oauth2provider::{
        apps::{self, FirstSecret},
        resources, upstreams,
    },
};

/// What a resource server is known by, unless a test has it otherwise.
pub(super) const FILES: &str = "https://files.example/mcp";

/// A client or a resource server, with what it authenticates with.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: String,
}

impl Credentials {
    /// A form with these fields that says whose it is.
    pub(super) fn identified(&self, fields: &[(&str, &str)]) -> Fields {
        let own = [
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.as_str()),
        ];
        Fields::of(fields).and(&own)
    }

    /// What it is told of `token`.
    pub(super) async fn introspect(&self, house: &House, token: &str) -> Answer {
        let form = self.identified(&[("token", token)]);
        house.ask(Ask::form("/oauth2/introspect", &form)).await
    }
}

/// What an administrator says of a confidential client, with that ceiling.
pub(super) fn job(grants: &[GrantType], scope: Option<&str>) -> ClientMetadata {
    ClientMetadata {
        name: ClientName::parse("A job").expect("a name"),
        redirect_uris: Vec::new(),
        auth_method: AuthMethod::ClientSecretBasic,
        grant_types: grants.to_vec(),
        scope: scope.map(|scope| scope.parse().expect("scopes")),
        client_uri: None,
        logo_uri: None,
        tos_uri: None,
        policy_uri: None,
        software_id: None,
        software_version: None,
        contacts: Vec::new(),
        application_type: None,
    }
}

/// A confidential client of an administrator's, with that ceiling.
pub(super) async fn client(
    house: &House,
    grants: &[GrantType],
    scope: Option<&str>,
) -> Credentials {
    let metadata = job(grants, scope);
    let made =
        house.write(|tx, moment| apps::create(tx, moment.act(), metadata, FirstSecret::AtOnce));
    let (client, secret) = made.await.expect("a client");
    Credentials {
        id: client.id.to_string(),
        secret: secret.expect("a secret").reveal(),
    }
}

/// A resource server that knows these scopes.
pub(super) async fn resource(house: &House, identifier: &str, scopes: &[&str]) -> Credentials {
    let identifier = identifier.parse().expect("an identifier");
    let scope = |name: &&str| ServerScope::new(name, Some("do it with files")).expect("a scope");
    let scopes = scopes.iter().map(scope).collect();
    let added =
        house.write(|tx, moment| resources::add(tx, moment.act(), None, identifier, scopes));
    let (server, secret) = added.await.expect("a resource server");
    Credentials {
        id: server.id.to_string(),
        secret: secret.reveal(),
    }
}

/// Another MCP server of that name behind the house.
pub(super) async fn upstream(house: &House, name: &str) {
    let upstream = testing::upstream(name);
    let added = house.write(|tx, moment| upstreams::add(tx, moment.act(), &[], upstream));
    added.await.expect("an upstream");
}

/// Takes it from behind the house.
pub(super) async fn remove_upstream(house: &House, name: &str) {
    let name = name.parse().expect("a name");
    let removed = house.write(move |tx, moment| upstreams::remove(tx, moment.act(), &name));
    assert!(removed.await.expect("the store writes"));
}

/// Removes a resource server that is there.
pub(super) async fn remove_resource(house: &House, identifier: &str) {
    let identifier = identifier.parse().expect("an identifier");
    let removed = house.write(move |tx, moment| resources::remove(tx, moment.act(), &identifier));
    assert!(removed.await.expect("the store writes"));
}
