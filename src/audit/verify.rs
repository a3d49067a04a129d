//! Walking the chain from its oldest entry to its newest.

use crate::{
    model::audit::ChainEnd,
    store::{Read, StoreError, audit},
};

/// Entries that are read at once.
const PAGE: usize = 1_024;

/// A chain that holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has.
    pub entries: u64,
    /// Its newest end: kept elsewhere, it shows later whether entries were cut off.
    pub head: ChainEnd,
}

/// Where a chain does not hold together.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Broken {
    /// A number is missing: an entry was removed.
    #[error("expected entry {expected}, found {found}: entries between them were removed")]
    Gap {
        /// The number that comes next.
        expected: u64,
        /// The number that is there.
        found: u64,
    },
    /// An entry is not the one that was written.
    #[error("entry {number} or the link to it was changed after it was written")]
    Changed {
        /// Its number.
        number: u64,
    },
    /// The newest entries are missing.
    #[error("expected the newest entry to be {expected}, found {found}: the newest were removed")]
    CutOff {
        /// The number of the newest entry that was written.
        expected: u64,
        /// The number of the newest that is there.
        found: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks every link of the chain.
///
/// # Errors
/// Where it breaks first.
pub fn verify(tx: &dyn Read) -> Result<Verified, Broken> {
    let base = audit::base(tx)?;
    let head = audit::head(tx)?;
    let (mut number, mut link) = (base.number, base.link);
    loop {
        let page = audit::list_after(tx, number, PAGE)?;
        if page.is_empty() {
            break;
        }
        for chained in page {
            let expected = number.saturating_add(1);
            let found = chained.entry.number;
            if found != expected {
                return Err(Broken::Gap { expected, found });
            }
            if audit::link(&link, &chained.entry)? != chained.link {
                return Err(Broken::Changed { number: found });
            }
            (number, link) = (found, chained.link);
        }
    }
    if number != head.number {
        return Err(Broken::CutOff {
            expected: head.number,
            found: number,
        });
    }
    if link != head.link {
        return Err(Broken::Changed { number });
    }
    Ok(Verified {
        entries: number - base.number,
        head,
    })
}
