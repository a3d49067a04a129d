//! Calls of tools that are answered without the library's service.
//!
//! For each message over HTTP rmcp starts a service of its own: four tasks, and what they need to
//! talk to each other. A tool of ours sends nothing before its answer and asks its caller nothing
//! back, so that a call is one function in the task of its connection, which a hang-up drops. Only
//! a call about which there is nothing left to decide is taken here. Whatever is foreign, malformed
//! or merely unusual goes to rmcp, and these are answered as rmcp would answer them.

use std::{fmt, marker::PhantomData, sync::Arc};

use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{HOST, ORIGIN},
};
use rmcp::model::{
    CallToolRequestMethod, CallToolRequestParams, ConstString as _, JsonObject, JsonRpcError,
    JsonRpcResponse, JsonRpcVersion2_0, ProtocolVersion, RequestMetaObject, ServerResult,
};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    http::{
        request::Request,
        response::{self, Response},
    },
    mcp::{
        MCP_METHOD, MCP_NAME, PROTOCOL_VERSION,
        front::{self, MessageId, Refusal},
        handler::{Caller, Denied, Handler, PROTOCOL_VERSIONS},
    },
};

/// What a header begins with whose value is not written as it is; rmcp reads such a one.
const ENCODED: &str = "=?";

/// A message, its parameters read as the library reads them. With any other member it is for the
/// library itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message<'body> {
    jsonrpc: &'body str,
    id: MessageId,
    method: &'body str,
    #[serde(deserialize_with = "by_name")]
    params: CallToolRequestParams,
}

/// Reads what is an object. A list as well would be read by the places of its members.
fn by_name<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    struct ByName<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for ByName<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }

    value.deserialize_map(ByName(PhantomData))
}

/// A call of a tool about which nothing is left to decide but whether it is allowed.
pub(super) struct DirectCall {
    id: MessageId,
    /// Which tool.
    pub(super) name: String,
    arguments: JsonObject,
    is_legacy: bool,
}

impl DirectCall {
    /// The call that `request` is, if it is one; the front has read its head. `authority` is what
    /// `Host` has to be, to the letter, and no page may have sent it (threat 1).
    pub(super) fn read(request: &Request, authority: &str) -> Option<Self> {
        let headers = &request.head.headers;
        if headers.get(HOST)? != authority || headers.contains_key(ORIGIN) {
            return None;
        }
        let mut body = serde_json::Deserializer::from_slice(&request.body);
        let message: Message<'_> = by_name(&mut body).ok()?;
        body.end().ok()?;
        if message.jsonrpc != JsonRpcVersion2_0::VALUE
            || message.method != CallToolRequestMethod::VALUE
        {
            return None;
        }
        let Message { id, params, .. } = message;
        let is_legacy = is_legacy(headers, &params)?;
        if !is_legacy {
            // A revision that stands twice is refused, which the library's map of it does not show.
            front::Message::parse(&request.body).ok()?;
        }
        Some(Self {
            id,
            name: params.name.into_owned(),
            arguments: params.arguments.unwrap_or_default(),
            is_legacy,
        })
    }

    /// What `handler` answers.
    ///
    /// # Errors
    /// [`Refusal::Scope`] if the caller's token does not open the tool.
    pub(super) async fn answer(
        self,
        handler: &Handler,
        caller: Arc<Caller>,
    ) -> Result<Response, Refusal> {
        let outcome = handler.try_call(caller, &self.name, self.arguments).await;
        let message = match outcome {
            Ok(result) => {
                let mut result = ServerResult::CallToolResult(result);
                if self.is_legacy {
                    result.strip_result_type_for_legacy_peer();
                }
                response::json_bytes(&JsonRpcResponse {
                    jsonrpc: JsonRpcVersion2_0,
                    id: self.id.into(),
                    result,
                })
            }
            Err(Denied::Closed(offer)) => return Err(Refusal::lacks(Some(self.id), &offer)),
            Err(Denied::Error(error)) => {
                response::json_bytes(&JsonRpcError::new(Some(self.id.into()), error))
            }
        };
        Ok(response::rendered_json(StatusCode::OK, message))
    }
}

/// Whether a call is of the era of `initialize`; nothing, if headers and message do not agree about
/// it in the plainest way.
fn is_legacy(headers: &HeaderMap, call: &CallToolRequestParams) -> Option<bool> {
    let modern = ProtocolVersion::V_2026_07_28;
    let header = only(headers, &PROTOCOL_VERSION);
    let meta = call.meta.as_ref();
    let Some(version) = meta.and_then(RequestMetaObject::protocol_version) else {
        let is_legacy = |name: &str| {
            let mut spoken = PROTOCOL_VERSIONS.iter();
            spoken.any(|version| version.as_str() == name && *version != modern)
        };
        let is_unnamed = !headers.contains_key(PROTOCOL_VERSION);
        return (is_unnamed || header.is_some_and(is_legacy)).then_some(true);
    };
    let agree = version == modern
        && header == Some(modern.as_str())
        && only(headers, &MCP_METHOD) == Some(CallToolRequestMethod::VALUE)
        && only(headers, &MCP_NAME) == Some(&*call.name)
        && !call.name.starts_with(ENCODED);
    let is_whole = meta.is_some_and(|meta| meta.missing_required_keys(&modern).is_empty());
    (agree && is_whole).then_some(false)
}

/// The header of that name, if it is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok();
    first.filter(|_| values.next().is_none())
}
