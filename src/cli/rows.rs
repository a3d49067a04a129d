//! How users and clients look on standard output: aligned text for a person, JSON for a program.

use clap::Args;
use serde::Serialize;

use crate::{
    appliance::administration::{
        CheckRow, ClientRow, NotifiedRow, PageState, PinRow, Reply, ResourceRow, TableRow,
        UpstreamRow, UpstreamState, UpstreamToolRow, UserRow, UserState,
    },
    audit::AuditRow,
    cli::{console::Console, failure::Failure},
};

/// What stands for nothing in a table.
const NOTHING: &str = "–";

/// How rows are written.
#[derive(Debug, Args)]
pub(super) struct RowFlags {
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// A new client as one JSON object.
#[derive(Serialize)]
struct CreatedRow<'a> {
    #[serde(flatten)]
    client: &'a ClientRow,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
}

/// A new resource server as one JSON object.
#[derive(Serialize)]
struct CreatedResourceRow<'a> {
    #[serde(flatten)]
    resource: &'a ResourceRow,
    client_secret: &'a str,
}

impl RowFlags {
    /// Writes what is in `reply`.
    pub(super) fn print(&self, reply: &Reply, console: &mut Console<'_>) -> Result<(), Failure> {
        let data = if self.json { json(reply)? } else { text(reply) };
        console.print(&data)?;
        match reply {
            Reply::ClientCreated {
                client_secret: Some(_),
                ..
            }
            | Reply::ResourceCreated { .. } => {
                console.note("Keep the secret now: it is not shown again.")
            }
            // Where a server runs.
            Reply::Upstream(UpstreamRow {
                name,
                state: Some(_),
                ..
            }) => console.note(&format!(
                "`keystead upstream tools {}` starts it, and shows what clients will find.",
                text_of(name)
            )),
            Reply::Upstreams(rows) if rows.iter().any(|row| row.state.is_none()) => {
                console.note("No server runs on this data directory: how they are is not known.")
            }
            Reply::Notified(NotifiedRow { id: None, user, .. }) => {
                let user = text_of(user);
                console.note(&format!(
                    "{user} does not want to be told; nothing was kept."
                ))
            }
            _ => Ok(()),
        }
    }
}

fn json(reply: &Reply) -> Result<String, Failure> {
    let line = match reply {
        Reply::Done | Reply::Backup | Reply::Mcp => return Ok(String::new()),
        Reply::Users(_)
        | Reply::Clients(_)
        | Reply::Resources(_)
        | Reply::Upstreams(_)
        | Reply::UpstreamTools(_)
        | Reply::Pins(_) => serde_json::to_string(reply),
        Reply::Upstream(upstream) => serde_json::to_string(upstream),
        Reply::PublicUrl(url) => serde_json::to_string(url),
        Reply::Notified(notified) => serde_json::to_string(notified),
        Reply::ResourceCreated {
            resource,
            client_secret,
        } => serde_json::to_string(&CreatedResourceRow {
            resource,
            client_secret,
        }),
        Reply::AuditVerified { .. }
        | Reply::AuditLogs { .. }
        | Reply::Checked(_)
        | Reply::VapidRegenerated { .. } => inner_json(reply),
        Reply::User(user) => serde_json::to_string(user),
        Reply::Client(client) => serde_json::to_string(client),
        Reply::Pin(pin) => serde_json::to_string(pin),
        Reply::ClientCreated {
            client,
            client_secret,
        } => serde_json::to_string(&CreatedRow {
            client,
            client_secret: client_secret.as_deref(),
        }),
    };
    let line = line.map_err(|error| Failure::Output(error.into()))?;
    Ok(format!("{line}\n"))
}

/// What stands behind the name of the reply.
fn inner_json(reply: &Reply) -> serde_json::Result<String> {
    let value = serde_json::to_value(reply)?;
    let inner = value.as_object().and_then(|object| object.values().next());
    serde_json::to_string(inner.unwrap_or(&value))
}

fn text(reply: &Reply) -> String {
    match reply {
        Reply::AuditVerified {
            entries,
            head,
            link,
        } => {
            let entries = match entries {
                1 => "1 entry".to_owned(),
                several => format!("{several} entries"),
            };
            format!("The log holds together: {entries}.\nHead: {head} {link}\n")
        }
        Reply::VapidRegenerated {
            subscriptions_removed,
        } => format!(
            "Push services know this box by another pair of keys. Browsers that have to subscribe \
             again: {subscriptions_removed}.\n"
        ),
        Reply::AuditLogs { audit_logs, .. } => audit_table(audit_logs),
        Reply::Done | Reply::Backup | Reply::Mcp => String::new(),
        Reply::Checked(checked) => check_text(checked),
        Reply::Users(users) => user_table(users),
        Reply::User(user) => user_table(std::slice::from_ref(user)),
        Reply::Clients(clients) => client_table(clients),
        Reply::Client(client) => client_list(client, None),
        Reply::Pins(pins) => pin_table(pins),
        Reply::Pin(pin) => pin_table(std::slice::from_ref(pin)),
        Reply::ClientCreated {
            client,
            client_secret,
        } => client_list(client, client_secret.as_deref()),
        Reply::Notified(notified) => notified_table(notified),
        Reply::Upstreams(upstreams) => upstream_table(upstreams),
        Reply::UpstreamTools(tools) => tool_table(tools),
        Reply::PublicUrl(url) => format!("{url}\n"),
        Reply::Upstream(upstream) => upstream_table(std::slice::from_ref(upstream)),
        Reply::Resources(resources) => resource_table(resources),
        Reply::ResourceCreated {
            resource,
            client_secret,
        } => resource_list(resource, client_secret),
    }
}

fn user_table(users: &[UserRow]) -> String {
    let header = ["NAME", "ROLE", "STATE", "CREATED", "LAST SIGN-IN", "ID"];
    let rows = users.iter().map(|user| {
        let role = user.role.as_str();
        let state = match user.state {
            UserState::Active => "active",
            UserState::Disabled => "disabled",
        };
        let last_sign_in_at = user.last_sign_in_at.as_deref().unwrap_or(NOTHING);
        let cells = [
            &user.name,
            role,
            state,
            &user.created_at,
            last_sign_in_at,
            &user.id,
        ];
        cells.map(text_of)
    });
    table(header.map(str::to_owned), rows)
}

fn audit_table(rows: &[AuditRow]) -> String {
    let header = ["NUMBER", "WHEN", "ACTION", "WHO", "WHAT", "FROM", "CHANGES"];
    let of = |kind: &str, id: Option<&String>| match id {
        Some(id) => format!("{kind} {id}"),
        None => kind.to_owned(),
    };
    let rows = rows.iter().map(|row| {
        let changes = row.changes.iter().map(|change| {
            let old = change
                .old
                .as_deref()
                .map_or_else(String::new, |old| format!("{old} → "));
            format!(
                "{}: {old}{}",
                change.field,
                change.new.as_deref().unwrap_or(NOTHING)
            )
        });
        let cells = [
            row.number.to_string(),
            row.at.clone(),
            row.action.clone(),
            of(&row.actor, row.actor_id.as_ref()),
            of(&row.object, row.object_id.as_ref()),
            row.address.clone().unwrap_or_else(|| NOTHING.to_owned()),
            changes.collect::<Vec<_>>().join(", "),
        ];
        cells.map(|cell| text_of(&cell))
    });
    table(header.map(str::to_owned), rows)
}

fn check_text(checked: &CheckRow) -> String {
    let made_at = checked.backup_made_at.iter();
    let made_at = made_at.map(|at| format!("A backup of {}.\n", text_of(at)));
    let pages = match checked.pages {
        PageState::Whole => "Its checksums are right.\n",
        PageState::Damaged => "",
        PageState::NotChecked => {
            "Checksums of pages were not checked: the server would have to be stopped.\n"
        }
    };
    let whole = (checked.fault_count == 0).then_some("It is whole.\n");
    let faults = checked.faults.iter();
    let faults = faults.map(|fault| format!("{}\n", text_of(fault)));
    let lines = made_at
        .chain([pages.to_owned()])
        .chain(whole.map(str::to_owned))
        .chain(faults);
    size_table(&checked.tables) + &lines.collect::<String>()
}

/// Nothing for what cannot be looked into.
fn size_table(tables: &[TableRow]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    let all = TableRow {
        name: "all".to_owned(),
        rows: tables.iter().map(|row| row.rows).sum(),
        bytes: tables.iter().map(|row| row.bytes).sum(),
    };
    let rows = tables.iter().chain([&all]);
    table(
        ["TABLE", "ROWS", "BYTES"].map(str::to_owned),
        rows.map(|row| {
            [
                text_of(&row.name),
                row.rows.to_string(),
                row.bytes.to_string(),
            ]
        }),
    )
}

fn notified_table(notified: &NotifiedRow) -> String {
    let header = ["USER", "NOTIFICATION", "DEVICES"];
    let id = notified.id.as_deref().unwrap_or(NOTHING);
    let pushes = notified.pushes.to_string();
    let row = [notified.user.as_str(), id, &pushes].map(text_of);
    table(header.map(str::to_owned), [row].into_iter())
}

fn client_table(clients: &[ClientRow]) -> String {
    let header = [
        "CLIENT ID",
        "NAME",
        "ORIGIN",
        "TYPE",
        "CREATED",
        "LAST USED",
    ];
    let rows = clients.iter().map(|client| {
        let kind = kind_of(client);
        let last_used_at = client.last_used_at.as_deref().unwrap_or(NOTHING);
        let (id, name, origin) = (&client.client_id, &client.name, &client.origin);
        [id, name, origin, kind, &client.created_at, last_used_at].map(text_of)
    });
    table(header.map(str::to_owned), rows)
}

fn pin_table(pins: &[PinRow]) -> String {
    let header = ["DOCUMENT", "NAME", "PINNED"];
    let rows = pins.iter().map(|pin| {
        let pinned_at = pin.pinned_at.as_deref().unwrap_or("in the binary");
        [&pin.url, &pin.name, pinned_at].map(text_of)
    });
    table(header.map(str::to_owned), rows)
}

/// One client, a line a fact.
fn client_list(client: &ClientRow, secret: Option<&str>) -> String {
    let ClientRow {
        client_id,
        name,
        origin,
        scope,
        created_at,
        ..
    } = client;
    let mut facts = vec![("client id", client_id.as_str())];
    facts.extend(secret.map(|secret| ("client secret", secret)));
    facts.extend([("name", name.as_str()), ("origin", origin)]);
    facts.push(("type", kind_of(client)));
    let uris = client.redirect_uris.iter();
    facts.extend(uris.map(|uri| ("redirect URI", uri.as_str())));
    let grants = client.grant_types.iter();
    facts.extend(grants.map(|grant| ("grant type", grant.as_str())));
    facts.extend([("scope", scope.as_str()), ("created", created_at)]);
    let last_used_at = client.last_used_at.as_deref();
    facts.push(("last used", last_used_at.unwrap_or(NOTHING)));
    let lines = facts
        .iter()
        .map(|(name, value)| format!("{name:<14}{}\n", text_of(value)));
    lines.collect()
}

fn resource_table(resources: &[ResourceRow]) -> String {
    let header = ["IDENTIFIER", "SCOPES", "CREATED", "CLIENT ID"];
    let rows = resources.iter().map(|resource| {
        let names: Vec<&str> = resource.scopes.iter().map(|s| s.name.as_str()).collect();
        let names = names.join(" ");
        let ResourceRow {
            client_id,
            identifier,
            created_at,
            ..
        } = resource;
        [identifier, &names, created_at, client_id].map(text_of)
    });
    table(header.map(str::to_owned), rows)
}

fn upstream_table(upstreams: &[UpstreamRow]) -> String {
    let header = [
        "NAME",
        "STATE",
        "SINCE",
        "REACHED BY",
        "PATH",
        "SCOPES",
        "ADDED",
    ];
    let rows = upstreams.iter().map(|upstream| {
        let state = upstream.state.map_or(NOTHING, UpstreamState::as_str);
        let reach = match &upstream.url {
            Some(url) => url.clone(),
            None => upstream.command.join(" "),
        };
        let scopes = upstream.scopes.join(" ");
        let added_at = upstream.added_at.as_deref().unwrap_or("configuration");
        [
            &upstream.name,
            state,
            upstream.since.as_deref().unwrap_or(NOTHING),
            reach.as_str(),
            &upstream.path,
            &scopes,
            added_at,
        ]
        .map(text_of)
    });
    // Below: somebody else's words can be longer than a line.
    let reasons = upstreams.iter().filter_map(|upstream| {
        let reason = upstream.reason.as_ref()?;
        Some(format!(
            "{}: {}\n",
            text_of(&upstream.name),
            text_of(reason)
        ))
    });
    table(header.map(str::to_owned), rows) + &reasons.collect::<String>()
}

fn tool_table(tools: &[UpstreamToolRow]) -> String {
    let header = ["TOOL", "EFFECT", "SCOPE", "STATE", "TITLE"];
    let rows = tools.iter().map(|tool| {
        let state = if tool.on { "on" } else { "off" };
        let title = tool.title.as_deref().unwrap_or(NOTHING);
        [&tool.name, tool.effect.as_str(), &tool.scope, state, title].map(text_of)
    });
    table(header.map(str::to_owned), rows)
}

/// One resource server with its secret, a line a fact.
fn resource_list(resource: &ResourceRow, secret: &str) -> String {
    let scopes = resource.scopes.iter();
    let scopes = scopes.map(|scope| ("scope", format!("{}: {}", scope.name, scope.words)));
    let mut facts = vec![
        ("client id", resource.client_id.clone()),
        ("client secret", secret.to_owned()),
        ("identifier", resource.identifier.clone()),
    ];
    facts.extend(scopes);
    facts.push(("created", resource.created_at.clone()));
    let lines = facts
        .iter()
        .map(|(name, value)| format!("{name:<14}{}\n", text_of(value)));
    lines.collect()
}

fn kind_of(client: &ClientRow) -> &'static str {
    if client.public {
        "public"
    } else {
        "confidential"
    }
}

/// Columns as wide as their widest cell, two spaces apart.
fn table<const N: usize>(header: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let lines: Vec<[String; N]> = std::iter::once(header).chain(rows).collect();
    let width_of = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width_of(column).unwrap_or(0));
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths);
        let padded = cells.map(|(cell, width)| format!("{cell:<width$}  "));
        text.push_str(padded.collect::<String>().trim_end());
        text.push('\n');
    }
    text
}

/// How many of what `one` of them is called.
pub(super) fn counted(count: u64, one: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {one}{plural}")
}

/// `value` without what a terminal would obey: a client that registered itself chose its name.
pub(super) fn text_of(value: impl AsRef<str>) -> String {
    let shown = |c: char| {
        if c.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    };
    value.as_ref().chars().map(shown).collect()
}
