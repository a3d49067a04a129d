//! `/api/v2/notifications`: the caller's inbox, and how they want to be told.

pub mod custom;
pub mod settings;
pub mod watch;

mod item;

use std::{fmt::Display, sync::Arc};

use http::StatusCode;
use serde::Serialize;

pub(super) use self::item::{Format, Item};
use crate::{
    http::{
        params::Params,
        request::Request,
        response::{Response, empty, json},
    },
    model::{
        id::Id,
        notification::{TARGETS_MAX, Template},
    },
    notifications::{self, Filter, ReadStatus},
    runtime::apart::apart,
    store::{
        Read, StoreError,
        notifications::{InboxEntry, MARK_STEP, NOTIFICATIONS_PER_USER_MAX},
    },
    web::{
        Web,
        api::{
            caller::ApiCaller,
            error::ApiRefusal,
            fields::{Fields, quoted},
            id_in_path,
        },
        refusals::Validation,
    },
};

/// Some of an inbox.
#[derive(Serialize)]
struct Inbox {
    notifications: Vec<Item>,
    unread_count: u64,
}

/// One entry, and how many were not read.
#[derive(Serialize)]
struct Changed {
    notification: Item,
    unread_count: u64,
}

impl Changed {
    /// `entry` of `user_id`, as a reader wants it.
    fn find(tx: &dyn Read, entry: &InboxEntry, format: Format) -> Result<Self, StoreError> {
        let user_id = entry.notification.user_id;
        Ok(Self {
            notification: Item::new(entry, format),
            unread_count: crate::store::notifications::counts(tx, user_id)?.unread,
        })
    }
}

/// `GET …/inbox`: up to [`notifications::PAGE_LEN`] entries, newest first.
pub async fn list(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let query = Params::from_query(&request.head)?;
    let (filter, format) = filter(&query)?;
    let (store, is_narrow) = (Arc::clone(&web.store), filter.is_narrow());
    let list = move || store.read(|tx| notifications::list(tx, caller.user.id, &filter));
    let page = if is_narrow {
        apart(list).await?
    } else {
        list()?
    };
    let inbox = Inbox {
        notifications: page
            .entries
            .iter()
            .map(|entry| Item::new(entry, format))
            .collect(),
        unread_count: page.unread_count,
    };
    Ok(json(StatusCode::OK, &inbox))
}

/// `PUT …/inbox/{id}/read-status`. Another's is not found.
pub async fn set_read(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let mut fields = Fields::parse(&request)?;
    fields.expect_only(&["is_read"], &[]);
    let is_read = fields.required_flag("is_read") == Some(true);
    fields.finish()?;
    let user_id = caller.user.id;
    let set = web.write(caller.origin(&request.head), move |tx, moment| {
        let read_at = is_read.then_some(moment.now);
        crate::store::notifications::set_read(tx, user_id, id, read_at)?;
        let entry = crate::store::notifications::find_of_user(tx, user_id, id)?;
        let changed = entry.map(|entry| Changed::find(tx, &entry, Format::Markdown));
        changed.transpose()
    });
    let changed: Result<_, StoreError> = set.await;
    let changed = changed?.ok_or_else(ApiRefusal::not_found)?;
    Ok(json(StatusCode::OK, &changed))
}

/// Steps that a whole inbox takes at the most.
const MARK_STEPS_MAX: usize = NOTIFICATIONS_PER_USER_MAX.div_ceil(MARK_STEP) + 1;

/// `PUT …/inbox/mark-all-as-read`: those that are there now, in steps that let others write.
pub async fn mark_all_as_read(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let user_id = caller.user.id;
    let mut before = None;
    for _ in 0..MARK_STEPS_MAX {
        let step = web.write(caller.origin(&request.head), move |tx, moment| {
            crate::store::notifications::mark_all_read(tx, user_id, before, moment.now)
        });
        let marked: Result<_, StoreError> = step.await;
        before = marked?;
        if before.is_none() {
            break;
        }
    }
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `DELETE …/inbox/{id}`. Another's is not found.
pub async fn remove(
    web: Arc<Web>,
    request: Request,
    caller: ApiCaller,
) -> Result<Response, ApiRefusal> {
    let id = id_in_path(&request.head, "id")?;
    let removed = web.write(caller.origin(&request.head), move |tx, _| {
        crate::store::notifications::remove(tx, caller.user.id, id)
    });
    let removed: Result<_, StoreError> = removed.await;
    if removed? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(ApiRefusal::not_found())
    }
}

/// What a list can be narrowed by.
const FILTERS: [&str; 5] = [
    "targets",
    "templates",
    "read_status",
    "starting_before",
    "format",
];

/// What a list is asked for. All that is wrong with it is said at once.
fn filter(query: &Params) -> Result<(Filter, Format), ApiRefusal> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, detail: String| {
        wrong.push(Validation {
            field: field.to_owned(),
            detail,
        });
    };
    let targets = parse_list(query.get("targets")?, TARGETS_MAX, |text| {
        text.parse::<Id>()
    });
    let templates = parse_list(query.get("templates")?, Template::ALL.len(), |text| {
        Template::find(text).ok_or_else(|| format!("expected one of {}", template_names()))
    });
    let read_status = query
        .get("read_status")?
        .map_or(Ok(ReadStatus::All), parse_read_status);
    let before = query
        .get("starting_before")?
        .map(str::parse::<Id>)
        .transpose();
    let format = Format::find(query.get("format")?);
    let unknown = query.pairs().filter(|(name, _)| !FILTERS.contains(name));
    for (name, _) in unknown {
        // A slip of the pen would list what was not asked for.
        refuse(
            &quoted(name),
            format!("expected one of {}", FILTERS.join(", ")),
        );
    }
    let filter = Filter {
        targets: targets.unwrap_or_else(|detail| {
            refuse("targets", detail);
            Vec::new()
        }),
        templates: templates.unwrap_or_else(|detail| {
            refuse("templates", detail);
            Vec::new()
        }),
        read_status: read_status.unwrap_or_else(|detail| {
            refuse("read_status", detail.to_owned());
            ReadStatus::All
        }),
        starting_before: before.unwrap_or_else(|error| {
            refuse("starting_before", error.to_string());
            None
        }),
    };
    let format = format.unwrap_or_else(|detail| {
        refuse("format", detail.to_owned());
        Format::Markdown
    });
    if wrong.is_empty() {
        Ok((filter, format))
    } else {
        Err(ApiRefusal::invalid_fields(wrong))
    }
}

fn parse_read_status(text: &str) -> Result<ReadStatus, &'static str> {
    match text {
        "all" => Ok(ReadStatus::All),
        "read" => Ok(ReadStatus::Read),
        "unread" => Ok(ReadStatus::Unread),
        _ => Err("expected all, read or unread"),
    }
}

/// Up to `max` values with commas between them.
fn parse_list<T, E: Display>(
    text: Option<&str>,
    max: usize,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, String> {
    let Some(text) = text else {
        return Ok(Vec::new());
    };
    let parts: Vec<_> = text.split(',').collect();
    if parts.len() > max {
        let found = parts.len();
        return Err(format!(
            "expected at most {max} with commas between them, found {found}"
        ));
    }
    let parsed = parts.into_iter().map(parse).collect::<Result<_, _>>();
    parsed.map_err(|error| error.to_string())
}

fn template_names() -> String {
    Template::ALL.map(Template::as_str).join(", ")
}
