//! Calls of tools: Keystead's own, those of a server that asks nobody who they are, and those of an
//! upstream, directly and through Keystead.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    counter::TOOL,
    deployment::{Deployment, KEYSTEAD, Paths},
    load::{Outcome, Plan, Usage, outcome},
    peer::{Peer, Places, start_keystead_with},
    process::{Process, SERVER_CORE},
    wire::{Connection, Fault, Writer},
};

/// What is in the answer to a call that did what it should.
pub(crate) const CALLED: &str = "\"isError\":false";
/// A tool of Keystead's that does little: the token is checked, and says who it is.
pub(crate) const OWN_TOOL: &str = "get_authenticated_user";
/// The upstreams, each with the one tool of the counter.
pub(crate) const OVER_HTTP: &str = "web";
pub(crate) const OVER_STDIO: &str = "pipe";

const PATH: &str = "/mcp";
const VERSION: &str = "2025-11-25";

/// A call of `tool`, as most clients make one today.
pub(crate) fn call(writer: &Writer, headers: &str, tool: &str) -> Vec<u8> {
    let headers = format!("MCP-Protocol-Version: {VERSION}\r\n{headers}");
    writer.mcp(PATH, &headers, &call_message(tool))
}

fn call_message(tool: &str) -> String {
    let params = json!({ "name": tool, "arguments": {} });
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string()
}

fn initialize_message() -> String {
    let params = json!({
        "protocolVersion": VERSION,
        "capabilities": {},
        "clientInfo": { "name": "load", "version": "1" },
    });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The tool of an upstream as Keystead calls it.
pub(crate) fn upstream_tool(upstream: &str) -> String {
    format!("{upstream}__{TOOL}")
}

/// A call of the counter's tool in a session of its own.
pub(crate) async fn call_in_session(
    connection: &mut Connection,
    writer: &Writer,
) -> Result<Vec<u8>, Fault> {
    let opened = connection
        .send(&writer.mcp(PATH, "", &initialize_message()))
        .await?;
    let session = opened
        .session
        .ok_or_else(|| opened.unexpected("a session"))?;
    let headers = format!("Mcp-Session-Id: {session}\r\n");
    let versioned = format!("MCP-Protocol-Version: {VERSION}\r\n{headers}");
    let told = connection
        .send(&writer.mcp(PATH, &versioned, INITIALIZED))
        .await?;
    if told.status != 202 {
        return Err(told.unexpected("202"));
    }
    Ok(call(writer, &headers, TOOL))
}

/// A Keystead with both upstreams behind it, and the one over HTTP.
pub(crate) struct Behind {
    pub(crate) keystead: Process,
    pub(crate) deployment: Deployment,
    pub(crate) counter: Process,
}

impl Behind {
    pub(crate) async fn start(places: &Places) -> Result<Self, Fault> {
        let counter = Peer::RmcpJson.start(places)?;
        let data = places.data.join("behind");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let config = places.data.join("behind.toml");
        let program = std::env::current_exe()?.display().to_string();
        fs::write(
            &config,
            format!(
                "[[upstream]]\nname = {OVER_HTTP:?}\nurl = \"{}{PATH}\"\n\
                 [[upstream]]\nname = {OVER_STDIO:?}\ncommand = [{program:?}, \"counter\", \"stdio\"]\n",
                counter.url,
            ),
        )?;
        let config = config.display().to_string();
        let log = places.data.join("behind.log");
        let more = ["--config", &config];
        let mut keystead = start_keystead_with(&places.keystead, &data, &log, 0, &more)?;
        let paths = Paths {
            scope: "user:read upstream:web upstream:pipe",
            ..KEYSTEAD
        };
        let prepared = Peer::Keystead.prepare_at(&mut keystead, paths).await?;
        Ok(Self {
            keystead,
            deployment: prepared.ok_or("expected a deployment, found none")?,
            counter,
        })
    }

    pub(crate) fn stop(self) -> Result<(), Fault> {
        self.keystead.stop()?;
        self.counter.stop()
    }
}

/// The counter over its standard input and output, and nothing between.
pub(crate) struct Pipe {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    line: String,
}

impl Pipe {
    pub(crate) fn start() -> Result<Self, Fault> {
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .arg(std::env::current_exe()?)
            .args(["counter", "stdio"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut pipe = Self {
            child,
            input,
            output: BufReader::new(output),
            line: String::new(),
        };
        pipe.ask(&initialize_message())?;
        Ok(pipe)
    }

    fn ask(&mut self, message: &str) -> Result<(), Fault> {
        self.input.write_all(format!("{message}\n").as_bytes())?;
        self.line.clear();
        self.output.read_line(&mut self.line)?;
        Ok(())
    }

    /// One call after the other.
    pub(crate) fn round(&mut self, plan: Plan) -> Result<Outcome, Fault> {
        let message = call_message(TOOL);
        self.calls(&message, plan.warm_up)?;
        let before = Usage::now(self.child.id())?;
        let times = self.calls(&message, plan.measured)?;
        Ok(outcome(times, &before, &Usage::now(self.child.id())?))
    }

    fn calls(&mut self, message: &str, time: Duration) -> Result<Vec<Duration>, Fault> {
        let (begun, mut times) = (Instant::now(), Vec::new());
        while begun.elapsed() < time {
            let asked = Instant::now();
            self.ask(message)?;
            times.push(asked.elapsed());
            if !self.line.contains(CALLED) {
                return Err(format!("expected {CALLED}, found {}", self.line).into());
            }
        }
        Ok(times)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
