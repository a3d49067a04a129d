//! Discovery: authorization server metadata (RFC 8414) and protected resource metadata (RFC 9728).
//!
//! The field names are the RFCs' own, so the structs are the documents.

use serde::Serialize;

use crate::{
    model::{
        oauth2::{
            client::{AuthMethod, GrantType},
            scope::{Opens, SCOPES, ScopeDefinition},
        },
        toolset::Toolset,
        upstream::UpstreamScope,
    },
    oauth2provider::{Provider, client_documents::Documents, toolset_at, upstream_at, upstreams},
    store::{Read, StoreError},
};

/// Authorization server metadata.
///
/// # Source
/// RFC 8414 §2; RFC 9207 §3 (`iss`); RFC 7636 and the MCP specification (PKCE methods).
#[derive(Clone, Debug, Serialize)]
pub struct ServerMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    introspection_endpoint: String,
    device_authorization_endpoint: String,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    scopes_supported: Vec<String>,
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
    service_documentation: String,
}

/// Protected resource metadata.
///
/// # Source
/// RFC 9728 §2; `scopes_supported` leaves out `offline_access`, which is no business of a resource.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceMetadata {
    resource: String,
    authorization_servers: [String; 1],
    scopes_supported: Vec<String>,
    bearer_methods_supported: [&'static str; 1],
    resource_name: String,
}

/// Whether clients may register themselves now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// They may.
    Open,
    /// The switch is off.
    Closed,
}

impl From<bool> for Registration {
    fn from(is_open: bool) -> Self {
        if is_open { Self::Open } else { Self::Closed }
    }
}

/// The scopes that a client of the resource at `path` of this deployment may want.
pub fn resource_scopes(
    tx: &dyn Read,
    provider: &Provider,
    path: &str,
) -> Result<Vec<String>, StoreError> {
    let of_table = SCOPES.iter().filter(|scope| opens_at(scope, path));
    let of_table = of_table.map(|scope| scope.name.to_owned());
    let of_upstreams = upstreams::scopes_at(tx, provider, path)?.into_iter();
    Ok(of_table
        .chain(of_upstreams.map(|scope| scope.name))
        .collect())
}

/// Whether `scope` opens anything at `path`: one of the management API only where the path is
/// empty, which is the deployment itself; one that does more than read only where the tools do;
/// none where the tools are those of an upstream.
pub(super) fn opens_at(scope: &ScopeDefinition, path: &str) -> bool {
    if upstream_at(path).is_some() {
        return false;
    }
    let fits = match toolset_at(path) {
        None | Some(Toolset::Standard) => true,
        Some(Toolset::Readonly | Toolset::Search) => scope.effect.is_read_only(),
    };
    fits && match scope.opens {
        Opens::McpAndApi => true,
        Opens::Api => path.is_empty(),
        Opens::Nothing => false,
    }
}

impl Provider {
    /// The metadata of the authorization server.
    pub fn server_metadata(
        &self,
        registration: Registration,
        documents: Documents,
        upstreams: &[UpstreamScope],
    ) -> ServerMetadata {
        let url = |path: &str| self.public_url.join(path);
        let auth_methods: Vec<_> = AuthMethod::ALL
            .iter()
            .map(|method| method.as_str())
            .collect();
        ServerMetadata {
            issuer: url(""),
            authorization_endpoint: url("/oauth2/authorize"),
            token_endpoint: url("/oauth2/token"),
            registration_endpoint: (registration == Registration::Open)
                .then(|| url("/oauth2/register")),
            revocation_endpoint: url("/oauth2/revoke"),
            introspection_endpoint: url("/oauth2/introspect"),
            device_authorization_endpoint: url("/oauth2/device_authorization"),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: GrantType::ALL.iter().map(|grant| grant.as_str()).collect(),
            code_challenge_methods_supported: ["S256"],
            introspection_endpoint_auth_methods_supported: AuthMethod::ALL
                .iter()
                .filter(|method| **method != AuthMethod::None)
                .map(|method| method.as_str())
                .collect(),
            token_endpoint_auth_methods_supported: auth_methods.clone(),
            revocation_endpoint_auth_methods_supported: auth_methods,
            scopes_supported: SCOPES
                .iter()
                .map(|scope| scope.name.to_owned())
                .chain(upstreams.iter().map(|scope| scope.name.clone()))
                .collect(),
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: documents == Documents::Advertised,
            service_documentation: url("/"),
        }
    }

    /// The metadata of the resource at `path` of this deployment.
    pub fn resource_metadata(
        &self,
        tx: &dyn Read,
        path: &str,
    ) -> Result<ResourceMetadata, StoreError> {
        Ok(ResourceMetadata {
            resource: self.public_url.join(path),
            authorization_servers: [self.public_url.join("")],
            scopes_supported: resource_scopes(tx, self, path)?,
            bearer_methods_supported: ["header"],
            resource_name: match upstream_at(path) {
                Some(upstream) => format!("Keystead MCP: {upstream}"),
                None if path.is_empty() => "Keystead".to_owned(),
                None => "Keystead MCP".to_owned(),
            },
        })
    }

    /// Where the metadata of the resource at `path` is (RFC 9728 §3.1).
    pub fn resource_metadata_url(&self, path: &str) -> String {
        self.public_url
            .join(&format!("/.well-known/oauth-protected-resource{path}"))
    }
}
