//! The endpoint over a stream of this machine: the same tools for the same people, and how a
//! stream ends.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf},
    sync::oneshot,
    time::timeout,
};

use super::{callers::arguments, *};
use crate::{
    audit,
    mcp::{
        local::{CALLS_MAX, GARBAGE_MAX, LocalCaller, LocalError, Machine},
        tools::testing::TEST_TOOLS,
        upstreams::testing::House,
    },
    model::{audit::Actor, toolset::Toolset},
    runtime::clock::ManualClock,
    store::users,
};

/// How both eras are spoken over a stream.
const STREAM_ERAS: [Era; 2] = [Era::Legacy("2025-11-25"), Era::Modern];
/// Long enough for a busy machine, and shorter than a call that never ends.
const LONG: Duration = Duration::from_mins(1);

/// A program at the other end of a stream.
struct Program {
    era: Era,
    read: BufReader<ReadHalf<DuplexStream>>,
    write: WriteHalf<DuplexStream>,
}

impl Program {
    async fn send_raw(&mut self, line: &[u8]) {
        self.write.write_all(line).await.expect("a reader");
        self.write.write_all(b"\n").await.expect("a reader");
    }

    async fn send(&mut self, message: &Value) {
        self.send_raw(message.to_string().as_bytes()).await;
    }

    async fn request(&mut self, id: usize, method: &str, mut params: Value) {
        if self.era == Era::Modern {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(&message).await;
    }

    async fn notify(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await;
    }

    /// The next message; none at the end.
    async fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(LONG, self.read.read_line(&mut line)).await;
        read.expect("no hang").expect("a stream");
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("a line of JSON"))
    }

    async fn error(&mut self) -> (Value, i64, String) {
        let answer = self.next().await.expect("an error");
        let error = &answer["error"];
        let code = error["code"].as_i64().expect("a code");
        let words = error["message"].as_str().expect("words").to_owned();
        (answer["id"].clone(), code, words)
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.request(1, method, params).await;
        let answer = self.next().await.expect("an answer");
        assert_eq!(answer["id"], 1, "{answer}");
        answer
    }

    /// Says what a client says first.
    async fn begin(&mut self) {
        if let Era::Legacy(version) = self.era {
            let params = json!({
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": { "name": "a host", "version": "1" },
            });
            let answer = self.ask("initialize", params).await;
            assert_eq!(answer["result"]["protocolVersion"], version, "{answer}");
            self.notify("notifications/initialized", json!({})).await;
        } else {
            let answer = self.ask("server/discover", json!({})).await;
            let spoken = answer["result"]["supportedVersions"].as_array();
            assert!(spoken.expect("versions").contains(&json!("2026-07-28")));
        }
    }

    async fn listed(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().expect("a list");
        let name = |tool: &Value| tool["name"].as_str().expect("a name").to_owned();
        tools.iter().map(name).collect()
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        self.ask("tools/call", params).await
    }

    /// Says that it has no more to say.
    async fn close(&mut self) {
        self.write.shutdown().await.expect("a stream");
    }
}

impl Deployment {
    /// Keeps the user that `access` is.
    async fn settle(&self, access: &Access) {
        let user = access.user.clone();
        let kept = self.store.write(move |tx| users::put(tx, &user));
        kept.await.expect("a user");
    }

    /// Serves a stream to `caller` while `program` does what it does, and to its own end.
    async fn connect<T>(
        &self,
        era: Era,
        caller: LocalCaller,
        program: impl AsyncFnOnce(Program) -> T,
    ) -> T {
        let (_running, stop) = oneshot::channel();
        self.connect_until(stop, era, caller, program).await
    }

    async fn connect_until<T>(
        &self,
        stop: oneshot::Receiver<()>,
        era: Era,
        caller: LocalCaller,
        program: impl AsyncFnOnce(Program) -> T,
    ) -> T {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (read, write) = tokio::io::split(theirs);
        let program = program(Program {
            era,
            read: BufReader::new(read),
            write,
        });
        let machine = Machine {
            clock: Arc::new(ManualClock::new(NOW)),
            entropy: Arc::new(SeededEntropy::new(9)),
        };
        let stop = async move { drop(stop.await) };
        let served = timeout(LONG, self.mcp.serve_local(ours, caller, machine, stop));
        let (done, served) = tokio::join!(program, served);
        served.expect("an end");
        done
    }

    fn find(&self, name: &str) -> LocalCaller {
        self.mcp.find_local(Some(name), None, None).expect("a user")
    }
}

#[tokio::test]
async fn a_stream_has_the_tools_that_a_token_for_everything_opens() {
    for toolset in Toolset::ALL {
        for (era, person) in STREAM_ERAS.into_iter().flat_map(|era| {
            let scopes = all_scopes();
            [access("ada", &scopes), owner_access("ada", &scopes)].map(|person| (era, person))
        }) {
            let path = match toolset {
                Toolset::Standard => "/mcp/standard",
                Toolset::Readonly => "/mcp/readonly",
                Toolset::Search => "/mcp/search",
            };
            let deployment = Deployment::new().at(path);
            deployment.settle(&person).await;
            let over_http = deployment.listed(Era::Modern, &person).await;
            let caller = deployment.mcp.find_local(None, Some(toolset), None);
            let caller = caller.expect("the only user");
            let connected = deployment.connect(era, caller, async |mut program| {
                program.begin().await;
                assert_eq!(program.listed().await, over_http);
                let mut answers = Vec::new();
                for tool in &TOOLS {
                    let answer = program.call(tool.name, arguments(tool)).await;
                    answers.push((tool, answer));
                }
                program.close().await;
                assert_eq!(program.next().await, None);
                answers
            });
            for (tool, answer) in connected.await {
                let is_listed = over_http.iter().any(|name| name == tool.name);
                assert_eq!(answer.get("result").is_some(), is_listed, "{answer}");
                if is_listed {
                    let over_http = deployment
                        .call(Era::Modern, &person, tool.name, arguments(tool))
                        .await;
                    let failed = &over_http.result()["isError"];
                    assert_eq!(&answer["result"]["isError"], failed, "{answer}");
                } else {
                    assert_eq!(answer["error"]["code"], -32602, "{answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn who_calls_is_the_person_and_no_client() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    deployment.settle(&ada).await;
    deployment.grant(&ada).await;
    let caller = deployment.find("ada");
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        let identity = program.call("get_authenticated_user", json!({})).await;
        let identity = &identity["result"]["structuredContent"];
        assert_eq!(identity["id"], ada.user.id.to_string());
        assert_eq!(identity.get("client_id"), None);
        let scopes = identity["scopes"].as_array().expect("a list");
        assert!(scopes.contains(&json!("grants:write")), "{identity}");
        assert!(!scopes.contains(&json!("audit:read")), "{identity}");
        let grants = program.call("list_my_grants", json!({})).await;
        let grants = &grants["result"]["structuredContent"]["grants"];
        assert_eq!(grants[0]["current"], false, "{grants}");
        program.close().await;
    });
    connected.await;
}

#[tokio::test]
async fn what_is_done_stands_in_the_audit_log_under_the_persons_name() {
    let deployment = Deployment::new();
    let ada = access("ada", &all_scopes());
    deployment.settle(&ada).await;
    deployment.grant(&ada).await;
    let caller = deployment.find("ada");
    let grant = json!({ "grant_id": ada.grant_id.to_string() });
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        let answer = program.call("revoke_my_grant", grant).await;
        assert_eq!(
            answer["result"]["structuredContent"]["revoked"], true,
            "{answer}"
        );
        program.close().await;
    });
    connected.await;
    let found = deployment.store.read(|tx| audit::search(tx, "", 10, 0));
    let entry = found.expect("a log").entries.remove(0);
    assert_eq!(entry.actor, Actor::User(ada.user.id));
    assert_eq!(entry.address, None);
    assert!(entry.request_id.is_some());
}

#[tokio::test]
async fn what_is_switched_off_is_off_here_as_well() {
    let off = McpOff {
        tools: vec!["list_my_grants".to_owned()],
        toolsets: vec![Toolset::Standard, Toolset::Search],
    };
    let deployment = Deployment::of(PUBLIC_URL, &TOOLS, off);
    deployment.settle(&access("ada", &all_scopes())).await;
    let refused = deployment
        .mcp
        .find_local(None, Some(Toolset::Standard), None);
    assert!(matches!(
        refused,
        Err(LocalError::ToolsetOff(Toolset::Standard))
    ));
    let caller = deployment.find("ada");
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        let listed = program.listed().await;
        assert!(
            listed.iter().any(|name| name == "list_my_sessions"),
            "{listed:?}"
        );
        for absent in ["list_my_grants", "revoke_my_session"] {
            assert!(!listed.iter().any(|name| name == absent), "{listed:?}");
            let answer = program.call(absent, json!({})).await;
            assert_eq!(answer["error"]["code"], -32602, "{answer}");
        }
        program.close().await;
    });
    connected.await;
    let off = McpOff {
        tools: Vec::new(),
        toolsets: Toolset::ALL.to_vec(),
    };
    let deployment = Deployment::of(PUBLIC_URL, &TOOLS, off);
    let refused = deployment.mcp.find_local(None, None, None);
    assert!(
        matches!(refused, Err(LocalError::NoToolsets)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn nobody_is_guessed() {
    let deployment = Deployment::new();
    let find = |name| deployment.mcp.find_local(name, None, None);
    assert!(matches!(find(None), Err(LocalError::Nobody)));
    let mut ada = access("ada", &all_scopes());
    deployment.settle(&ada).await;
    assert_eq!(find(None).expect("the only one").name.as_str(), "ada");
    for unknown in ["bob", "", "A d a", "\u{0}"] {
        assert!(
            matches!(find(Some(unknown)), Err(LocalError::NoSuchUser(name)) if name == unknown)
        );
    }
    deployment.settle(&access("bob", &all_scopes())).await;
    assert!(matches!(find(None), Err(LocalError::Several(2))));
    ada.user.disabled_at = Some(NOW);
    deployment.settle(&ada).await;
    assert!(matches!(find(Some("ada")), Err(LocalError::Disabled(_))));
}

#[tokio::test]
async fn a_user_who_is_disabled_or_removed_is_refused_by_the_next_message() {
    for era in STREAM_ERAS {
        for is_removed in [false, true] {
            let deployment = Deployment::new();
            let mut ada = access("ada", &all_scopes());
            deployment.settle(&ada).await;
            let caller = deployment.find("ada");
            let connected = deployment.connect(era, caller, async |mut program| {
                program.begin().await;
                assert!(!program.listed().await.is_empty());
                if is_removed {
                    let user = ada.user.clone();
                    let removed = deployment.store.write(move |tx| {
                        users::remove(tx, &user);
                        Ok::<_, StoreError>(())
                    });
                    removed.await.expect("a removal");
                } else {
                    ada.user.disabled_at = Some(NOW);
                    deployment.settle(&ada).await;
                }
                program.request(7, "tools/list", json!({})).await;
                let (id, code, words) = program.error().await;
                assert_eq!((id, code), (json!(7), -32600), "{words}");
                assert_eq!(program.next().await, None);
            });
            connected.await;
        }
    }
}

#[tokio::test]
async fn the_end_of_the_input_waits_for_the_answers_that_are_owed() {
    for era in STREAM_ERAS {
        let deployment = Deployment::new();
        deployment.settle(&access("ada", &all_scopes())).await;
        let caller = deployment.find("ada");
        let connected = deployment.connect(era, caller, async |mut program| {
            program.begin().await;
            let params = json!({ "name": "search", "arguments": { "query": "ada" } });
            for id in 10..10 + CALLS_MAX {
                program.request(id, "tools/call", params.clone()).await;
            }
            program.close().await;
            let mut answered = Vec::new();
            while let Some(answer) = program.next().await {
                assert!(answer.get("result").is_some(), "{answer}");
                answered.push(answer["id"].as_u64().expect("a number"));
            }
            answered.sort_unstable();
            let expected: Vec<u64> = (10..10 + CALLS_MAX as u64).collect();
            assert_eq!(answered, expected);
        });
        connected.await;
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_makes_room_and_is_not_waited_for() {
    for era in STREAM_ERAS {
        let deployment = Deployment::with_tools(&TEST_TOOLS);
        deployment.settle(&access("ada", &all_scopes())).await;
        let caller = deployment.find("ada");
        let connected = deployment.connect(era, caller, async |mut program| {
            program.begin().await;
            let endless = json!({ "name": "never_ends" });
            for id in 10..10 + CALLS_MAX {
                program.request(id, "tools/call", endless.clone()).await;
            }
            program.request(10, "tools/call", endless.clone()).await;
            let (id, code, words) = program.error().await;
            assert_eq!((id, code), (json!(10), -32600), "{words}");
            program.request(99, "tools/call", endless.clone()).await;
            let (id, code, words) = program.error().await;
            assert_eq!((id, code), (json!(99), -32600), "{words}");
            for id in 10..10 + CALLS_MAX {
                let params = json!({ "requestId": id, "reason": "enough" });
                program.notify("notifications/cancelled", params).await;
            }
            assert_eq!(program.listed().await.len(), TEST_TOOLS.len());
            program.close().await;
            assert_eq!(program.next().await, None);
        });
        // Less than a call that never ends takes.
        connected.await;
    }
}

#[tokio::test]
async fn a_stop_of_the_server_ends_a_stream_at_once() {
    for era in STREAM_ERAS {
        for has_begun in [false, true] {
            let deployment = Deployment::with_tools(&TEST_TOOLS);
            deployment.settle(&access("ada", &all_scopes())).await;
            let caller = deployment.find("ada");
            let (running, stop) = oneshot::channel();
            let connected = deployment.connect_until(stop, era, caller, async |mut program| {
                if has_begun {
                    program.begin().await;
                    let endless = json!({ "name": "never_ends" });
                    program.request(5, "tools/call", endless).await;
                    program.listed().await;
                }
                drop(running);
                if has_begun {
                    let (id, code, words) = program.error().await;
                    assert_eq!((id, code), (json!(5), -32603), "{words}");
                }
                assert_eq!(program.next().await, None);
            });
            connected.await;
        }
    }
}

#[tokio::test]
async fn what_is_no_message_is_refused_and_the_next_one_is_heard() {
    for era in STREAM_ERAS {
        let deployment = Deployment::new();
        deployment.settle(&access("ada", &all_scopes())).await;
        let caller = deployment.find("ada");
        let connected = deployment.connect(era, caller, async |mut program| {
            // Nobody has said a first word yet: neither a stray notification nor garbage ends it.
            program.notify("notifications/initialized", json!({})).await;
            program.begin().await;
            for (line, code) in [
                (&b"{"[..], -32700),
                (b"hello", -32700),
                (b"\xff\xfe", -32700),
                (b"{}", -32600),
                (b"[]", -32600),
                (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
                (br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
                (br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
                (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
                (br#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
            ] {
                program.send_raw(line).await;
                let (_, found, words) = program.error().await;
                assert_eq!(found, code, "{}: {words}", String::from_utf8_lossy(line));
            }
            program.send_raw(b"").await;
            program.send_raw(b" \r").await;
            assert!(!program.listed().await.is_empty());
            program.close().await;
            assert_eq!(program.next().await, None);
        });
        connected.await;
    }
}

#[tokio::test]
async fn a_stream_of_garbage_ends() {
    let deployment = Deployment::new();
    deployment.settle(&access("ada", &all_scopes())).await;
    let caller = deployment.find("ada");
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        for _ in 0..=GARBAGE_MAX {
            program.send_raw(b"garbage").await;
            assert_eq!(program.error().await.1, -32700);
        }
        assert_eq!(program.next().await, None);
    });
    connected.await;
}

#[tokio::test]
async fn a_line_that_is_too_long_is_an_error_and_the_end() {
    let deployment = Deployment::new();
    deployment.settle(&access("ada", &all_scopes())).await;
    let caller = deployment.find("ada");
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        program.begin().await;
        let endless = vec![b'x'; crate::mcp::MCP_BODY_BYTES_MAX + 1];
        // It is not read to its end.
        let (written, (_, code, words)) = tokio::join!(program.write.write_all(&endless), async {
            let mut line = String::new();
            program.read.read_line(&mut line).await.expect("an error");
            let answer: Value = serde_json::from_str(&line).expect("JSON");
            let error = &answer["error"];
            (
                answer["id"].clone(),
                error["code"].as_i64(),
                error["message"].as_str().map(str::to_owned),
            )
        });
        drop(written);
        assert_eq!(code, Some(-32600));
        assert!(words.expect("words").contains("1048576 bytes"));
        assert_eq!(program.next().await, None);
    });
    connected.await;
}

#[tokio::test]
async fn the_tools_of_upstreams_are_there_too() {
    for era in STREAM_ERAS {
        let house = House::default();
        let mut deployment = upstreams::deployment(&["files"], &house, McpOff::default());
        deployment.path = MCP_PATH;
        deployment.settle(&access("ada", &all_scopes())).await;
        let caller = deployment.find("ada");
        let connected = deployment.connect(era, caller, async |mut program| {
            program.begin().await;
            let listed = program.listed().await;
            for tool in ["files__echo", "files__ask"] {
                assert!(listed.iter().any(|name| name == tool), "{listed:?}");
            }
            let answer = program
                .call("files__echo", json!({ "text": "hello" }))
                .await;
            let text = answer["result"]["content"][0]["text"].as_str();
            assert!(text.is_some_and(|text| text.contains("hello")), "{answer}");
            program.close().await;
            assert_eq!(program.next().await, None);
        });
        connected.await;
        assert_eq!(house.starts(), 1);
    }
}

/// As `/mcp/NAME` has them: by their own names, and nothing else.
#[tokio::test]
async fn a_stream_can_have_the_tools_of_one_upstream_alone() {
    let house = House::default();
    let deployment = upstreams::deployment(&["files", "wiki"], &house, McpOff::default());
    deployment.settle(&access("ada", &all_scopes())).await;
    let find = |toolset, name: &str| {
        let name = name.parse().expect("a name");
        deployment.mcp.find_local(None, toolset, Some(name))
    };
    let missing = find(None, "notes").expect_err("there is none").to_string();
    let expected =
        "there is no upstream notes: `keystead upstream list` shows those that there are";
    assert_eq!(missing, expected);
    let caller = find(None, "files").expect("the only user");
    let connected = deployment.connect(Era::Modern, caller, async |mut program| {
        program.begin().await;
        let listed = program.listed().await;
        let has = |name: &str| listed.iter().any(|listed| listed == name);
        assert!(has("echo") && has("ask"), "{listed:?}");
        for other in ["get_authenticated_user", "files__echo", "wiki__echo"] {
            assert!(!has(other), "{listed:?}");
            let answer = program.call(other, json!({})).await;
            let code = &answer["error"]["code"];
            assert_eq!(code, -32602, "{answer}");
        }
        let answer = program.call("echo", json!({ "text": "hello" })).await;
        let text = &answer["result"]["content"][0]["text"];
        assert_eq!(text, "\"hello\"", "{answer}");
        program.close().await;
    });
    connected.await;
    let reader = find(Some(Toolset::Readonly), "files").expect("the only user");
    let connected = deployment.connect(Era::Modern, reader, async |mut program| {
        assert_eq!(program.listed().await, ["echo"]);
        program.close().await;
    });
    connected.await;
}
