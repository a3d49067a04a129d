//! Copies of well-known clients' documents, in the binary for when theirs cannot be fetched.
//!
//! A copy is here only if its contents are known for certain; `docs/client-documents.md` says from
//! where.

use crate::{
    model::oauth2::{client_document::ClientDocument, client_id::DocumentUrl},
    web::oauth2::client_documents::parse::parse,
};

/// A copy in the binary.
#[derive(Debug)]
pub struct Shipped {
    /// The document's URL.
    pub url: &'static str,
    /// Its bytes.
    json: &'static str,
}

macro_rules! shipped {
    ($url:literal, $file:literal) => {
        Shipped {
            url: $url,
            json: include_str!(concat!("../../../../assets/client-documents/", $file)),
        }
    };
}

/// Every copy in the binary.
pub static SHIPPED: &[Shipped] = &[
    shipped!("https://chatgpt.com/oauth/client.json", "chatgpt.json"),
    shipped!("https://chatgpt.com/oauth/codex/client.json", "codex.json"),
    shipped!(
        "https://claude.ai/oauth/claude-code-client-metadata",
        "claude-code.json"
    ),
    shipped!(
        "https://claude.ai/oauth/mcp-oauth-client-metadata",
        "claude.json"
    ),
    shipped!(
        "https://opencode.ai/oauth/opencode/client.json",
        "opencode.json"
    ),
    shipped!(
        "https://vscode.dev/oauth/client-metadata.json",
        "vscode.json"
    ),
];

impl Shipped {
    /// The document.
    ///
    /// # Panics
    /// Never: a test reads every one.
    pub fn document(&self) -> ClientDocument {
        let url = self.url.parse().expect("a copy stands under a URL");
        parse(&url, self.json.as_bytes()).expect("a copy is a document")
    }
}

/// The copy of the document at `url`.
pub(super) fn find(url: &DocumentUrl) -> Option<ClientDocument> {
    let shipped = SHIPPED.iter().find(|shipped| shipped.url == url.as_str())?;
    Some(shipped.document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::oauth2::client::GrantType;

    fn named(url: &str) -> ClientDocument {
        let url = url.parse().expect("a URL");
        find(&url).expect("a copy")
    }

    #[test]
    fn every_copy_is_a_document_of_its_own_url() {
        let urls: BTreeSet<_> = SHIPPED.iter().map(|shipped| shipped.url).collect();
        assert_eq!(urls.len(), SHIPPED.len());
        for shipped in SHIPPED {
            let document = shipped.document();
            assert_eq!(document.url.as_str(), shipped.url);
            assert!(
                document.metadata.allows(GrantType::RefreshToken),
                "{}",
                shipped.url
            );
        }
    }

    #[test]
    fn the_documentation_names_every_copy() {
        let text = include_str!("../../../../docs/client-documents.md");
        for shipped in SHIPPED {
            assert!(
                text.contains(&format!("`{}`", shipped.url)),
                "{}",
                shipped.url
            );
        }
    }

    /// mcp.md D3: what each host is known to do with its redirect.
    #[test]
    fn each_host_can_come_back_to_where_it_does() {
        for (url, redirect) in [
            (
                "https://claude.ai/oauth/claude-code-client-metadata",
                "http://localhost:3118/callback",
            ),
            (
                "https://claude.ai/oauth/claude-code-client-metadata",
                "http://127.0.0.1:51234/callback",
            ),
            (
                "https://claude.ai/oauth/mcp-oauth-client-metadata",
                "https://claude.ai/api/mcp/auth_callback",
            ),
            (
                "https://chatgpt.com/oauth/client.json",
                "https://chatgpt.com/connector_platform_oauth_redirect",
            ),
            (
                "https://chatgpt.com/oauth/codex/client.json",
                "http://127.0.0.1:49152/callback",
            ),
            (
                "https://opencode.ai/oauth/opencode/client.json",
                "http://127.0.0.1:19876/callback",
            ),
            // On another port when 33418 is busy.
            (
                "https://vscode.dev/oauth/client-metadata.json",
                "http://127.0.0.1:50000/",
            ),
            (
                "https://vscode.dev/oauth/client-metadata.json",
                "https://vscode.dev/redirect",
            ),
        ] {
            let redirect = redirect.parse().expect(redirect);
            let uris = named(url).metadata.redirect_uris;
            assert!(uris.iter().any(|uri| uri.allows(&redirect)), "{url}");
        }
    }
}
