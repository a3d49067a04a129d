//! What makes the inbox an app of the device: its manifest and its service worker.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::{
    http::{
        request::Request,
        response::{Response, bytes, json_bytes},
    },
    web::{
        Web,
        credentials::Caller,
        headers::{with_policy, worker_policy},
        pages::assets,
    },
};

/// The ground of the pages in light, as `assets/style.css` has it; each page names the dark one too.
const GROUND: &str = "#eceeeb";

/// `GET /manifest.webmanifest`.
///
/// # Source
/// W3C, Web Application Manifest.
pub async fn manifest(web: Arc<Web>, _: Request, _: Caller) -> Response {
    let box_name = web.provider.public_url.authority();
    let icon = |src: &str, size: &str, purpose: &str| json!({ "src": src, "sizes": size, "type": "image/png", "purpose": purpose });
    let manifest = json!({
        "id": "/inbox",
        "name": format!("Inbox of {box_name}"),
        "short_name": box_name,
        "description": "What this box and your apps tell you.",
        "lang": "en",
        "start_url": "/inbox",
        "scope": "/",
        "display": "standalone",
        "background_color": GROUND,
        "theme_color": GROUND,
        "icons": [
            icon(assets::app_icon_href(), "192x192", "any"),
            icon(assets::large_icon_href(), "512x512", "any"),
            icon(assets::maskable_icon_href(), "512x512", "maskable"),
        ],
    });
    let manifest = json_bytes(&manifest);
    bytes("application/manifest+json", manifest.into())
}

/// `GET /sw.js`: at the top, because a worker reaches only what is below its own path.
pub async fn service_worker(_: Arc<Web>, _: Request, _: Caller) -> Response {
    let worker = Bytes::from_static(include_bytes!("../../../assets/sw.js"));
    let response = bytes("text/javascript; charset=utf-8", worker);
    with_policy(response, worker_policy())
}
