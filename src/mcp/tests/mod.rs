//! Calls of [`Mcp::answer`] in one process, as the dispatcher makes them.

mod callers;
mod direct;
mod eras;
mod figures;
mod local;
mod notifications;
mod owner;
mod random;
mod refusals;
mod search;
mod sessions;
mod toolsets;
mod upstreams;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::{
    config::{Lifetimes, McpOff},
    crypto::keyed::Key,
    http::{
        request::{Head, Request, RequestId},
        route::Captures,
        stream::Line,
    },
    mcp::{
        Mcp,
        tools::{Desk, TOOLS, Tool},
        upstreams::{Connect, Upstreams, testing::Nowhere},
    },
    model::{
        id::Id,
        oauth2::{
            client::{AuthMethod, Client, ClientMetadata, ClientName, ClientOrigin, GrantType},
            grant::Grant,
            scope::{SCOPES, ScopeSet},
        },
        timestamp::Timestamp,
        user::{Role, User},
    },
    oauth2provider::{MCP_PATH, Provider, access::Access, metadata::Registration},
    runtime::entropy::{OsEntropy, SeededEntropy},
    store::{Store, StoreError, clients, grants},
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const PUBLIC_URL: &str = "https://box.lan";
const A_DAY: Duration = Duration::from_hours(24);

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    /// With `initialize` first; the revision goes into a header.
    Legacy(&'static str),
    /// Stateless: the revision goes into each message.
    Modern,
}

const ERAS: [Era; 4] = [
    Era::Legacy("2025-03-26"),
    Era::Legacy("2025-06-18"),
    Era::Legacy("2025-11-25"),
    Era::Modern,
];

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    fn result(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let body = self.json();
        assert_eq!(body.get("error"), None, "{body}");
        body["result"].clone()
    }

    fn error_code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().expect("an error")
    }

    /// The text of a result that says that the tool failed.
    fn tool_error(&self) -> String {
        let result = self.result();
        assert_eq!(result["isError"], true, "{result}");
        assert_eq!(result.get("structuredContent"), None, "{result}");
        let text = result["content"][0]["text"].as_str();
        text.expect("a text").to_owned()
    }
}

/// A deployment with nobody in it.
struct Deployment {
    store: Arc<Store>,
    mcp: Mcp,
    path: &'static str,
}

impl Deployment {
    fn new() -> Self {
        Self::with_tools(&TOOLS)
    }

    fn with_tools(tools: &'static [Tool]) -> Self {
        Self::of(PUBLIC_URL, tools, McpOff::default())
    }

    fn of(public_url: &str, tools: &'static [Tool], off: McpOff) -> Self {
        // A store is made by waiting for its writer, which no thread of a runtime may do.
        let store = std::thread::scope(|scope| {
            let made = scope.spawn(|| Store::in_memory(&OsEntropy));
            made.join().expect("no panic").expect("a store in memory")
        });
        let store = Arc::new(store);
        let desk = desk(&store, public_url, off);
        let upstreams = behind(&desk, Arc::new(Nowhere));
        let mcp = Mcp::with_tools(desk, tools, upstreams);
        let path = MCP_PATH;
        Self { store, mcp, path }
    }

    /// The same, asked at another path.
    fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    async fn answer(&self, request: Request, access: &Access) -> Answer {
        let response = self.mcp.answer(request, access.clone(), self.path).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body that cannot fail");
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_bytes(),
        }
    }

    async fn ask(&self, era: Era, access: &Access, method: &str, params: Value) -> Answer {
        self.answer(request(era, method, params), access).await
    }

    async fn call(&self, era: Era, access: &Access, tool: &str, arguments: Value) -> Answer {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask(era, access, "tools/call", params).await
    }

    /// What the tool returns for programs; the same JSON is its text.
    async fn output(&self, access: &Access, tool: &str, arguments: Value) -> Value {
        let answer = self.call(Era::Modern, access, tool, arguments).await;
        let result = answer.result();
        assert_eq!(result["isError"], false, "{result}");
        let content = result["content"].as_array().expect("a list");
        assert_eq!(content.len(), 1, "{result}");
        let text = content[0]["text"].as_str().expect("a text");
        let output = result["structuredContent"].clone();
        assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), output);
        output
    }

    /// The names of the tools that `access` sees.
    async fn listed(&self, era: Era, access: &Access) -> Vec<String> {
        let result = self
            .ask(era, access, "tools/list", json!({}))
            .await
            .result();
        let tools = result["tools"].as_array().expect("a list");
        let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
        tools.iter().map(name).collect()
    }

    /// Keeps a grant of that user, with its client.
    async fn grant(&self, access: &Access) {
        let client = client(access.client_id);
        let grant = grant(access);
        let kept = self.store.write(move |tx| -> Result<(), StoreError> {
            clients::put(tx, &client)?;
            grants::add(tx, &grant)
        });
        kept.await.expect("a grant that is kept");
    }
}

/// The room of upstreams, which `connect` reaches.
fn behind(desk: &Desk, connect: Arc<dyn Connect>) -> Arc<Upstreams> {
    let (store, provider) = (Arc::clone(&desk.store), Arc::clone(&desk.provider));
    Arc::new(Upstreams::new(store, provider, connect))
}

fn desk(store: &Arc<Store>, public_url: &str, off: McpOff) -> Desk {
    Desk {
        store: Arc::clone(store),
        provider: Arc::new(provider(public_url)),
        entropy: Arc::new(OsEntropy),
        allowance: Arc::new(|_, _, _| Ok(())),
        experiments: Arc::default(),
        off: Arc::new(off),
    }
}

fn provider(public_url: &str) -> Provider {
    Provider::new(
        public_url.parse().expect("a public URL"),
        Key::from_bytes(&[7; Key::LEN]),
        Lifetimes {
            access_ttl: A_DAY,
            refresh_idle_ttl: A_DAY,
            refresh_absolute_ttl: A_DAY,
            code_ttl: A_DAY,
            replay_window: A_DAY,
            session_idle_ttl: A_DAY,
            session_absolute_ttl: A_DAY,
            consent_ttl: A_DAY,
            claim_ttl: A_DAY,
            unapproved_client_ttl: A_DAY,
            audit_kept: A_DAY,
            notifications_kept: A_DAY,
        },
        Registration::Open,
        Vec::new(),
    )
}

/// Everything that there is to allow.
fn all_scopes() -> ScopeSet {
    ScopeSet::of(SCOPES.iter().map(|scope| scope.name))
}

/// What a token of `name` opens; every name has identifiers of its own.
fn access(name: &str, scopes: &ScopeSet) -> Access {
    let seed = name
        .bytes()
        .fold(1, |seed: u64, byte| seed * 31 + u64::from(byte));
    let entropy = SeededEntropy::new(seed);
    Access {
        user: User {
            id: Id::generate(NOW, &entropy),
            name: name.parse().expect("a name"),
            role: Role::Member,
            password_hash: "$argon2id$".to_owned(),
            created_at: NOW,
            last_sign_in_at: None,
            disabled_at: None,
        },
        client_id: Id::generate(NOW, &entropy),
        grant_id: Id::generate(NOW, &entropy),
        scopes: scopes.clone(),
    }
}

/// The same for an owner of the box.
fn owner_access(name: &str, scopes: &ScopeSet) -> Access {
    let mut access = access(name, scopes);
    access.user.role = Role::Owner;
    access
}

fn grant(access: &Access) -> Grant {
    Grant {
        id: access.grant_id,
        user_id: access.user.id,
        client_id: access.client_id,
        scopes: access.scopes.clone(),
        resource: provider(PUBLIC_URL).resource_at(MCP_PATH).into_owned(),
        redirect_uri: Some("https://app.example/cb".parse().expect("a redirect URI")),
        created_at: NOW,
        expires_at: NOW.after(A_DAY),
    }
}

fn client(id: Id) -> Client {
    Client {
        id,
        origin: ClientOrigin::Administrator,
        metadata: ClientMetadata {
            name: ClientName::parse("Some client").expect("a name"),
            redirect_uris: vec!["https://app.example/cb".parse().expect("a redirect URI")],
            auth_method: AuthMethod::None,
            grant_types: vec![GrantType::AuthorizationCode],
            scope: None,
            client_uri: None,
            logo_uri: None,
            tos_uri: None,
            policy_uri: None,
            software_id: None,
            software_version: None,
            contacts: Vec::new(),
            application_type: None,
        },
        registration_digest: None,
        created_at: NOW,
        updated_at: NOW,
        approved_at: Some(NOW),
        last_used_at: None,
    }
}

/// A request as the dispatcher hands it over.
fn raw(method: Method, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request {
    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().expect("a header's name");
        let value = HeaderValue::from_str(value).expect("a header's value");
        (name, value)
    });
    Request {
        head: Head {
            id: RequestId::generate(NOW, &SeededEntropy::new(1)),
            now: NOW,
            method,
            path: MCP_PATH.to_owned(),
            query: None,
            headers: headers.collect(),
            remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
            captures: Captures::default(),
        },
        body: body.into(),
        line: Line::default(),
    }
}

const HEADERS: [(&str, &str); 4] = [
    ("host", "box.lan"),
    ("content-type", "application/json"),
    ("accept", "application/json, text/event-stream"),
    ("authorization", "Bearer hush"),
];

/// A post of `body` with the headers that every client sends.
fn post(body: impl Into<Bytes>) -> Request {
    raw(Method::POST, &HEADERS, body)
}

/// A request of `method` as a client of that era writes it.
fn request(era: Era, method: &str, mut params: Value) -> Request {
    let mut headers = HEADERS.to_vec();
    let name = params["name"].as_str().map(str::to_owned);
    match era {
        Era::Legacy(version) => headers.push(("mcp-protocol-version", version)),
        Era::Modern => {
            headers.push(("mcp-protocol-version", "2026-07-28"));
            headers.push(("mcp-method", method));
            headers.extend(name.as_deref().map(|name| ("mcp-name", name)));
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
    }
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    raw(Method::POST, &headers, message.to_string())
}
