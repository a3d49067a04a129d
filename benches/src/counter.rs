//! A small MCP server as the examples of rmcp are: one counter, one tool, nobody asked who they are.
//! Over HTTP it is what Keystead's tools are measured beside, and an upstream; over its standard
//! input and output it is an upstream without any library.

use std::{
    convert::Infallible,
    io::{BufRead as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::tool::ToolRouter,
    model::{CallToolResult, ContentBlock, ServerCapabilities, ServerConfig},
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService,
        session::{SessionManager, local::LocalSessionManager, never::NeverSessionManager},
    },
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::wire::Fault;

/// The name of the tool.
pub(crate) const TOOL: &str = "increment";

/// Serves until it is killed: over HTTP with answers in `json`, or with `sessions` and event streams,
/// which is what the library does by itself; or over `stdio`.
pub(crate) fn serve(how: &str) -> Result<(), Fault> {
    match how {
        "json" => {
            let config = StreamableHttpServerConfig::default()
                .with_legacy_session_mode(false)
                .with_json_response(true);
            over_http(NeverSessionManager::default(), config)
        }
        "sessions" => over_http(
            LocalSessionManager::default(),
            StreamableHttpServerConfig::default(),
        ),
        "stdio" => over_stdio(),
        other => Err(format!("expected json, sessions or stdio, found {other}").into()),
    }
}

#[derive(Clone)]
struct Counter {
    count: Arc<AtomicU64>,
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Counter {
    fn new() -> Self {
        Self {
            count: Arc::default(),
            tool_router: Self::tool_router(),
        }
    }

    #[tool(description = "Adds one and says how many there are")]
    async fn increment(&self) -> Result<CallToolResult, ErrorData> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let words = ContentBlock::text(count.to_string());
        Ok(CallToolResult::success(vec![words]))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Counter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn over_http<M: SessionManager>(
    sessions: M,
    config: StreamableHttpServerConfig,
) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("ready at http://{}", listener.local_addr()?);
        std::io::stdout().flush()?;
        let counter = Counter::new();
        let service =
            StreamableHttpService::new(move || Ok(counter.clone()), Arc::new(sessions), config);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = service.clone();
            tokio::spawn(async move {
                let answer = service_fn(|request: Request<Incoming>| {
                    let service = service.clone();
                    async move { Ok::<_, Infallible>(service.handle(request).await) }
                });
                let connection = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), answer);
                // A load that hangs up is the end of a run.
                connection.await.ok();
            });
        }
    })
}

fn over_stdio() -> Result<(), Fault> {
    let mut output = std::io::stdout().lock();
    let mut count = 0_u64;
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "counter", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [{
                "name": TOOL,
                "description": "Adds one and says how many there are",
                "inputSchema": { "type": "object" },
            }] }),
            Some("tools/call") => {
                count += 1;
                json!({ "content": [{ "type": "text", "text": count.to_string() }], "isError": false })
            }
            _ if message["id"].is_null() => continue,
            _ => json!({}),
        };
        let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": result });
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}
