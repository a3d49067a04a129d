//! Upstreams that are made up: in this process, behind a pair of pipes.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, duplex};

use super::{
    Connect, Connecting, Connection, ListChanged, connect::bytes_max, guard::Cause, lines,
};
use crate::model::upstream::{Bounds, Child, Reach, Sandbox, Upstream};

/// Bytes that are on their way to or from one.
const PIPE_BYTES: usize = 64 * 1024;

/// Reaches nothing: whatever connects fails.
pub(crate) struct Nowhere;

impl Connect for Nowhere {
    fn connect<'a>(&'a self, _: &'a Upstream, _: ListChanged) -> Connecting<'a> {
        Box::pin(async { Err("there is nothing in this test".to_owned()) })
    }
}

/// What upstreams were told, and how they behave.
#[derive(Clone, Default)]
pub(crate) struct House {
    /// Connections that were made.
    pub(crate) starts: Arc<AtomicUsize>,
    /// Every message that came, in order.
    pub(crate) heard: Arc<Mutex<Vec<Value>>>,
    /// Tools that are shown beside the usual ones.
    pub(crate) more_tools: Arc<Mutex<Vec<Value>>>,
    /// Starts that fail before one succeeds.
    pub(crate) failing: Arc<AtomicUsize>,
}

impl Connect for House {
    fn connect<'a>(&'a self, upstream: &'a Upstream, list_changed: ListChanged) -> Connecting<'a> {
        Box::pin(async move {
            self.starts.fetch_add(1, Ordering::SeqCst);
            let failing = |left: usize| left.checked_sub(1);
            if self
                .failing
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, failing)
                .is_ok()
            {
                return Err("it fails as the test wants it".to_owned());
            }
            let (ours, theirs) = duplex(PIPE_BYTES);
            tokio::spawn(self.clone().serve(theirs));
            let (read, write) = tokio::io::split(ours);
            let cause = Cause::default();
            let lines = lines::Lines::new(read, write, bytes_max(upstream), cause.clone());
            Connection::open(lines, cause, list_changed).await
        })
    }
}

impl House {
    pub(crate) fn starts(&self) -> usize {
        self.starts.load(Ordering::SeqCst)
    }

    /// The messages of that method that came.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        let heard = self.heard.lock().expect("a list");
        let of_method = |message: &&Value| message["method"] == method;
        heard.iter().filter(of_method).cloned().collect()
    }

    async fn serve(self, stream: DuplexStream) {
        let (read, mut write) = tokio::io::split(stream);
        let mut read: Lines<_> = BufReader::new(read).lines();
        while let Ok(Some(line)) = read.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("our own JSON");
            self.heard.lock().expect("a list").push(message.clone());
            let Some(answer) = self.answer(&message) else {
                return;
            };
            for line in answer {
                if write
                    .write_all(format!("{line}\n").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    }

    /// The lines that it writes to a message; none if it ends.
    fn answer(&self, message: &Value) -> Option<Vec<String>> {
        let id = &message["id"];
        let result = |result: Value| {
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
            Some(vec![answer.to_string()])
        };
        match message["method"].as_str() {
            Some("initialize") => result(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": { "listChanged": true } },
                "serverInfo": { "name": "house", "version": "1" },
            })),
            Some("tools/list") => {
                let mut tools = usual_tools();
                tools.extend(self.more_tools.lock().expect("a list").iter().cloned());
                result(json!({ "tools": tools }))
            }
            Some("tools/call") => self.call(id, &message["params"]),
            _ => Some(Vec::new()),
        }
    }

    fn call(&self, id: &Value, params: &Value) -> Option<Vec<String>> {
        let text = |text: &str| {
            let content = json!([{ "type": "text", "text": text }]);
            json!({ "jsonrpc": "2.0", "id": id, "result": { "content": content } }).to_string()
        };
        let note = |method: &str| json!({ "jsonrpc": "2.0", "method": method }).to_string();
        match params["name"].as_str().expect("a name") {
            "echo" => Some(vec![text(&params["arguments"]["text"].to_string())]),
            "add_tool" => {
                let tool = tool("added", &json!({}));
                self.more_tools.lock().expect("a list").push(tool);
                Some(vec![
                    note("notifications/tools/list_changed"),
                    text("added"),
                ])
            }
            "hang" => Some(Vec::new()),
            "die" => None,
            "garbage" => Some(vec!["this is no message".to_owned(), text("after garbage")]),
            "only_garbage" => Some(vec!["}{".to_owned(); 200]),
            "huge" => Some(vec![text(&"x".repeat(8 * 1024 * 1024))]),
            "flood" => {
                let mut lines = vec![note("notifications/x"); 600];
                lines.push(text("after the flood"));
                Some(lines)
            }
            "ask" => {
                let params = json!({ "messages": [], "maxTokens": 1 });
                let asked = json!({ "jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": params });
                Some(vec![asked.to_string(), text("asked")])
            }
            "input" => {
                let result = json!({ "resultType": "input_required", "requestState": "s" });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                Some(vec![answer.to_string()])
            }
            other => {
                let error = json!({ "code": -32602, "message": format!("no {other}\u{7}") });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
                Some(vec![answer.to_string()])
            }
        }
    }
}

pub(crate) fn tool(name: &str, annotations: &Value) -> Value {
    json!({
        "name": name,
        "description": format!("does {name}"),
        "inputSchema": { "type": "object", "properties": {} },
        "annotations": annotations,
    })
}

fn usual_tools() -> Vec<Value> {
    let plain = [
        "add_tool",
        "hang",
        "die",
        "garbage",
        "only_garbage",
        "huge",
        "flood",
        "ask",
        "input",
        "missing",
    ];
    let mut tools = vec![tool(
        "echo",
        &json!({ "readOnlyHint": true, "openWorldHint": false }),
    )];
    tools.extend(plain.iter().map(|name| tool(name, &json!({}))));
    tools
}

/// An upstream of that name, wherever it is.
pub(crate) fn upstream(name: &str) -> Upstream {
    Upstream {
        name: name.parse().expect("a name"),
        reach: Reach::Child(Box::new(Child {
            command: vec!["mcp-house".to_owned()],
            environment: Vec::new(),
            sandbox: Sandbox::default(),
        })),
        bounds: Bounds::default(),
    }
}
