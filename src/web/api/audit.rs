//! `/api/v2/audit`: the log of what was done.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;

use crate::{
    audit::{self, AuditRow, QUERY_LEN_MAX},
    http::{
        params::Params,
        request::Request,
        response::{Response, json},
    },
    runtime::apart::apart,
    web::{
        Web,
        api::{caller::ApiCaller, error::ApiRefusal, page},
    },
};

/// A page of the log, newest first.
#[derive(Serialize)]
struct AuditLogs {
    audit_logs: Vec<AuditRow>,
    count: usize,
}

/// `GET`: the entries that have every word of `q`.
pub async fn search(web: Arc<Web>, request: Request, _: ApiCaller) -> Result<Response, ApiRefusal> {
    let query = Params::from_query(&request.head)?;
    let words = query.get("q")?.unwrap_or_default();
    if words.chars().count() > QUERY_LEN_MAX {
        let detail = format!("expected at most {QUERY_LEN_MAX} characters");
        return Err(ApiRefusal::invalid("q", detail));
    }
    let page = page(&query)?;
    let (store, words) = (Arc::clone(&web.store), words.to_owned());
    let search = move || store.read(|tx| audit::search(tx, &words, page.limit, page.offset));
    let found = apart(search).await?;
    let audit_logs = found.entries.into_iter().map(Into::into).collect();
    let logs = AuditLogs {
        audit_logs,
        count: found.count,
    };
    Ok(json(StatusCode::OK, &logs))
}
