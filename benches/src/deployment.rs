//! A server that is ready to be measured: a person has signed in and consented, and there is a
//! client to ask with. Each step is a request that a browser or a client would send.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::wire::{Answer, Connection, Fault, Writer, encoded};

/// RFC 7636, appendix B: a verifier and its S256.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where codes go. Nobody fetches it.
pub(crate) const CALLBACK: &str = "https://app.example/callback";
/// Redirects that one answer of the preparation may cause.
const REDIRECTS_MAX: usize = 8;
const PASSWORD: &str = "correct horse battery staple";

/// Where things are, and what is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Paths {
    pub(crate) authorize: &'static str,
    pub(crate) token: &'static str,
    pub(crate) register: &'static str,
    pub(crate) introspect: &'static str,
    pub(crate) metadata: &'static str,
    /// An endpoint that checks a bearer token and answers with little.
    pub(crate) bearer: &'static str,
    /// What the clients ask for.
    pub(crate) scope: &'static str,
}

/// Keystead's.
pub(crate) const KEYSTEAD: Paths = Paths {
    authorize: "/oauth2/authorize",
    token: "/oauth2/token",
    register: "/oauth2/register",
    introspect: "/oauth2/introspect",
    metadata: "/.well-known/oauth-authorization-server",
    bearer: "/api/v2/users/me",
    scope: "user:read",
};

/// node-oidc-provider's. Its own protected endpoint is left out: it answers with claims.
pub(crate) const NODE_OIDC_PROVIDER: Paths = Paths {
    authorize: "/auth",
    token: "/token",
    register: "/reg",
    introspect: "/token/introspection",
    metadata: "/.well-known/openid-configuration",
    bearer: "/me",
    scope: "user:read",
};

/// A client that registered itself.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) id: String,
    /// The header that proves a confidential one, with its CRLF; empty for a public one.
    pub(crate) authorization: String,
}

/// A server with everything that the scenarios need.
#[derive(Clone)]
pub(crate) struct Deployment {
    pub(crate) writer: Writer,
    pub(crate) paths: Paths,
    /// The header of the person's browser, with its CRLF.
    pub(crate) cookie: String,
    /// Has no secret, as an MCP client has none.
    pub(crate) public: Client,
    /// Authenticates with HTTP Basic.
    pub(crate) confidential: Client,
}

impl Deployment {
    /// Registers the clients and has the person allow them.
    pub(crate) async fn prepare(
        connection: &mut Connection,
        writer: Writer,
        paths: Paths,
        mut browser: Browser,
    ) -> Result<Self, Fault> {
        let public = register(connection, &writer, &paths, "none").await?;
        let confidential = register(connection, &writer, &paths, "client_secret_basic").await?;
        for client in [&public, &confidential] {
            let request = authorization_request(&client.id, paths.scope);
            let path = format!("{}?{request}", paths.authorize);
            browser.allow(connection, &writer, path).await?;
        }
        Ok(Self {
            writer,
            paths,
            cookie: browser.header(),
            public,
            confidential,
        })
    }

    /// The authorization request, which is answered with a code at once.
    pub(crate) fn authorize(&self, client: &Client) -> Vec<u8> {
        let request = authorization_request(&client.id, self.paths.scope);
        let path = format!("{}?{request}", self.paths.authorize);
        self.writer.get(&path, &self.cookie)
    }

    /// The exchange of `code`.
    pub(crate) fn exchange(&self, client: &Client, code: &str) -> Vec<u8> {
        self.token(
            client,
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("code_verifier", VERIFIER),
                ("redirect_uri", CALLBACK),
            ],
        )
    }

    /// The rotation of `refresh_token`.
    pub(crate) fn refresh(&self, client: &Client, refresh_token: &str) -> Vec<u8> {
        self.token(
            client,
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token),
            ],
        )
    }

    /// The request that a bearer token opens.
    pub(crate) fn open(&self, access_token: &str) -> Vec<u8> {
        let bearer = format!("Authorization: Bearer {access_token}\r\n");
        self.writer.get(self.paths.bearer, &bearer)
    }

    fn token(&self, client: &Client, pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut form = encoded(pairs);
        if client.authorization.is_empty() {
            form = form + "&" + &encoded(&[("client_id", &client.id)]);
        }
        let headers = &client.authorization;
        self.writer.form(self.paths.token, headers, &form)
    }

    /// One whole code flow: an access and a refresh token of `client`.
    pub(crate) async fn tokens(
        &self,
        connection: &mut Connection,
        client: &Client,
    ) -> Result<Tokens, Fault> {
        let answer = connection.send(&self.authorize(client)).await?;
        let code = code_of(&answer)?.to_owned();
        let answer = connection.send(&self.exchange(client, &code)).await?;
        Tokens::of(&answer)
    }
}

/// What a client has got.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Tokens {
    pub(crate) fn of(answer: &Answer<'_>) -> Result<Self, Fault> {
        match (
            answer.status,
            answer.member("access_token"),
            answer.member("refresh_token"),
        ) {
            (200, Some(access), Some(refresh)) => Ok(Self {
                access: access.to_owned(),
                refresh: refresh.to_owned(),
            }),
            _ => Err(answer.unexpected("200 with both tokens")),
        }
    }
}

/// The code that the client is sent.
pub(crate) fn code_of<'a>(answer: &Answer<'a>) -> Result<&'a str, Fault> {
    let found = answer
        .location
        .filter(|location| location.starts_with(CALLBACK))
        .and_then(|location| location.split_once("code="))
        .map(|(_, rest)| rest.split('&').next().unwrap_or_default());
    match found {
        Some(code) if matches!(answer.status, 302 | 303) && !code.is_empty() => Ok(code),
        _ => Err(answer.unexpected("a redirect to the client with a code")),
    }
}

fn authorization_request(client_id: &str, scope: &str) -> String {
    encoded(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "the-state"),
        ("scope", scope),
    ])
}

/// What a client says of itself.
pub(crate) fn metadata(auth_method: &str) -> String {
    serde_json::json!({
        "client_name": "An app",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": auth_method,
    })
    .to_string()
}

async fn register(
    connection: &mut Connection,
    writer: &Writer,
    paths: &Paths,
    auth_method: &str,
) -> Result<Client, Fault> {
    let body = metadata(auth_method);
    let request = writer.post(paths.register, "application/json", "", &body);
    let answer = connection.send(&request).await?;
    let (201, Some(id)) = (answer.status, answer.member("client_id")) else {
        return Err(answer.unexpected("201 with a client_id"));
    };
    let secret = answer.member("client_secret");
    let authorization = secret.map_or_else(String::new, |secret| {
        // Nothing that has to be encoded (RFC 6749 §2.3.1) is in either.
        let basic = STANDARD.encode(format!("{id}:{secret}"));
        format!("Authorization: Basic {basic}\r\n")
    });
    Ok(Client {
        id: id.to_owned(),
        authorization,
    })
}

/// A person's browser, as far as signing in and consenting need one.
#[derive(Default)]
pub(crate) struct Browser {
    cookies: Vec<(String, String)>,
}

/// The next page, or where the browser is sent.
enum Page {
    Html(String),
    SentTo(String),
}

impl Browser {
    /// The owner of a new box, who takes the link that it printed.
    pub(crate) async fn claim(
        connection: &mut Connection,
        writer: &Writer,
        link: &str,
    ) -> Result<Self, Fault> {
        let mut browser = Self::default();
        let path = path_of(link);
        let page = browser.get(connection, writer, &path).await?;
        let mut fields = fields_of(&page, "/claim/")?;
        for (name, value) in [
            ("username", "ada"),
            ("password", PASSWORD),
            ("password_again", PASSWORD),
        ] {
            fields.retain(|(known, _)| known != name);
            fields.push((name.to_owned(), value.to_owned()));
        }
        browser.submit(connection, writer, &path, &fields).await?;
        Ok(browser)
    }

    /// Goes to `path` and says yes to whatever is asked, until the client gets its code.
    async fn allow(
        &mut self,
        connection: &mut Connection,
        writer: &Writer,
        mut path: String,
    ) -> Result<(), Fault> {
        for _ in 0..REDIRECTS_MAX {
            let request = writer.get(&path, &self.header());
            match self.page(connection, &request).await? {
                Page::SentTo(url) if url.starts_with(CALLBACK) => return Ok(()),
                Page::SentTo(url) => path = path_of(&url),
                Page::Html(html) => {
                    let target = "/oauth2/authorize";
                    let mut fields = fields_of(&html, target)?;
                    fields.push(("decision".to_owned(), "allow".to_owned()));
                    return self.submit(connection, writer, target, &fields).await;
                }
            }
        }
        Err(format!("expected a code within {REDIRECTS_MAX} redirects, the last to {path}").into())
    }

    async fn get(
        &mut self,
        connection: &mut Connection,
        writer: &Writer,
        path: &str,
    ) -> Result<String, Fault> {
        let request = writer.get(path, &self.header());
        match self.page(connection, &request).await? {
            Page::Html(html) => Ok(html),
            Page::SentTo(url) => Err(format!("expected a page, found a redirect to {url}").into()),
        }
    }

    async fn submit(
        &mut self,
        connection: &mut Connection,
        writer: &Writer,
        path: &str,
        fields: &[(String, String)],
    ) -> Result<(), Fault> {
        let pairs: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        // A browser sends the origin of the page with every post.
        let headers = format!("Origin: http://{}\r\n{}", writer.host, self.header());
        let request = writer.form(path, &headers, &encoded(&pairs));
        match self.page(connection, &request).await? {
            Page::SentTo(_) => Ok(()),
            Page::Html(html) => Err(format!("expected a redirect, found the page\n{html}").into()),
        }
    }

    async fn page(&mut self, connection: &mut Connection, request: &[u8]) -> Result<Page, Fault> {
        let answer = connection.send(request).await?;
        for cookie in &answer.cookies {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.retain(|(known, _)| known != name);
                if !value.is_empty() {
                    self.cookies.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        match (answer.status, answer.location) {
            (200, _) => Ok(Page::Html(answer.body.to_owned())),
            (302 | 303, Some(location)) => Ok(Page::SentTo(location.to_owned())),
            _ => Err(answer.unexpected("a page or a redirect")),
        }
    }

    fn header(&self) -> String {
        if self.cookies.is_empty() {
            return String::new();
        }
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("Cookie: {}\r\n", pairs.join("; "))
    }
}

/// The path and query of a URL, or of what is one already.
fn path_of(url: &str) -> String {
    match url.split_once("://") {
        None => url.to_owned(),
        Some((_, rest)) => rest
            .split_once('/')
            .map_or_else(|| "/".to_owned(), |(_, path)| format!("/{path}")),
    }
}

/// What a browser would send for the form of `html` that goes to `action`. Our pages are simple
/// enough to be read like this; `tests/clients` reads them with a real parser.
fn fields_of(html: &str, action: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut forms = html.split("<form").skip(1);
    let form = forms
        .find(|form| form.contains(&format!("action=\"{action}")))
        .ok_or_else(|| format!("expected a form to {action}, found none in\n{html}"))?;
    let form = form.split("</form>").next().unwrap_or_default();
    let inputs = form.split("<input").skip(1);
    Ok(inputs
        .filter_map(|input| {
            let tag = input.split('>').next()?;
            let name = attribute(tag, "name")?;
            Some((name, attribute(tag, "value").unwrap_or_default()))
        })
        .collect())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#38;", "&"))
}
