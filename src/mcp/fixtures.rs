//! Tools that the conformance suite of the protocol's authors calls, for a build that exists only
//! to be called by it.
//!
//! What each is and answers stands in `tests/conformance/fixtures.json`. They are reached through
//! the same front, with a credential like any tool; whatever is no fixture is the product's.

use std::{borrow::Cow, collections::BTreeMap, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities,
        CompleteRequestParams, CompleteResult, ContentBlock, CustomRequest, CustomResult,
        InputRequest, InputRequiredResult, InputResponses, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ProtocolVersion, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    crypto::keyed::{Key, Purpose},
    mcp::{catalogue::Catalogue, handler::Handler, tools::Desk},
};

static FIXTURES: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
    let text = include_str!("../../tests/conformance/fixtures.json");
    serde_json::from_str(text).expect("fixtures that can be read")
});

/// A tool, and what it answers.
#[derive(Deserialize)]
struct Fixture {
    tool: Tool,
    content: Vec<ContentBlock>,
    /// Whether that is what went wrong.
    #[serde(default)]
    fails: bool,
    /// How far it says to be on the way, of 100.
    #[serde(default)]
    progress: Vec<f64>,
    /// What a client has to be able to do.
    needs: Option<ClientCapabilities>,
    /// What it asks for in turn before it answers.
    #[serde(default)]
    rounds: Vec<BTreeMap<String, InputRequest>>,
}

/// The product's handler, with the fixtures beside its tools.
#[derive(Clone)]
pub(super) struct Fixtures {
    product: Handler,
    key: Key,
}

impl Fixtures {
    pub(super) fn new(desk: Desk, catalogue: Catalogue) -> Self {
        let key = desk.provider.key.clone();
        let product = Handler::new(desk, catalogue);
        Self { product, key }
    }

    /// The product, for a tool of its own: what a fixture sends before its answer needs the library.
    pub(super) fn direct(&self, tool: &str) -> Option<&Handler> {
        find(tool).is_none().then_some(&self.product)
    }

    /// What the client keeps for us: how many rounds it has answered, and the proof that we said so.
    fn seal(&self, tool: &str, answered: usize) -> String {
        let count = answered.to_string();
        let parts: [&[u8]; 3] = [b"conformance", tool.as_bytes(), count.as_bytes()];
        let tag = self.key.derive(Purpose::FormToken, &parts);
        format!("{count}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    fn unseal(&self, fixture: &Fixture, state: Option<&str>) -> Result<usize, ErrorData> {
        let Some(state) = state else { return Ok(0) };
        (0..=fixture.rounds.len())
            .find(|answered| self.seal(&fixture.tool.name, *answered) == state)
            .ok_or_else(|| {
                let words = "requestState: expected what was given out, found something else";
                ErrorData::invalid_params(words, None)
            })
    }

    /// What is still to be asked; nothing when all rounds have been answered.
    fn next_round(
        &self,
        fixture: &Fixture,
        request: &CallToolRequestParams,
        capabilities: &ClientCapabilities,
    ) -> Result<Option<InputRequiredResult>, ErrorData> {
        let mut answered = self.unseal(fixture, request.request_state.as_deref())?;
        while let Some(round) = fixture.rounds.get(answered) {
            let mut asked = round.clone();
            asked.retain(|_, request| can_answer(capabilities, request));
            if !has_all(request.input_responses.as_ref(), &asked) {
                let state = self.seal(&fixture.tool.name, answered);
                let required = json!({
                    "resultType": "input_required",
                    "inputRequests": asked,
                    "requestState": state,
                });
                let required = serde_json::from_value(required);
                return Ok(Some(required.expect("a result that asks")));
            }
            answered += 1;
        }
        Ok(None)
    }
}

fn can_answer(capabilities: &ClientCapabilities, request: &InputRequest) -> bool {
    match request {
        InputRequest::CreateMessage(_) => capabilities.sampling.is_some(),
        InputRequest::Elicitation(_) => capabilities.elicitation.is_some(),
        InputRequest::ListRoots(_) => capabilities.roots.is_some(),
        _ => false,
    }
}

fn has_all(responses: Option<&InputResponses>, asked: &BTreeMap<String, InputRequest>) -> bool {
    responses.is_some_and(|responses| {
        let answers = |key: &String| responses.get(key).is_some_and(serde_json::Value::is_object);
        asked.keys().all(answers)
    })
}

fn find(name: &str) -> Option<&'static Fixture> {
    FIXTURES.iter().find(|fixture| fixture.tool.name == name)
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        self.product.get_info()
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.product.supported_protocol_versions()
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        find(name).map(|fixture| fixture.tool.clone())
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.product.list_tools(request, context).await?;
        list.tools
            .extend(FIXTURES.iter().map(|fixture| fixture.tool.clone()));
        Ok(list)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(fixture) = find(&request.name) else {
            return self.product.call_tool(request, context).await;
        };
        let capabilities = context.client_capabilities().unwrap_or_default();
        if let Some(needed) = &fixture.needs
            && capabilities.sampling.is_none()
        {
            let needed = needed.clone();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        if let Some(token) = context.meta.get_progress_token() {
            for progress in &fixture.progress {
                let report = ProgressNotificationParam::new(token.clone(), *progress);
                let sent = context.peer.notify_progress(report.with_total(100.0)).await;
                sent.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
            }
        }
        match self.next_round(fixture, &request, &capabilities)? {
            Some(required) => Ok(CallToolResponse::InputRequired(required)),
            None if fixture.fails => Ok(CallToolResult::error(fixture.content.clone()).into()),
            None => Ok(CallToolResult::success(fixture.content.clone()).into()),
        }
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.product.on_custom_request(request, context).await
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.product.list_prompts(request, context).await
    }

    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.product.list_resources(request, context).await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.product.list_resource_templates(request, context).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.product.complete(request, context).await
    }
}
