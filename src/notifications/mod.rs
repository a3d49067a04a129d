//! Floor 2: what people are told, in their inbox and by push, and how they want to be told.
//!
//! What Keystead itself tells is told in the transaction of what it reports ([`react()`]): whoever
//! finds the one in the file finds the other.

mod inbox;
mod owners;
mod plain_text;
mod push;
mod react;
mod send;
mod senders;
mod settings;
mod tasks;
mod templates;

pub use inbox::{Filter, PAGE_LEN, Page, ReadStatus, list};
pub use owners::tell_owners;
pub use plain_text::plain_text;
pub use push::{
    ATTEMPTS_MAX, Due, Endpoint, EndpointError, LINES_READ_MAX, Outcome, PUSH_TTL, due,
    ensure_vapid, is_on, parts, regenerate_vapid, retry_after, settle, subscribe, subscription,
    switch_push, unsubscribe, vapid,
};
pub use react::react;
pub use send::{Message, Refused, Told, hand_in, message, report, send};
pub use senders::{app_name, person_name, said_by};
pub use settings::{MUTED_MAX, methods, mute, switch, unmute};
pub use tasks::{Report, SUMMARY_LEN_MAX, Summary, SummaryError, TaskState, report_task};
pub use templates::{TEMPLATES, TemplateRow, row};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
