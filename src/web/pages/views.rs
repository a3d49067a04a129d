//! What each page shows: plain data in, HTML out. The words and the markup are in
//! `assets/templates/`, one template a struct.
//!
//! Every template escapes what it prints; no page has an inline script or style, or anything from
//! another origin; the inbox alone has a script (threats 2, 20, 38). Text that others chose stands in a `<bdi>`, so that it can
//! turn neither the direction nor the meaning of our own words around.

use askama::Template;

use super::assets;
use crate::model::timestamp::Timestamp;

/// The largest number that the badge of the inbox shows.
const UNREAD_SHOWN_MAX: u64 = 99;

/// What surrounds every page.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The public host (and port, where it is not the default): the name of the box.
    pub box_name: String,
    /// Who is signed in.
    pub signed_in: Option<SignedIn>,
}

/// The person whose session the request came with.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The user's name.
    pub name: String,
    /// Bound to the session; the sign-out form sends it.
    pub csrf_token: String,
    /// Entries of their inbox that were not read; none if it cannot be known now.
    pub unread: Option<u64>,
}

impl SignedIn {
    /// How many entries wait, if any do: no more figures than there is room for.
    pub(super) fn unread_words(&self) -> Option<String> {
        match self.unread? {
            0 => None,
            few @ 1..=UNREAD_SHOWN_MAX => Some(few.to_string()),
            _ => Some(format!("{UNREAD_SHOWN_MAX}+")),
        }
    }
}

/// Why one field of a form was refused.
#[derive(Clone, Debug)]
pub struct FieldError {
    /// The name of the input.
    pub field: &'static str,
    /// What was expected, what was found.
    pub message: String,
}

/// `/`: what this box is, and where to go. Signed out it says no more than its name.
#[derive(Clone, Debug, Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// What surrounds the page.
    pub frame: Frame,
    /// The issuer.
    pub public_url: String,
    /// What one pastes into an MCP client.
    pub mcp_url: String,
    /// Whether the box has an owner.
    pub claimed: bool,
    /// Whether `/ca.crt` has a certificate: the built-in authority signed ours.
    pub ca_offered: bool,
    /// Whether the person administers the box.
    pub administers: bool,
}

/// `/claim/<token>`: the first owner chooses a name and a password.
#[derive(Clone, Debug, Template)]
#[template(path = "claim.html")]
pub struct ClaimPage {
    /// What surrounds the page.
    pub frame: Frame,
    /// Where the form goes: `/claim/<token>`.
    pub action: String,
    /// Bound to the browser.
    pub csrf_token: String,
    /// What was typed before.
    pub username: String,
    /// The least number of characters of a password.
    pub password_chars_min: usize,
    /// Of `username`, `password`, `password_again`.
    pub errors: Vec<FieldError>,
}

/// `/sign-in`.
#[derive(Clone, Debug, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// What surrounds the page.
    pub frame: Frame,
    /// Bound to the browser.
    pub csrf_token: String,
    /// An own path, to which one returns.
    pub return_to: String,
    /// What was typed before.
    pub username: String,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// The name of the client that one is signing in for, as it calls itself.
    pub asking: Option<String>,
}

/// `GET /oauth2/authorize`: whether a client may act for the person who is signed in.
#[derive(Clone, Debug, Template)]
#[template(path = "consent.html")]
pub struct ConsentPage {
    /// What surrounds the page; somebody is signed in.
    pub frame: Frame,
    /// As the client calls itself: text of a stranger, up to 128 characters.
    pub client_name: String,
    /// Who says so.
    pub client_origin: ClientOrigin,
    /// The host of the client's own page, as the client says.
    pub client_host: Option<String>,
    /// Since when the client is known here.
    pub client_since: String,
    /// The host that gets the answer, in full (an internationalised one in its ASCII form).
    ///
    /// Not shown for a private scheme: its "host" is any text that the client likes.
    pub redirect_host: String,
    /// Where the answer goes, whole.
    pub redirect_uri: String,
    /// Whether every redirect URI of the client is on the person's own computer.
    pub loopback_only: bool,
    /// The scheme, without its colon, where the redirect URI is not one of the web.
    pub private_scheme: Option<String>,
    /// What the access is for (RFC 8707).
    pub resource: String,
    /// In the order of [`ScopeEffect`]; none of them empty.
    pub scopes: Vec<ScopeGroup>,
    /// For how long: "until you revoke it, at most 180 days".
    pub lasts: String,
    /// Where the form goes.
    pub action: String,
    /// Binds the answer to this request in this browser (threat 2).
    pub consent_token: String,
    /// Bound to the session.
    pub csrf_token: String,
    /// The request's own parameters, echoed; without `scope`, which the page itself sends.
    pub hidden: Vec<(String, String)>,
}

/// `/device`: the code that a device shows.
#[derive(Clone, Debug, Template)]
#[template(path = "device.html")]
pub struct DevicePage {
    /// What surrounds the page; somebody is signed in.
    pub frame: Frame,
    /// Bound to the session.
    pub csrf_token: String,
    /// What was typed, or what the address has.
    pub user_code: String,
    /// Why the last code was refused.
    pub error: Option<String>,
}

/// `/device/consent`: whether a device may act for the person who is signed in.
#[derive(Clone, Debug, Template)]
#[template(path = "device_consent.html")]
pub struct DeviceConsentPage {
    /// What surrounds the page; somebody is signed in.
    pub frame: Frame,
    /// As the client calls itself: text of a stranger, up to 128 characters.
    pub client_name: String,
    /// Who says so.
    pub client_origin: ClientOrigin,
    /// The host of the client's own page, as the client says.
    pub client_host: Option<String>,
    /// Since when the client is known here.
    pub client_since: String,
    /// What the device shows, for the person to compare.
    pub user_code: String,
    /// What the access is for (RFC 8707).
    pub resource: String,
    /// In the order of [`ScopeEffect`]; none of them empty.
    pub scopes: Vec<ScopeGroup>,
    /// For how long.
    pub lasts: String,
    /// Bound to the session.
    pub csrf_token: String,
}

/// Where a client came from, which says how far its name can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientOrigin {
    /// An administrator of this box made it.
    Administrator,
    /// It registered itself (RFC 7591).
    SelfRegistered,
    /// A client ID metadata document describes it.
    Document {
        /// The host that serves the document.
        host: String,
    },
}

/// The scopes with the same effect.
#[derive(Clone, Debug)]
pub struct ScopeGroup {
    /// What they let the client do.
    pub effect: ScopeEffect,
    /// Never empty.
    pub scopes: Vec<ScopeLine>,
}

/// What a scope lets a client do, from the least to the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeEffect {
    /// Looks, and leaves everything as it is.
    Reads,
    /// Makes something new.
    Adds,
    /// Alters what is there.
    Changes,
    /// Removes or ends what is there.
    Destroys,
}

/// One scope as a person reads it.
#[derive(Clone, Debug)]
pub struct ScopeLine {
    /// As the protocol names it.
    pub name: String,
    /// As the scope table words it.
    pub words: String,
    /// Whether the person may leave it out.
    pub can_untick: bool,
}

/// `/account`: the person's password, sessions and grants.
#[derive(Clone, Debug, Template)]
#[template(path = "account.html")]
pub struct AccountPage {
    /// What surrounds the page; somebody is signed in.
    pub frame: Frame,
    /// The user's name.
    pub user_name: String,
    /// `owner` or `member`.
    pub role: String,
    /// Bound to the session.
    pub csrf_token: String,
    /// Where the person is signed in, this session first.
    pub sessions: Vec<SessionRow>,
    /// What the person allowed, newest first.
    pub grants: Vec<GrantRow>,
    /// What the last form did.
    pub notice: Option<String>,
    /// The least number of characters of a password.
    pub password_chars_min: usize,
    /// Of `current_password`, `password`, `password_again`.
    pub password_errors: Vec<FieldError>,
}

/// One browser session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// In the path of its revocation: letters and digits.
    pub id: String,
    /// Which browser, as it calls itself.
    pub browser: String,
    /// The address it was last seen at.
    pub address: String,
    /// When it began.
    pub signed_in_at: String,
    /// When it was last seen.
    pub last_seen_at: String,
    /// Whether the page itself was asked for with it.
    pub current: bool,
}

/// One live grant.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// In the path of its revocation: letters and digits.
    pub id: String,
    /// As the client calls itself.
    pub client_name: String,
    /// Who says so, in words that end without a full stop.
    pub client_origin_words: String,
    /// Where its answers go; nowhere for a device.
    pub redirect_host: Option<String>,
    /// What was allowed, in words.
    pub scopes: Vec<String>,
    /// What the access is for.
    pub resource: String,
    /// When it was allowed.
    pub created_at: String,
    /// When it was last used, if ever.
    pub last_used_at: Option<String>,
    /// When it ends by itself.
    pub expires_at: String,
}

/// Every error page and every small notice.
#[derive(Clone, Debug, Template)]
#[template(path = "message.html")]
pub struct MessagePage {
    /// What surrounds the page.
    pub frame: Frame,
    /// What happened, in a few words.
    pub title: String,
    /// What happened, in a sentence.
    pub message: String,
    /// What was expected and what was found; it may quote what a stranger sent.
    pub detail: Option<String>,
    /// What to do next.
    pub what_to_do: Option<String>,
    /// An own path, and the words of the link to it.
    pub link: Option<(String, String)>,
    /// To find the request in the log.
    pub request_id: Option<String>,
}

impl ScopeEffect {
    /// The heading of its scopes, after "If you allow it, the app can".
    const fn title(self) -> &'static str {
        match self {
            Self::Reads => "Read",
            Self::Adds => "Add",
            Self::Changes => "Change",
            Self::Destroys => "Delete or end",
        }
    }

    /// The class that gives the group its colour.
    const fn class(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Adds => "adds",
            Self::Changes => "changes",
            Self::Destroys => "destroys",
        }
    }
}

impl ClaimPage {
    fn password_hint(&self) -> String {
        password_hint(self.password_chars_min)
    }
}

impl AccountPage {
    fn password_hint(&self) -> String {
        password_hint(self.password_chars_min)
    }
}

/// The day of an instant, for a view: `2026-11-22` (UTC).
pub fn day(at: Timestamp) -> String {
    let text = at.to_string();
    let Some((day, _)) = text.split_once('T') else {
        return text;
    };
    day.into()
}

/// The minute of an instant, for a view: `2026-11-22 09:12 UTC`.
pub fn minute(at: Timestamp) -> String {
    let text = at.to_string();
    let Some((day, time)) = text.split_once('T') else {
        return text;
    };
    let (minute, _) = time.rsplit_once(':').unwrap_or((time, ""));
    format!("{day} {minute} UTC")
}

/// Whether a consent page has anything to untick.
fn can_untick_any(scopes: &[ScopeGroup]) -> bool {
    let mut lines = scopes.iter().flat_map(|group| &group.scopes);
    lines.any(|line| line.can_untick)
}

/// An address as it is shown: whatever is not plain ASCII by its number.
///
/// Parsing leaves nothing else in an address; should it ever, a mark that turns the direction or a
/// letter that looks like another must not pass for a host that one trusts.
pub(super) fn ascii(address: &str) -> String {
    let mut shown = String::with_capacity(address.len());
    for letter in address.chars() {
        if letter.is_ascii_graphic() {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_unicode());
        }
    }
    shown
}

/// Why the input `field` was refused, if it was.
pub(super) fn message_of<'a>(errors: &'a [FieldError], field: &str) -> Option<&'a str> {
    let error = errors.iter().find(|error| error.field == field)?;
    Some(&error.message)
}

fn password_hint(chars_min: usize) -> String {
    format!("At least {chars_min} characters; a few unrelated words are good.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::{apps, inbox, markup, samples};

    /// Markup, quotes of both kinds, a handler, a script URL, and marks that turn the direction.
    const ATTACK: &str = "\"'><script>alert(1)</script><p style=\"x\" onload='y'>\
                          javascript:\u{202e}{{ 7 * 7 }}&amp;\u{2066}";

    fn attacked() -> Vec<(&'static str, String)> {
        let attack = || ATTACK.to_string();
        let claim = ClaimPage {
            username: attack(),
            ..samples::claim_refused()
        };
        let sign_in = SignInPage {
            return_to: attack(),
            username: attack(),
            asking: Some(attack()),
            ..samples::sign_in_refused()
        };
        let message = MessagePage {
            detail: Some(attack()),
            ..samples::message()
        };
        vec![
            ("claim", claim.render().unwrap()),
            ("sign-in", sign_in.render().unwrap()),
            ("consent", attacked_consent().render().unwrap()),
            ("device", attacked_device().render().unwrap()),
            (
                "device-consent",
                attacked_device_consent().render().unwrap(),
            ),
            ("account", attacked_account().render().unwrap()),
            ("message", message.render().unwrap()),
        ]
        .into_iter()
        .chain(apps::samples::rendered(ATTACK))
        .chain(inbox::samples::rendered(ATTACK))
        .collect()
    }

    fn attacked_consent() -> ConsentPage {
        ConsentPage {
            client_name: ATTACK.into(),
            client_origin: ClientOrigin::Document {
                host: ATTACK.into(),
            },
            client_host: Some(ATTACK.into()),
            redirect_host: ATTACK.into(),
            redirect_uri: ATTACK.into(),
            resource: ATTACK.into(),
            hidden: vec![("state".into(), ATTACK.into())],
            ..samples::consent()
        }
    }

    fn attacked_device() -> DevicePage {
        DevicePage {
            user_code: ATTACK.into(),
            ..samples::device_refused()
        }
    }

    fn attacked_device_consent() -> DeviceConsentPage {
        let mut consent = samples::device_consent();
        consent.client_name = ATTACK.into();
        consent.client_host = Some(ATTACK.into());
        consent.resource = ATTACK.into();
        consent.scopes[1].scopes[0].words = ATTACK.into();
        consent
    }

    fn attacked_account() -> AccountPage {
        let mut account = samples::account();
        account.sessions[0].browser = ATTACK.into();
        account.grants[0].client_name = ATTACK.into();
        account.grants[0].redirect_host = Some(ATTACK.into());
        account
    }

    #[test]
    fn no_page_runs_styles_or_loads_anything_of_others() {
        for (page, html) in samples::rendered().into_iter().chain(attacked()) {
            markup::assert_inert(page, &html);
        }
    }

    #[test]
    fn the_attack_arrives_as_text() {
        for (page, html) in attacked() {
            assert!(html.contains("&#60;script&#62;alert(1)"), "{page}");
            assert!(html.contains("{{ 7 * 7 }}&#38;amp;"), "{page}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_isolated_or_a_value() {
        for (page, html) in attacked() {
            let shown = markup::tags(&html).into_iter();
            for tag in shown.filter(|tag| tag.text.contains('\u{202e}')) {
                let is_isolated = ["bdi", "textarea"].contains(&tag.name.as_str());
                assert!(is_isolated, "{page}: <{}> {}", tag.name, tag.text);
            }
        }
    }

    #[test]
    fn an_address_cannot_look_like_another() {
        let consent = ConsentPage {
            redirect_host: "\u{202e}ia.edualc".into(),
            client_host: Some("cl\u{430}ude.ai".into()),
            ..samples::consent()
        };
        let html = consent.render().unwrap();
        assert!(html.contains("<bdi>\\u{202e}ia.edualc</bdi>"));
        assert!(html.contains("<bdi>cl\\u{430}ude.ai</bdi>"));
    }

    #[test]
    fn a_name_as_long_as_it_may_be_is_whole() {
        let name = "W".repeat(128);
        let consent = ConsentPage {
            client_name: name.clone(),
            ..samples::consent()
        };
        assert!(
            consent
                .render()
                .unwrap()
                .contains(&format!("<bdi>{name}</bdi>"))
        );
    }

    #[test]
    fn every_form_is_a_post_with_a_csrf_token() {
        let mut guarded = 0;
        for (page, html) in samples::rendered() {
            guarded += markup::assert_forms_are_guarded(page, &html);
        }
        assert!(guarded > samples::rendered().len(), "{guarded}");
    }

    #[test]
    fn every_reference_resolves_and_every_input_has_a_label() {
        for (page, html) in samples::rendered() {
            markup::assert_references_resolve(page, &html);
        }
    }

    #[test]
    fn every_page_has_one_heading_a_title_and_a_language() {
        for (page, html) in samples::rendered() {
            let tags = markup::tags(&html);
            let named = |name: &str| {
                tags.iter()
                    .filter(|tag| tag.name == name)
                    .collect::<Vec<_>>()
            };
            assert_eq!(named("h1").len(), 1, "{page}");
            assert_eq!(named("main").len(), 1, "{page}");
            assert_eq!(named("html")[0].attribute("lang"), Some("en"), "{page}");
            assert!(named("title")[0].text.ends_with("box.lan"), "{page}");
        }
    }

    #[test]
    fn every_class_is_in_the_style_sheet() {
        let style = assets::asset(assets::style_href()).unwrap();
        let style = std::str::from_utf8(style.bytes).unwrap();
        for (page, html) in samples::rendered() {
            for tag in markup::tags(&html) {
                for class in tag
                    .attribute("class")
                    .unwrap_or_default()
                    .split_whitespace()
                {
                    assert!(style.contains(&format!(".{class}")), "{page}: .{class}");
                }
            }
        }
    }

    #[test]
    fn a_stray_enter_denies() {
        let html = samples::consent().render().unwrap();
        let tags = markup::tags(&html);
        // HTML §4.10.21.2: Enter in a field presses the form's first submit button.
        let decisions = tags
            .iter()
            .filter(|tag| tag.attribute("name") == Some("decision"));
        let values = decisions
            .map(|tag| tag.attribute("value"))
            .collect::<Vec<_>>();
        assert_eq!(values, [Some("deny"), Some("allow")]);
        assert!(tags.iter().all(|tag| tag.attribute("autofocus").is_none()));
    }

    #[test]
    fn a_scope_that_only_reads_is_sent_and_any_other_can_be_unticked() {
        let html = samples::consent().render().unwrap();
        let tags = markup::tags(&html);
        let scopes = tags
            .iter()
            .filter(|tag| tag.attribute("name") == Some("scope"));
        let sent = scopes.map(|tag| {
            (
                tag.attribute("type"),
                tag.attribute("value"),
                tag.attribute("checked"),
            )
        });
        assert_eq!(
            sent.collect::<Vec<_>>(),
            [
                (Some("hidden"), Some("user:read"), None),
                (Some("checkbox"), Some("inbox:write"), Some("")),
                (Some("checkbox"), Some("grant:revoke"), Some("")),
            ]
        );
    }

    #[test]
    fn the_host_of_a_private_scheme_is_not_shown_as_a_host() {
        let html = samples::consent_scheme().render().unwrap();
        assert!(html.contains("<p class=\"target\"><bdi>cursor:</bdi></p>"));
        assert!(!html.contains("<bdi>box.lan</bdi>"));
    }

    #[test]
    fn an_instant_is_shown_to_the_day_or_the_minute() {
        let at = Timestamp::from_millis(1_795_338_779_999);
        assert_eq!(day(at), "2026-11-22");
        assert_eq!(minute(at), "2026-11-22 09:12 UTC");
        assert_eq!(minute(Timestamp::NEVER), "never");
    }

    #[test]
    fn signed_out_the_box_says_no_more_than_its_name() {
        let html = samples::home_signed_out().render().unwrap();
        let words = markup::tags(&html).into_iter().map(|tag| tag.text);
        let words = words.collect::<Vec<_>>().join(" ");
        assert_eq!(
            words.split_whitespace().collect::<Vec<_>>(),
            ["box.lan", "box.lan", "box.lan", "Sign", "in"]
        );
    }
}
