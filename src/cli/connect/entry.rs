//! What stands in a host's configuration under the name of this server.

/// One server, as its members: what each is called, and what it says.
pub(super) type Entry = Vec<(&'static str, Field)>;

/// What a member says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
}

/// How a server is reached, in the words of any host. Where an entry is there already, those that
/// the new one does not have go, because a host would not know which to follow; whatever else
/// stands in it stays.
pub(super) const TRANSPORT: [&str; 6] = ["type", "url", "httpUrl", "serverUrl", "command", "args"];

/// Why an entry cannot be put into a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MergeError {
    /// It is not what its name says.
    #[error("expected {expected}: {fault}")]
    Syntax {
        /// What it should be.
        expected: &'static str,
        /// Where it is not.
        fault: String,
    },
    /// Something stands where servers or members should.
    #[error("expected {expected} at {at}, found something else")]
    NotATable {
        /// What should be there.
        expected: &'static str,
        /// Where.
        at: String,
    },
    /// Nobody can tell which one counts.
    #[error("expected {0} once, found it twice")]
    Twice(String),
}
