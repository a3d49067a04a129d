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
    Ok(Reply::Pin(pin_row(&pinned)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::audit::{Actor, Origin},
        runtime::entropy::SeededEntropy,
        store::Store,
    };

    const URL: &str = "https://app.example/client.json";

    fn text(url: &str) -> String {
        format!(
            r#"{{"client_id": "{url}", "client_name": "An app",
                "redirect_uris": ["https://app.example/cb"]}}"#
        )
    }

    fn write<T: Send + 'static>(
        store: &Store,
        work: impl FnOnce(&mut WriteTx<'_>, Act<'_>) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let write = store.write(move |tx| {
            let now = Timestamp::from_millis(1_790_000_000_000);
            let act = Act {
                now,
                entropy: &SeededEntropy::new(2),
                by: &Origin::local(now, Actor::Administrator),
            };
            work(tx, act)
        });
        write.wait()
    }

    fn rows(store: &Store) -> Vec<PinRow> {
        match store.read(|tx| list(tx)).expect("a list") {
            Reply::Pins(rows) => rows,
            other => panic!("expected copies, found {other:?}"),
        }
    }

    #[test]
    fn a_copy_is_listed_until_it_is_given_up() {
        let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
        assert_eq!(rows(&store).len(), SHIPPED.len());
        let document = parse_document(URL, &text(URL)).expect("a document");
        write(&store, |tx, act| pin(tx, act, document)).expect("a copy");
        let first = rows(&store).remove(0);
        assert_eq!((first.url.as_str(), first.name.as_str()), (URL, "An app"));
        assert!(first.pinned_at.is_some());
        write(&store, |tx, act| unpin(tx, act, URL)).expect("it is given up");
        assert_eq!(rows(&store).len(), SHIPPED.len());
        let again = write(&store, |tx, act| unpin(tx, act, URL)).expect_err("it is gone");
        assert!(again.message.contains("which was not"), "{again}");
    }

    #[test]
    fn a_copy_of_the_owners_stands_for_the_one_in_the_binary() {
        let store = Store::in_memory(&SeededEntropy::new(1)).expect("memory");
        let url = SHIPPED[0].url;
        let document = parse_document(url, &text(url)).expect("a document");
        write(&store, |tx, act| pin(tx, act, document)).expect("a copy");
        let found = rows(&store);
        assert_eq!(found.len(), SHIPPED.len());
        let named: Vec<_> = found.iter().filter(|row| row.url == url).collect();
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].name, "An app");
    }

    #[test]
    fn a_wrong_copy_is_refused_with_what_is_wrong() {
        for (url, document, why) in [
            (
                "http://app.example/x",
                text(URL),
                "url: expected an https URL",
            ),
            ("https://app.example/", text(URL), "url: expected a path"),
            (
                "https://app.example/other.json",
                text(URL),
                "document: client_id: expected",
            ),
            (URL, "{".to_owned(), "document: expected a JSON object"),
        ] {
            let error = parse_document(url, &document).expect_err(why);
            assert!(error.message.starts_with(why), "{error}");
        }
    }
}
