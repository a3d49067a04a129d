//! Everything that a caller may see, as documents: what `search` finds and `fetch` returns.
//!
//! A kind of thing is open to whom the tool is open that shows it, so that searching tells nobody
//! more than that tool does.

use crate::{
    accounts::sessions,
    audit::{self, AuditRow},
    experiments::Experiment,
    mcp::tools::{Call, client_id_of, experiments, find_own},
    model::{
        oauth2::{client::Client, grant::Grant},
        session::Session,
    },
    oauth2provider::{
        apps::{self, Page},
        revoke,
    },
    store::{
        self, Read, StoreError, clients,
        notifications::{self, InboxEntry},
    },
};

/// The newest notifications, among which a search looks.
const NOTIFICATIONS_SEARCHED_MAX: usize = 1_000;

/// A kind of thing that there are documents of.
pub(super) struct Kind {
    /// What its documents' ids begin with.
    pub(super) name: &'static str,
    /// The tool that shows such things.
    pub(super) tool: &'static str,
    documents: Documents,
}

/// How the documents of a kind are come by.
enum Documents {
    /// They are made of what is at hand.
    Made(fn(&Call) -> Vec<Document>),
    /// They are few enough to look through.
    All(fn(&Call) -> Result<Vec<Document>, StoreError>),
    /// They are searched where they are kept.
    Kept {
        search: fn(&Call, &str, usize) -> Result<Vec<Document>, StoreError>,
        find: fn(&Call, &str) -> Result<Option<Document>, StoreError>,
    },
}

/// Every kind, in the order in which results are shown.
pub(super) static KINDS: [Kind; 7] = [
    Kind {
        name: "person",
        tool: "get_authenticated_user",
        documents: Documents::Made(person),
    },
    Kind {
        name: "grant",
        tool: "list_my_grants",
        documents: Documents::All(my_grants),
    },
    Kind {
        name: "session",
        tool: "list_my_sessions",
        documents: Documents::All(my_sessions),
    },
    Kind {
        name: "notification",
        tool: "list_notifications",
        documents: Documents::Kept {
            search: search_notifications,
            find: find_notification,
        },
    },
    Kind {
        name: "experiment",
        tool: "list_experiments",
        documents: Documents::Made(all_experiments),
    },
    Kind {
        name: "client",
        tool: "list_clients",
        documents: Documents::Kept {
            search: search_clients,
            find: find_client,
        },
    },
    Kind {
        name: "entry",
        tool: "search_audit_log",
        documents: Documents::Kept {
            search: search_entries,
            find: find_entry,
        },
    },
];

/// Something that the caller may see.
pub(super) struct Document {
    /// What tells it from others of its kind.
    pub(super) key: String,
    /// What it is, in one line.
    pub(super) title: String,
    /// The page of this deployment where a person can see it.
    pub(super) path: String,
    /// All that there is to know.
    facts: Vec<(&'static str, String)>,
}

impl Document {
    /// All that there is to know, a line for each thing.
    pub(super) fn text(&self) -> String {
        let lines = self
            .facts
            .iter()
            .map(|(name, fact)| format!("{name}: {fact}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn has_all(&self, words: &[String]) -> bool {
        let text = format!("{}\n{}", self.title, self.text()).to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    }
}

impl Kind {
    /// Whether `call` may see such things.
    pub(super) fn is_open_to(&self, call: &Call) -> bool {
        find_own(self.tool).is_some_and(|tool| call.may_use(tool))
    }

    /// Up to `max` documents that have every word of `query`, newest first.
    pub(super) fn search(
        &self,
        call: &Call,
        query: &str,
        max: usize,
    ) -> Result<Vec<Document>, StoreError> {
        let mut found = match self.documents {
            Documents::Kept { search, .. } => return search(call, query, max),
            Documents::All(all) => all(call)?,
            Documents::Made(make) => make(call),
        };
        let words = words(query);
        found.retain(|document| document.has_all(&words));
        found.truncate(max);
        Ok(found)
    }

    /// The document of that key.
    pub(super) fn find(&self, call: &Call, key: &str) -> Result<Option<Document>, StoreError> {
        let all = match self.documents {
            Documents::Kept { find, .. } => return find(call, key),
            Documents::All(all) => all(call)?,
            Documents::Made(make) => make(call),
        };
        Ok(all.into_iter().find(|document| document.key == key))
    }
}

fn words(query: &str) -> Vec<String> {
    query.split_whitespace().map(str::to_lowercase).collect()
}

fn person(call: &Call) -> Vec<Document> {
    let user = &call.caller.person.user;
    let (name, role) = (user.name.to_string(), user.role.as_str().to_owned());
    vec![Document {
        key: user.id.to_string(),
        title: format!("{name}, who is signed in"),
        path: "/account".to_owned(),
        facts: vec![("name", name), ("role", role)],
    }]
}

fn my_grants(call: &Call) -> Result<Vec<Document>, StoreError> {
    call.desk.store.read(|tx| {
        let given = revoke::list_grants(tx, call.caller.now, call.caller.person.user.id)?;
        given.iter().map(|grant| of_grant(tx, grant)).collect()
    })
}

fn of_grant(tx: &dyn Read, grant: &Grant) -> Result<Document, StoreError> {
    let client = clients::find(tx, grant.client_id)?;
    let client_id = client_id_of(grant.client_id, client.as_ref());
    let name = client.map_or_else(
        || client_id.clone(),
        |client| client.metadata.name.to_string(),
    );
    Ok(Document {
        key: grant.id.to_string(),
        title: format!("What {name} was allowed"),
        path: "/account".to_owned(),
        facts: vec![
            ("client", name),
            ("client id", client_id),
            ("scopes", grant.scopes.to_string()),
            ("resource", grant.resource.to_string()),
            ("given", grant.created_at.to_string()),
            ("ends", grant.expires_at.to_string()),
        ],
    })
}

fn my_sessions(call: &Call) -> Result<Vec<Document>, StoreError> {
    let open = call
        .desk
        .store
        .read(|tx| sessions::list(tx, call.caller.now, call.caller.person.user.id))?;
    Ok(open.into_iter().map(of_session).collect())
}

fn of_session(session: Session) -> Document {
    Document {
        key: session.id.to_string(),
        title: format!("Signed in from {}", session.address),
        path: "/account".to_owned(),
        facts: vec![
            ("address", session.address.clone()),
            ("signed in", session.created_at.to_string()),
            ("last seen", session.last_seen_at.to_string()),
            ("ends", session.ends_at().to_string()),
            ("browser", session.browser),
        ],
    }
}

fn search_notifications(call: &Call, query: &str, max: usize) -> Result<Vec<Document>, StoreError> {
    let (user_id, words) = (call.caller.person.user.id, words(query));
    call.desk.store.read(|tx| {
        let mut found = Vec::new();
        for row in notifications::rows_before(tx, user_id, None, NOTIFICATIONS_SEARCHED_MAX)? {
            let entry = notifications::find_of_user(tx, user_id, row.id)?;
            let document = entry.map(of_notification);
            found.extend(document.filter(|document| document.has_all(&words)));
            if found.len() == max {
                break;
            }
        }
        Ok(found)
    })
}

fn find_notification(call: &Call, key: &str) -> Result<Option<Document>, StoreError> {
    let Ok(id) = key.parse() else {
        return Ok(None);
    };
    let user_id = call.caller.person.user.id;
    let found = call
        .desk
        .store
        .read(|tx| notifications::find_of_user(tx, user_id, id))?;
    Ok(found.map(of_notification))
}

fn of_notification(entry: InboxEntry) -> Document {
    let InboxEntry {
        notification,
        read_at,
    } = entry;
    let never = || "not read".to_owned();
    let mut facts = vec![
        ("title", notification.title.clone()),
        ("content", notification.content),
        ("template", notification.template.as_str().to_owned()),
        ("sent", notification.created_at.to_string()),
        ("read", read_at.map_or_else(never, |at| at.to_string())),
    ];
    let links = notification.actions.iter();
    facts.extend(links.map(|button| ("link", button.url.to_string())));
    Document {
        key: notification.id.to_string(),
        title: notification.title,
        path: "/inbox".to_owned(),
        facts,
    }
}

fn all_experiments(call: &Call) -> Vec<Document> {
    let document = |experiment: &Experiment| {
        let state = if call.desk.experiments.is_on(experiment.name) {
            "on"
        } else {
            "off"
        };
        Document {
            key: experiment.name.to_owned(),
            title: format!("Experiment {}", experiment.display_name),
            path: "/".to_owned(),
            facts: vec![
                ("name", experiment.name.to_owned()),
                ("what it does", experiment.words.to_owned()),
                ("state", state.to_owned()),
            ],
        }
    };
    experiments::listed().map(document).collect()
}

fn search_clients(call: &Call, query: &str, max: usize) -> Result<Vec<Document>, StoreError> {
    let search = apps::Search {
        name_part: Some(query.trim().to_owned()),
        approved_by: None,
    };
    let page = Page {
        limit: max,
        offset: 0,
    };
    let found = call
        .desk
        .store
        .read(|tx| apps::search(tx, call.caller.now, &search, page));
    let (found, _) = found?;
    Ok(found.iter().map(of_client).collect())
}

fn find_client(call: &Call, key: &str) -> Result<Option<Document>, StoreError> {
    let Ok(id) = key.parse() else {
        return Ok(None);
    };
    let found = call.desk.store.read(|tx| clients::find(tx, id))?;
    Ok(found.as_ref().map(of_client))
}

fn of_client(client: &Client) -> Document {
    let never = || "never".to_owned();
    let used = client.last_used_at.map_or_else(never, |at| at.to_string());
    Document {
        key: client.id.to_string(),
        title: format!("App {}", client.metadata.name),
        path: format!("/admin/apps/{}", client.id),
        facts: vec![
            ("name", client.metadata.name.to_string()),
            ("client id", client.client_id().to_string()),
            ("origin", client.origin.as_str().to_owned()),
            ("since", client.created_at.to_string()),
            ("last used", used),
        ],
    }
}

fn search_entries(call: &Call, query: &str, max: usize) -> Result<Vec<Document>, StoreError> {
    let found = call
        .desk
        .store
        .read(|tx| audit::search(tx, query, max, 0))?;
    let rows = found.entries.into_iter().map(AuditRow::from);
    Ok(rows.map(of_entry).collect())
}

fn find_entry(call: &Call, key: &str) -> Result<Option<Document>, StoreError> {
    let Some(before) = key
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_sub(1))
    else {
        return Ok(None);
    };
    let found = call
        .desk
        .store
        .read(|tx| store::audit::list_after(tx, before, 1))?;
    let row = found
        .into_iter()
        .next()
        .map(|chained| AuditRow::from(chained.entry));
    // One that was let go has the oldest one that is left behind it.
    Ok(row.filter(|row| row.number == before + 1).map(of_entry))
}

fn of_entry(row: AuditRow) -> Document {
    let mut facts = vec![
        ("at", row.at.clone()),
        ("action", row.action.clone()),
        ("actor", named(&row.actor, row.actor_id)),
        ("object", named(&row.object, row.object_id)),
    ];
    facts.extend(row.address.map(|address| ("address", address)));
    facts.extend(row.request_id.map(|id| ("request", id)));
    facts.extend(row.changes.into_iter().map(|change| {
        let (old, new) = (
            change.old.unwrap_or_default(),
            change.new.unwrap_or_default(),
        );
        (
            "changed",
            format!("{} from {old:?} to {new:?}", change.field),
        )
    }));
    Document {
        key: row.number.to_string(),
        title: format!("{} at {}", row.action, row.at),
        // There is no page of the log: what a program gets is what there is.
        path: format!("/api/v2/audit?q={}", row.action),
        facts,
    }
}

fn named(kind: &str, id: Option<String>) -> String {
    id.map_or_else(|| kind.to_owned(), |id| format!("{kind} {id}"))
}
