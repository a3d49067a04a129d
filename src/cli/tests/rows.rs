//! Rows: aligned text for a person, JSON for a program.

use super::Server;
use crate::{
    appliance::administration::{
        CheckRow, ClientRow, NotifiedRow, PageState, PinRow, Reply, ResourceRow, ScopeRow,
        TableRow, UpstreamRow, UpstreamState, UpstreamToolRow, UserRow, UserState,
    },
    model::user::Role,
};

pub(super) fn ada() -> UserRow {
    UserRow {
        id: "1".to_owned(),
        name: "ada".to_owned(),
        role: Role::Owner,
        state: UserState::Active,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        last_sign_in_at: None,
    }
}

fn dash() -> ClientRow {
    ClientRow {
        client_id: "c1".to_owned(),
        name: "dash\u{1b}[31m".to_owned(),
        origin: "administrator".to_owned(),
        public: false,
        redirect_uris: vec!["https://dash.lan/cb".to_owned()],
        grant_types: vec!["authorization_code".to_owned()],
        scope: "user:read".to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        last_used_at: None,
    }
}

fn behind(added_at: Option<&str>) -> UpstreamRow {
    UpstreamRow {
        name: "files".to_owned(),
        state: Some(UpstreamState::Idle),
        since: None,
        reason: None,
        command: ["mcp-files", "/srv\u{1b}[31m"].map(str::to_owned).to_vec(),
        url: None,
        path: "/mcp/files".to_owned(),
        scopes: ["upstream:files", "upstream:files:read"]
            .map(str::to_owned)
            .to_vec(),
        added_at: added_at.map(str::to_owned),
    }
}

/// One that fails, and says why.
fn failing() -> UpstreamRow {
    UpstreamRow {
        state: Some(UpstreamState::Failing),
        since: Some("2026-01-02T00:00:00Z".to_owned()),
        reason: Some(
            "it ended with exit code 3; the last that it said is: \u{1b}[31mno key".to_owned(),
        ),
        ..behind(Some("2026-01-01T00:00:00Z"))
    }
}

fn tool() -> UpstreamToolRow {
    UpstreamToolRow {
        name: "files__read".to_owned(),
        title: Some("Read\u{1b}[31m".to_owned()),
        effect: "reads".to_owned(),
        scope: "upstream:files:read".to_owned(),
        on: true,
    }
}

/// One that has no title, and that the owner has switched off.
fn tool_off() -> UpstreamToolRow {
    UpstreamToolRow {
        title: None,
        on: false,
        ..tool()
    }
}

/// One of which nobody can say how it is.
fn unknown() -> UpstreamRow {
    UpstreamRow {
        state: None,
        ..behind(None)
    }
}

fn files() -> ResourceRow {
    ResourceRow {
        client_id: "r1".to_owned(),
        identifier: "https://files.lan".to_owned(),
        scopes: vec![ScopeRow {
            name: "files:read".to_owned(),
            words: "see your files".to_owned(),
        }],
        created_at: "2026-01-01T00:00:00Z".to_owned(),
    }
}

pub(super) fn pin(pinned_at: Option<&str>) -> PinRow {
    PinRow {
        url: "https://app.example/client.json".to_owned(),
        name: "app\u{1b}[31m".to_owned(),
        redirect_uris: vec!["https://app.example/cb".to_owned()],
        pinned_at: pinned_at.map(str::to_owned),
    }
}

fn notified(id: Option<&str>) -> NotifiedRow {
    NotifiedRow {
        id: id.map(str::to_owned),
        user: "ada".to_owned(),
        pushes: id.map_or(0, |_| 2),
    }
}

pub(super) fn checked(faults: &[&str]) -> CheckRow {
    CheckRow {
        pages: PageState::NotChecked,
        backup_made_at: None,
        tables: vec![TableRow {
            name: "users_v1".to_owned(),
            rows: 1,
            bytes: 93,
        }],
        faults: faults.iter().map(ToString::to_string).collect(),
        fault_count: faults.len() as u64,
    }
}

#[test]
fn rows_are_text_for_a_person_and_json_for_a_program() {
    let created = Reply::ClientCreated {
        client: dash(),
        client_secret: Some("ks_cs_1".to_owned()),
    };
    let notify = ["notify", "ada", "--title", "Hello"];
    for (name, words, reply) in [
        (
            "users",
            ["user", "list"].as_slice(),
            Reply::Users(vec![ada()]),
        ),
        ("no_users", &["user", "list"], Reply::Users(Vec::new())),
        ("clients", &["client", "list"], Reply::Clients(vec![dash()])),
        ("client", &["client", "show", "c1"], Reply::Client(dash())),
        ("new_client", &["client", "add", "dash"], created),
        (
            "resources",
            &["resource", "list"],
            Reply::Resources(vec![files()]),
        ),
        (
            "new_resource",
            &["resource", "add", "https://files.lan", "--scope", "x"],
            Reply::ResourceCreated {
                resource: files(),
                client_secret: "ks_cs_1".to_owned(),
            },
        ),
        (
            "pins",
            &["client", "pins"],
            Reply::Pins(vec![pin(Some("2026-01-01T00:00:00Z")), pin(None)]),
        ),
        ("no_pins", &["client", "pins"], Reply::Pins(Vec::new())),
        (
            "upstreams",
            &["upstream", "list"],
            Reply::Upstreams(vec![behind(None), failing()]),
        ),
        (
            "upstreams_without_a_server",
            &["upstream", "list"],
            Reply::Upstreams(vec![unknown()]),
        ),
        (
            "upstream_tools",
            &["upstream", "tools", "files"],
            Reply::UpstreamTools(vec![tool(), tool_off()]),
        ),
        (
            "new_upstream",
            &["upstream", "add", "files", "--url", "http://a/"],
            Reply::Upstream(behind(Some("2026-01-01T00:00:00Z"))),
        ),
        ("check", &["check"], Reply::Checked(checked(&[]))),
        ("notified", &notify, Reply::Notified(notified(Some("n1")))),
        ("not_notified", &notify, Reply::Notified(notified(None))),
    ] {
        let server = Server::answering(Ok(reply));
        let text = server.keystead(words);
        let json = server.keystead(&[words, &["--json"]].concat());
        let value: serde_json::Value = serde_json::from_str(&json.output).expect("JSON");
        assert!(value.is_object(), "{value}");
        let both = [text.output, text.notes, json.output].join("----\n");
        insta::assert_snapshot!(name, both);
        server.end();
    }
}

#[test]
fn one_entry_of_the_log_is_not_several() {
    for (entries, words) in [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")] {
        let server = Server::answering(Ok(Reply::AuditVerified {
            entries,
            head: entries,
            link: "00".to_owned(),
        }));
        let expected = format!("The log holds together: {words}.\nHead: {entries} 00\n");
        assert_eq!(server.keystead(&["audit", "verify"]).output, expected);
        server.end();
    }
}
