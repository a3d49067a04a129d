//! What is asked, over and over, and what must come back.

use std::{cell::RefCell, rc::Rc};

use crate::{
    deployment::{Deployment, Tokens, code_of, metadata},
    families::{Draws, Families, Known},
    tools::{self, CALLED},
    wire::{Answer, Connection, Fault, Writer},
};

/// Whether an operation is complete or has another request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    Done,
    More,
}

/// One connection's part: it asks, and judges each answer. An answer that is not what a right one
/// looks like ends the run.
pub(crate) trait Caller {
    fn ask(&mut self, request: &mut Vec<u8>);
    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault>;
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Each connection rotates a refresh token of its own, again and again.
    Rotation,
    /// Each rotates one that it draws at random from a prepared set.
    RandomRotation,
    /// A GET that a bearer token opens.
    Bearer,
    /// The same with a token drawn at random from a prepared set.
    RandomBearer,
    /// RFC 7662, the client proved by HTTP Basic.
    Introspect,
    /// Authorization request, code, exchange with PKCE: two requests are one operation.
    Code,
    /// RFC 7591.
    Register,
    /// RFC 8414.
    Metadata,
    /// `tools/call` of a tool that does little.
    ToolCall,
    /// The same of an upstream over HTTP.
    UpstreamHttp,
    /// The same of an upstream over its standard input and output.
    UpstreamStdio,
}

impl Scenario {
    pub(crate) const ALL: [(&'static str, Self); 11] = [
        ("rotation", Self::Rotation),
        ("random-rotation", Self::RandomRotation),
        ("bearer", Self::Bearer),
        ("random-bearer", Self::RandomBearer),
        ("introspect", Self::Introspect),
        ("code", Self::Code),
        ("register", Self::Register),
        ("metadata", Self::Metadata),
        ("tool-call", Self::ToolCall),
        ("upstream-http", Self::UpstreamHttp),
        ("upstream-stdio", Self::UpstreamStdio),
    ];

    pub(crate) fn find(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, scenario)| scenario)
    }

    pub(crate) fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

/// The callers of `scenario`, one for each of `connections`. The random ones draw from `known`.
pub(crate) async fn callers(
    scenario: Scenario,
    connection: &mut Connection,
    deployment: &Deployment,
    connections: usize,
    known: Option<Known>,
) -> Result<Vec<Box<dyn Caller>>, Fault> {
    let deployment = Rc::new(deployment.clone());
    let known = || known.ok_or("expected prepared families, found none");
    let mut families = None;
    let mut callers: Vec<Box<dyn Caller>> = Vec::with_capacity(connections);
    let mut constant = None;
    for place in 0..connections {
        let deployment = Rc::clone(&deployment);
        callers.push(match scenario {
            Scenario::Rotation => {
                let client = &deployment.public;
                let tokens = deployment.tokens(connection, client).await?;
                Box::new(Rotation { deployment, tokens })
            }
            Scenario::RandomRotation => {
                let known = known()?;
                let shared = || Rc::new(RefCell::new(Families::new(known)));
                Box::new(RandomRotation {
                    deployment,
                    families: Rc::clone(families.get_or_insert_with(shared)),
                    drawn: 0,
                })
            }
            Scenario::RandomBearer => Box::new(RandomBearer {
                deployment,
                known: known()?,
                draws: Draws::of(place),
            }),
            Scenario::Code => Box::new(Code {
                deployment,
                code: None,
            }),
            _ => {
                if constant.is_none() {
                    constant = Some(Constant::of(scenario, connection, &deployment).await?);
                }
                Box::new(constant.clone().ok_or("no request")?)
            }
        });
    }
    Ok(callers)
}

/// In the answer of the endpoint that a bearer token opens.
const OPENED: &str = "\"name\":\"ada\"";

struct Rotation {
    deployment: Rc<Deployment>,
    tokens: Tokens,
}

impl Caller for Rotation {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let (deployment, token) = (&self.deployment, &self.tokens.refresh);
        request.extend(deployment.refresh(&deployment.public, token));
    }

    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault> {
        let tokens = Tokens::of(answer)?;
        if tokens.refresh == self.tokens.refresh {
            return Err("expected another refresh token, found the same".into());
        }
        self.tokens = tokens;
        Ok(Heard::Done)
    }
}

struct RandomRotation {
    deployment: Rc<Deployment>,
    families: Rc<RefCell<Families>>,
    drawn: u64,
}

impl Caller for RandomRotation {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let (number, token) = self.families.borrow_mut().draw();
        self.drawn = number;
        let deployment = &self.deployment;
        request.extend(deployment.refresh(&deployment.public, &token));
    }

    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault> {
        let tokens = Tokens::of(answer)?;
        let mut families = self.families.borrow_mut();
        families.put_back(self.drawn, tokens.refresh);
        Ok(Heard::Done)
    }
}

struct RandomBearer {
    deployment: Rc<Deployment>,
    known: Known,
    draws: Draws,
}

impl Caller for RandomBearer {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let token = self.known.access_token(self.draws.below(self.known.count));
        request.extend(self.deployment.open(&token));
    }

    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault> {
        if answer.status == 200 && answer.body.contains(OPENED) {
            Ok(Heard::Done)
        } else {
            Err(answer.unexpected(OPENED))
        }
    }
}

struct Code {
    deployment: Rc<Deployment>,
    code: Option<String>,
}

impl Caller for Code {
    fn ask(&mut self, request: &mut Vec<u8>) {
        let deployment = &self.deployment;
        request.extend(match &self.code {
            None => deployment.authorize(&deployment.public),
            Some(code) => deployment.exchange(&deployment.public, code),
        });
    }

    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault> {
        if self.code.take().is_some() {
            Tokens::of(answer)?;
            return Ok(Heard::Done);
        }
        self.code = Some(code_of(answer)?.to_owned());
        Ok(Heard::More)
    }
}

/// The same request each time, and what its answer must have.
#[derive(Clone)]
pub(crate) struct Constant {
    request: Vec<u8>,
    status: u16,
    contains: &'static str,
}

impl Constant {
    /// Any path of the server that answers a constant.
    pub(crate) fn of_constant_server(host: &str) -> Self {
        let writer = Writer {
            host: host.to_owned(),
        };
        Self {
            request: writer.get("/", ""),
            status: 200,
            contains: "\"active\"",
        }
    }

    /// That call of a tool.
    pub(crate) const fn of_tool(request: Vec<u8>) -> Self {
        Self {
            request,
            status: 200,
            contains: CALLED,
        }
    }

    async fn of(
        scenario: Scenario,
        connection: &mut Connection,
        deployment: &Deployment,
    ) -> Result<Self, Fault> {
        let Deployment { writer, paths, .. } = deployment;
        let client = &deployment.confidential;
        let (request, status, contains) = match scenario {
            Scenario::Bearer => {
                let access = deployment.tokens(connection, client).await?.access;
                (deployment.open(&access), 200, OPENED)
            }
            Scenario::Introspect => {
                let access = deployment.tokens(connection, client).await?.access;
                let form = crate::wire::encoded(&[("token", &access)]);
                let request = writer.form(paths.introspect, &client.authorization, &form);
                (request, 200, "\"active\":true")
            }
            Scenario::Register => {
                let body = metadata("none");
                let request = writer.post(paths.register, "application/json", "", &body);
                (request, 201, "\"client_id\":")
            }
            Scenario::Metadata => (writer.get(paths.metadata, ""), 200, "\"token_endpoint\":"),
            Scenario::ToolCall | Scenario::UpstreamHttp | Scenario::UpstreamStdio => {
                let access = deployment.tokens(connection, client).await?.access;
                let headers = format!("Authorization: Bearer {access}\r\n");
                let tool = match scenario {
                    Scenario::UpstreamHttp => tools::upstream_tool(tools::OVER_HTTP),
                    Scenario::UpstreamStdio => tools::upstream_tool(tools::OVER_STDIO),
                    _ => tools::OWN_TOOL.to_owned(),
                };
                return Ok(Self::of_tool(tools::call(writer, &headers, &tool)));
            }
            other => return Err(format!("{} is no constant request", other.name()).into()),
        };
        Ok(Self {
            request,
            status,
            contains,
        })
    }
}

impl Caller for Constant {
    fn ask(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.request);
    }

    fn hear(&mut self, answer: &Answer<'_>) -> Result<Heard, Fault> {
        if answer.status == self.status && answer.body.contains(self.contains) {
            Ok(Heard::Done)
        } else {
            let expected = format!("{} with {}", self.status, self.contains);
            Err(answer.unexpected(&expected))
        }
    }
}
