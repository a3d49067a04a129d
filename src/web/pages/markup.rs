//! A reader of rendered pages, for the tests. It needs no more of HTML than our templates use:
//! every attribute in double quotes, and `<` and `>` never raw in text or in a value.

use std::collections::BTreeSet;

/// An opening or closing tag and what follows it up to the next one.
#[derive(Debug)]
pub(crate) struct Tag {
    /// In lower case; a closing tag begins with a slash.
    pub(crate) name: String,
    /// In their order, still escaped.
    pub(crate) attributes: Vec<(String, String)>,
    /// The text after it, still escaped.
    pub(crate) text: String,
}

impl Tag {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }
}

pub(crate) fn tags(html: &str) -> Vec<Tag> {
    html.split('<').skip(1).map(tag).collect()
}

fn tag(source: &str) -> Tag {
    let (inside, text) = source.split_once('>').expect("a tag that ends");
    let (name, mut rest) = inside.split_once([' ', '\n']).unwrap_or((inside, ""));
    let mut attributes = Vec::new();
    while let Some((before, after)) = rest.split_once("=\"") {
        let (value, after) = after.split_once('"').expect("a value that ends");
        let mut words = before.split_whitespace().collect::<Vec<_>>();
        let key = words.pop().expect("a value that has a name");
        attributes.extend(words.iter().map(|flag| ((*flag).into(), String::new())));
        attributes.push((key.into(), value.into()));
        rest = after;
    }
    let flags = rest.split_whitespace();
    attributes.extend(flags.map(|flag| (flag.into(), String::new())));
    Tag {
        name: name.to_lowercase(),
        attributes,
        text: text.into(),
    }
}

const ELEMENTS: &str = "!doctype a bdi body br button code dd div dl dt em form h1 h2 h3 head header \
                        html img input label li link main meta nav ol option p pre script section \
                        select span strong table tbody td textarea th thead time title tr \
                        ul";

const ATTRIBUTES: &str = "action alt aria-current aria-describedby aria-hidden aria-invalid aria-label \
                          aria-labelledby autocapitalize autocomplete autofocus charset checked class \
                          content data-key data-told datetime defer for height hidden href html id lang media \
                          method name readonly rel required role rows scope selected spellcheck src \
                          tabindex type value width";

/// Pages that our own script makes live.
const LIVE: &str = "inbox";

/// Asserts that nothing in the page could run, style or load, whatever was put into it.
///
/// Lists of what may occur rather than of what may not: an attribute that begins with `on`, a
/// `style`, a `<script>` and whatever comes next year are all missing from them.
pub(crate) fn assert_inert(page: &str, html: &str) {
    let known = |list: &str, word: &str| list.split(' ').any(|known| known == word);
    for tag in tags(html) {
        let name = tag.name.trim_start_matches('/');
        assert!(known(ELEMENTS, name), "{page}: <{name}>");
        for (key, value) in &tag.attributes {
            assert!(known(ATTRIBUTES, key), "{page}: {key} in <{name}>");
            if ["action", "href", "src"].contains(&key.as_str()) {
                let own = value.starts_with('/') && !value.starts_with("//");
                // What somebody is told may lead away from the box; nothing is loaded from there.
                let leads_away = name == "a" && page.starts_with(LIVE);
                let is_safe = own || leads_away && value.starts_with("https://");
                assert!(is_safe, "{page}: {key}=\"{value}\" is not an own path");
            }
        }
        if tag.name == "script" {
            let source = tag.attribute("src").unwrap_or_default();
            assert!(page.starts_with(LIVE), "{page}: a script");
            assert!(source.starts_with("/assets/inbox."), "{page}: {source}");
            assert_eq!(tag.text, "", "{page}: an inline script");
        }
    }
}

/// Asserts that every form is a POST with a CSRF token, or asks for a page and has none; returns how
/// many there are.
pub(crate) fn assert_forms_are_guarded(page: &str, html: &str) -> usize {
    let mut guarded = 0;
    for form in html.split("<form").skip(1) {
        let (form, _) = form.split_once("</form>").expect("a form that ends");
        let form = tags(&format!("<form{form}"));
        if form[0].attribute("method") == Some("get") {
            let sends = |name: &&str| *name == "csrf_token" || name.contains("password");
            let mut names = form.iter().filter_map(|tag| tag.attribute("name"));
            assert_eq!(names.find(sends), None, "{page}: an address with a secret");
            continue;
        }
        assert_eq!(form[0].attribute("method"), Some("post"), "{page}");
        let token = form
            .iter()
            .find(|tag| tag.attribute("name") == Some("csrf_token"));
        let token = token.unwrap_or_else(|| panic!("{page}: a form without csrf_token"));
        assert_eq!(token.attribute("value"), Some("csrf"), "{page}");
        guarded += 1;
    }
    guarded
}

/// Asserts that ids are unique, that what refers to one finds it, and that inputs have labels.
pub(crate) fn assert_references_resolve(page: &str, html: &str) {
    let tags = tags(html);
    let mut ids = BTreeSet::new();
    for id in tags.iter().filter_map(|tag| tag.attribute("id")) {
        assert!(ids.insert(id), "{page}: id {id} twice");
    }
    let mut labelled = BTreeSet::new();
    for tag in &tags {
        for key in ["aria-describedby", "aria-labelledby", "for"] {
            for id in tag.attribute(key).unwrap_or_default().split(' ') {
                assert!(id.is_empty() || ids.contains(id), "{page}: {key}={id}");
            }
        }
        labelled.extend(tag.attribute("for"));
    }
    let shown = |tag: &&Tag| tag.name == "input" && tag.attribute("hidden").is_none();
    for field in tags.iter().filter(shown) {
        if !["hidden", "checkbox"].contains(&field.attribute("type").unwrap_or_default()) {
            let id = field.attribute("id").unwrap_or_default();
            assert!(labelled.contains(id), "{page}: {field:?} has no label");
        }
    }
}
