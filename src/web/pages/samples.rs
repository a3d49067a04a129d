//! One filled-in view of each kind and state, for the tests.

use askama::Template;

use super::{
    apps, inbox,
    views::{
        AccountPage, ClaimPage, ClientOrigin, ConsentPage, DeviceConsentPage, DevicePage,
        FieldError, Frame, GrantRow, HomePage, MessagePage, ScopeEffect, ScopeGroup, ScopeLine,
        SessionRow, SignInPage, SignedIn,
    },
};

/// Every page in every state, rendered, with a name for the messages of a failed test.
pub(super) fn rendered() -> Vec<(&'static str, String)> {
    let mut pages = vec![
        ("home", home().render().unwrap()),
        ("home-signed-out", home_signed_out().render().unwrap()),
        ("home-unclaimed", home_unclaimed().render().unwrap()),
        ("claim", claim().render().unwrap()),
        ("claim-refused", claim_refused().render().unwrap()),
        ("sign-in", sign_in().render().unwrap()),
        ("sign-in-refused", sign_in_refused().render().unwrap()),
        ("consent", consent().render().unwrap()),
        ("consent-loopback", consent_loopback().render().unwrap()),
        ("consent-scheme", consent_scheme().render().unwrap()),
        ("device", device().render().unwrap()),
        ("device-refused", device_refused().render().unwrap()),
        ("device-consent", device_consent().render().unwrap()),
        ("account", account().render().unwrap()),
        ("account-new", account_new().render().unwrap()),
        ("message", message().render().unwrap()),
    ];
    pages.extend(apps::samples::rendered("Claude"));
    pages.extend(inbox::samples::rendered("Claude"));
    pages
}

pub(super) fn signed_out() -> Frame {
    Frame {
        box_name: "box.lan".into(),
        signed_in: None,
    }
}

pub(super) fn signed_in() -> Frame {
    Frame {
        signed_in: Some(SignedIn {
            name: "ada".into(),
            csrf_token: "csrf".into(),
            unread: Some(3),
        }),
        ..signed_out()
    }
}

pub(super) fn home() -> HomePage {
    HomePage {
        frame: signed_in(),
        public_url: "https://box.lan".into(),
        mcp_url: "https://box.lan/mcp".into(),
        claimed: true,
        ca_offered: true,
        administers: true,
    }
}

pub(super) fn home_signed_out() -> HomePage {
    HomePage {
        frame: signed_out(),
        ..home()
    }
}

fn home_unclaimed() -> HomePage {
    HomePage {
        claimed: false,
        ..home_signed_out()
    }
}

fn claim() -> ClaimPage {
    ClaimPage {
        frame: signed_out(),
        action: "/claim/7nB2xq".into(),
        csrf_token: "csrf".into(),
        username: String::new(),
        password_chars_min: 12,
        errors: Vec::new(),
    }
}

pub(super) fn claim_refused() -> ClaimPage {
    ClaimPage {
        username: "Ada Lovelace".into(),
        errors: vec![
            FieldError {
                field: "username",
                message: "Expected letters, digits, dots, dashes; found a space.".into(),
            },
            FieldError {
                field: "password_again",
                message: "This is not the same as the password above.".into(),
            },
        ],
        ..claim()
    }
}

fn sign_in() -> SignInPage {
    SignInPage {
        frame: signed_out(),
        csrf_token: "csrf".into(),
        return_to: "/account".into(),
        username: String::new(),
        error: None,
        asking: None,
    }
}

pub(super) fn sign_in_refused() -> SignInPage {
    SignInPage {
        return_to: "/oauth2/authorize?client_id=c1&state=%22".into(),
        username: "ada".into(),
        error: Some("That name and password do not belong together.".into()),
        asking: Some("Claude".into()),
        ..sign_in()
    }
}

pub(super) fn consent() -> ConsentPage {
    ConsentPage {
        frame: signed_in(),
        client_name: "Claude".into(),
        client_origin: ClientOrigin::SelfRegistered,
        client_host: Some("claude.ai".into()),
        client_since: "2026-11-22".into(),
        redirect_host: "claude.ai".into(),
        redirect_uri: "https://claude.ai/api/mcp/auth_callback".into(),
        loopback_only: false,
        private_scheme: None,
        resource: "https://box.lan/mcp".into(),
        scopes: vec![
            group(
                ScopeEffect::Reads,
                &[("user:read", "See your name and your role")],
            ),
            group(
                ScopeEffect::Changes,
                &[("inbox:write", "Mark your notifications as read or unread")],
            ),
            group(
                ScopeEffect::Destroys,
                &[("grant:revoke", "Revoke what you allowed other apps")],
            ),
        ],
        lasts: "Until you revoke it, at most 180 days; 30 days if it is not used".into(),
        action: "/oauth2/authorize".into(),
        consent_token: "consent".into(),
        csrf_token: "csrf".into(),
        hidden: vec![
            ("client_id".into(), "c1".into()),
            ("response_type".into(), "code".into()),
        ],
    }
}

fn consent_loopback() -> ConsentPage {
    ConsentPage {
        client_name: "Claude Code (box)".into(),
        client_origin: ClientOrigin::Document {
            host: "claude.ai".into(),
        },
        client_host: None,
        redirect_host: "localhost".into(),
        redirect_uri: "http://localhost:33418/callback".into(),
        loopback_only: true,
        scopes: vec![group(
            ScopeEffect::Reads,
            &[("user:read", "See your name and your role")],
        )],
        ..consent()
    }
}

pub(super) fn consent_scheme() -> ConsentPage {
    ConsentPage {
        client_name: "Cursor".into(),
        client_origin: ClientOrigin::Administrator,
        redirect_host: "box.lan".into(),
        redirect_uri: "cursor://box.lan/oauth/callback".into(),
        private_scheme: Some("cursor".into()),
        ..consent()
    }
}

fn device() -> DevicePage {
    DevicePage {
        frame: signed_in(),
        csrf_token: "csrf".into(),
        user_code: "WDJB-MJHT".into(),
        error: None,
    }
}

pub(super) fn device_refused() -> DevicePage {
    DevicePage {
        user_code: "WDJB".into(),
        error: Some("Expected the 8 letters that the device shows.".into()),
        ..device()
    }
}

pub(super) fn device_consent() -> DeviceConsentPage {
    let ConsentPage {
        frame,
        client_name,
        client_origin,
        client_host,
        client_since,
        resource,
        scopes,
        lasts,
        csrf_token,
        ..
    } = consent();
    DeviceConsentPage {
        frame,
        client_name,
        client_origin,
        client_host,
        client_since,
        user_code: "WDJB-MJHT".into(),
        resource,
        scopes,
        lasts,
        csrf_token,
    }
}

fn group(effect: ScopeEffect, lines: &[(&str, &str)]) -> ScopeGroup {
    ScopeGroup {
        effect,
        scopes: lines
            .iter()
            .map(|(name, words)| ScopeLine {
                name: (*name).into(),
                words: (*words).into(),
                can_untick: effect != ScopeEffect::Reads,
            })
            .collect(),
    }
}

pub(super) fn account() -> AccountPage {
    AccountPage {
        frame: signed_in(),
        user_name: "ada".into(),
        role: "owner".into(),
        csrf_token: "csrf".into(),
        sessions: vec![this_session(), session("s2", "Safari on iPhone")],
        grants: vec![
            grant("g1", "Claude", Some("2026-11-22 09:12 UTC")),
            GrantRow {
                redirect_host: None,
                ..grant("g2", "VS Code", None)
            },
        ],
        notice: Some("The access of Cursor has ended.".into()),
        password_chars_min: 12,
        password_errors: vec![FieldError {
            field: "current_password",
            message: "This is not your password.".into(),
        }],
    }
}

fn account_new() -> AccountPage {
    AccountPage {
        sessions: vec![this_session()],
        grants: Vec::new(),
        notice: None,
        password_errors: Vec::new(),
        ..account()
    }
}

fn this_session() -> SessionRow {
    SessionRow {
        current: true,
        ..session("s1", "Firefox on Linux")
    }
}

fn session(id: &str, browser: &str) -> SessionRow {
    SessionRow {
        id: id.into(),
        browser: browser.into(),
        address: "192.168.1.20".into(),
        signed_in_at: "2026-11-20 18:40 UTC".into(),
        last_seen_at: "2026-11-22 09:12 UTC".into(),
        current: false,
    }
}

fn grant(id: &str, client_name: &str, last_used_at: Option<&str>) -> GrantRow {
    GrantRow {
        id: id.into(),
        client_name: client_name.into(),
        client_origin_words: "It registered itself".into(),
        redirect_host: Some("claude.ai".into()),
        scopes: vec![
            "See your name and your role".into(),
            "Revoke what you allowed other apps".into(),
        ],
        resource: "https://box.lan/mcp".into(),
        created_at: "2026-11-20 18:42 UTC".into(),
        last_used_at: last_used_at.map(String::from),
        expires_at: "2027-05-19 18:42 UTC".into(),
    }
}

pub(super) fn message() -> MessagePage {
    MessagePage {
        frame: signed_out(),
        title: "This app may not be answered there".into(),
        message: "The app asked for the answer at an address that it did not register.".into(),
        detail: Some(
            "expected https://claude.ai/api/mcp/auth_callback, found https://claude.ai.example/"
                .into(),
        ),
        what_to_do: Some(
            "Nothing was allowed. Close this page; start again from the app, not from a link."
                .into(),
        ),
        link: Some(("/".into(), "Go to the start".into())),
        request_id: Some("01K9ZQ4M".into()),
    }
}
