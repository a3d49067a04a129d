//! The style sheet, the icons and the one script: inside the binary, under a path that changes with their content.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// How much of the SHA-256 goes into the path: enough that two versions never share one.
const HASH_BYTES: usize = 9;

/// A file that pages link to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The whole file.
    pub bytes: &'static [u8],
    /// Whether the path names this very content, so that it may be cached for ever.
    pub immutable: bool,
}

/// The file at `path` (`/assets/…`), if there is one.
///
/// The plain name (`/assets/icon.svg`) answers too, for links that outlive a release; it is not
/// [`Asset::immutable`]. A hash of another release finds nothing.
pub fn asset(path: &str) -> Option<Asset> {
    PUBLISHED.iter().find_map(|published| {
        let immutable = path == published.href;
        (immutable || path == published.plain).then_some(Asset {
            content_type: published.file.content_type,
            bytes: published.file.bytes,
            immutable,
        })
    })
}

/// Where pages link to for their style sheet.
pub fn style_href() -> &'static str {
    &PUBLISHED[STYLE].href
}

/// Where pages link to for the icon.
pub fn icon_href() -> &'static str {
    &PUBLISHED[ICON].href
}

/// Where the inbox links to for what makes it live.
pub fn inbox_script_href() -> &'static str {
    &PUBLISHED[INBOX_SCRIPT].href
}

/// The icon as an app of a device has it, 192 pixels wide.
pub fn app_icon_href() -> &'static str {
    &PUBLISHED[APP_ICON].href
}

/// The same, 512 pixels wide.
pub fn large_icon_href() -> &'static str {
    &PUBLISHED[LARGE_ICON].href
}

/// The same on a ground, with room to be cut to any shape.
pub fn maskable_icon_href() -> &'static str {
    &PUBLISHED[MASKABLE_ICON].href
}

struct File {
    stem: &'static str,
    extension: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

struct Published {
    file: &'static File,
    plain: String,
    href: String,
}

const STYLE: usize = 0;
const ICON: usize = 1;
const INBOX_SCRIPT: usize = 2;
const APP_ICON: usize = 3;
const LARGE_ICON: usize = 4;
const MASKABLE_ICON: usize = 5;

static FILES: [File; 6] = [
    File {
        stem: "style",
        extension: "css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("../../../assets/style.css"),
    },
    File {
        stem: "icon",
        extension: "svg",
        content_type: "image/svg+xml",
        bytes: include_bytes!("../../../assets/icon.svg"),
    },
    File {
        stem: "inbox",
        extension: "js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../../../assets/inbox.js"),
    },
    File {
        stem: "icon-192",
        extension: "png",
        content_type: "image/png",
        bytes: include_bytes!("../../../assets/icons/icon-192.png"),
    },
    File {
        stem: "icon-512",
        extension: "png",
        content_type: "image/png",
        bytes: include_bytes!("../../../assets/icons/icon-512.png"),
    },
    File {
        stem: "icon-maskable",
        extension: "png",
        content_type: "image/png",
        bytes: include_bytes!("../../../assets/icons/icon-maskable.png"),
    },
];

static PUBLISHED: LazyLock<[Published; 6]> = LazyLock::new(|| FILES.each_ref().map(publish));

fn publish(file: &'static File) -> Published {
    let (stem, extension) = (file.stem, file.extension);
    let hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(file.bytes)[..HASH_BYTES]);
    Published {
        file,
        plain: format!("/assets/{stem}.{extension}"),
        href: format!("/assets/{stem}.{hash}.{extension}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hashed_path_is_cached_for_ever_and_a_plain_one_is_not() {
        for (href, plain, content_type) in [
            (style_href(), "/assets/style.css", "text/css; charset=utf-8"),
            (icon_href(), "/assets/icon.svg", "image/svg+xml"),
            (
                inbox_script_href(),
                "/assets/inbox.js",
                "text/javascript; charset=utf-8",
            ),
            (app_icon_href(), "/assets/icon-192.png", "image/png"),
            (large_icon_href(), "/assets/icon-512.png", "image/png"),
            (
                maskable_icon_href(),
                "/assets/icon-maskable.png",
                "image/png",
            ),
        ] {
            let hashed = asset(href).unwrap();
            assert!(hashed.immutable, "{href}");
            assert_eq!(hashed.content_type, content_type);
            let by_name = asset(plain).unwrap();
            assert!(!by_name.immutable, "{plain}");
            assert_eq!(by_name.bytes, hashed.bytes);
        }
    }

    #[test]
    fn another_releases_hash_and_a_path_outside_find_nothing() {
        for path in [
            "/assets/style.AAAAAAAAAAAA.css",
            "/assets/",
            "/assets/templates/base.html",
            "/assets/../Cargo.toml",
            "assets/style.css",
        ] {
            assert_eq!(asset(path), None, "{path}");
        }
    }

    #[test]
    fn no_sheet_and_no_picture_loads_or_runs_anything() {
        for file in FILES
            .iter()
            .filter(|file| ["css", "svg"].contains(&file.extension))
        {
            let text = std::str::from_utf8(file.bytes).unwrap();
            // The namespace is a name, never fetched; an SVG image does not show without it.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for loaded in ["url(", "@import", "http:", "https:", "<script", "data:"] {
                assert!(!text.contains(loaded), "{}: {loaded}", file.stem);
            }
        }
    }

    /// Threats 2 and 20: what others wrote gets into a page by the templates alone.
    #[test]
    fn no_script_makes_markup_of_text_or_loads_another() {
        let worker = include_str!("../../../assets/sw.js");
        let page = std::str::from_utf8(FILES[INBOX_SCRIPT].bytes).unwrap();
        for script in [worker, page] {
            for never in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
                "import",
                "http:",
                "https://",
            ] {
                assert!(!script.contains(never), "{never}");
            }
        }
    }

    #[test]
    fn every_icon_is_a_picture_of_its_size() {
        for (href, side) in [
            (app_icon_href(), 192_u32),
            (large_icon_href(), 512),
            (maskable_icon_href(), 512),
        ] {
            let png = asset(href).unwrap().bytes;
            // PNG §5.2 and §11.2.2: a signature, then the header's width and height.
            assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{href}");
            assert_eq!(png[16..20], side.to_be_bytes(), "{href}");
            assert_eq!(png[20..24], side.to_be_bytes(), "{href}");
        }
    }
}
