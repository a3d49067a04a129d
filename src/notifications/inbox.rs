//! The inbox as its reader asks for it.

use crate::{
    model::{id::Id, notification::Template},
    store::{
        Read, StoreError,
        notifications::{self, InboxEntry, NOTIFICATIONS_PER_USER_MAX},
    },
};

/// Entries of one page.
pub const PAGE_LEN: usize = 25;
/// Rows of the index that are read in one go.
const ROWS_STEP: usize = 128;

/// Which entries by whether they were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadStatus {
    /// Both.
    #[default]
    All,
    /// Those that were read.
    Read,
    /// Those that were not.
    Unread,
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About every one of these.
    pub targets: Vec<Id>,
    /// Of any of these templates; of every template if there are none.
    pub templates: Vec<Template>,
    /// By whether they were read.
    pub read_status: ReadStatus,
    /// Before this one.
    pub starting_before: Option<Id>,
}

impl Filter {
    /// Whether it may pass over entries, so that a page of few of them may need all of the inbox.
    pub fn is_narrow(&self) -> bool {
        let is_whole = self.targets.is_empty() && self.templates.is_empty();
        !is_whole || self.read_status != ReadStatus::All
    }
}

/// Some of an inbox.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// Up to [`PAGE_LEN`] entries, newest first.
    pub entries: Vec<InboxEntry>,
    /// Entries of the whole inbox that were not read, whatever the filter.
    pub unread_count: u64,
}

/// The newest entries of `user_id` that `filter` lets through.
pub fn list(tx: &dyn Read, user_id: Id, filter: &Filter) -> Result<Page, StoreError> {
    let mut entries = Vec::new();
    let mut before = filter.starting_before;
    let mut seen = 0;
    while entries.len() < PAGE_LEN && seen < NOTIFICATIONS_PER_USER_MAX {
        let rows = notifications::rows_before(tx, user_id, before, ROWS_STEP)?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        seen += rows.len();
        for row in rows {
            let is_wanted = match filter.read_status {
                ReadStatus::All => true,
                ReadStatus::Read => row.read_at.is_some(),
                ReadStatus::Unread => row.read_at.is_none(),
            };
            if !is_wanted || entries.len() == PAGE_LEN {
                continue;
            }
            let entry = notifications::entry(tx, row)?;
            if lets_through(filter, &entry) {
                entries.push(entry);
            }
        }
    }
    Ok(Page {
        entries,
        unread_count: notifications::counts(tx, user_id)?.unread,
    })
}

fn lets_through(filter: &Filter, entry: &InboxEntry) -> bool {
    let notification = &entry.notification;
    let is_about = |target| notification.targets.contains(target);
    let is_of = filter.templates.is_empty() || filter.templates.contains(&notification.template);
    is_of && filter.targets.iter().all(is_about)
}
