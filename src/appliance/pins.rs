//! What an administrator does with copies of client ID metadata documents.

use crate::{
    appliance::administration::{PinRow, Refused, Reply},
    audit::Act,
    model::{
        oauth2::{
            client_document::{ClientDocument, PinnedDocument},
            client_id::DocumentUrl,
        },
        timestamp::Timestamp,
    },
    oauth2provider::client_documents::{self, DocumentError},
    store::{self, Read, WriteTx},
    web::oauth2::client_documents::{SHIPPED, parse},
};

impl From<DocumentError> for Refused {
    fn from(error: DocumentError) -> Self {
        Self::because(error)
    }
}

/// The document at `url` whose text is `document`.
pub(super) fn parse_document(url: &str, document: &str) -> Result<ClientDocument, Refused> {
    parse(&parse_url(url)?, document.as_bytes())
        .map_err(|error| Refused::because(format!("document: {error}")))
}

fn parse_url(text: &str) -> Result<DocumentUrl, Refused> {
    text.parse()
        .map_err(|error| Refused::because(format!("url: {error}, found {text:?}")))
}

/// Keeps a copy.
pub(super) fn pin(
    tx: &mut WriteTx<'_>,
    act: Act<'_>,
    document: ClientDocument,
) -> Result<Reply, Refused> {
    let pinned = client_documents::pin(tx, act, document)?;
    Ok(Reply::Pins(vec![pin_row(&pinned)]))
}

/// Gives up a copy of the owner's; one in the binary cannot be given up.
pub(super) fn unpin(tx: &mut WriteTx<'_>, act: Act<'_>, url: &str) -> Result<(), Refused> {
    if client_documents::unpin(tx, act, &parse_url(url)?)? {
        Ok(())
    } else {
        Err(Refused::because(format!(
            "expected the URL of a document that was pinned here, found {url:?}, which was not"
        )))
    }
}

/// Every copy: the owner's, then those in the binary that none of them replaces.
pub(super) fn list(tx: &dyn Read) -> Result<Reply, Refused> {
    let pinned = store::client_documents::list(tx)?;
    let mut rows: Vec<PinRow> = pinned.iter().map(pin_row).collect();
    let is_replaced = |url: &str| {
        pinned
            .iter()
            .any(|pinned| pinned.document.url.as_str() == url)
    };
    let shipped = SHIPPED.iter().filter(|shipped| !is_replaced(shipped.url));
    rows.extend(shipped.map(|shipped| document_row(&shipped.document(), None)));
    Ok(Reply::Pins(rows))
}

fn pin_row(pinned: &PinnedDocument) -> PinRow {
    document_row(&pinned.document, Some(pinned.pinned_at))
}

fn document_row(document: &ClientDocument, pinned_at: Option<Timestamp>) -> PinRow {
    PinRow {
        url: document.url.to_string(),
        name: document.metadata.name.to_string(),
        redirect_uris: document
            .metadata
            .redirect_uris
            .iter()
            .map(ToString::to_string)
            .collect(),
        pinned_at: pinned_at.map(|at| at.to_string()),
    }
}
