//! Cookies: reading the one that was sent, and setting or ending one of ours.

use std::time::Duration;

use cookie::{Cookie, SameSite, time};
use http::{HeaderValue, header::COOKIE};

use crate::http::request::Head;

/// Over what a cookie may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS only: the attribute `Secure`, without which a `__Host-` name does not stick.
    Secure,
    /// Plain http as well: a deployment on `http://localhost`.
    Plain,
}

/// The value of the cookie `name`.
///
/// One that was sent twice with different values counts as not sent: another site of the same
/// machine may have set one of them, and which is ours cannot be known (RFC 6265 §8.6).
pub fn get<'head>(head: &'head Head, name: &str) -> Option<&'head str> {
    let mut values = head
        .headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok)
        .filter(|cookie| cookie.name() == name)
        .filter_map(|cookie| cookie.value_raw());
    let value = values.next()?;
    values.all(|other| other == value).then_some(value)
}

/// The `Set-Cookie` that gives the browser `name` for `max_age`, or until it is closed.
///
/// The cookie is sent to this host only, to all of its paths, not to scripts, and not with what
/// another site posts.
///
/// # Panics
/// If `name` or `value` has a character that no header has: a mistake of ours, answered 500.
pub fn set(
    name: &str,
    value: &str,
    max_age: Option<Duration>,
    transport: Transport,
) -> HeaderValue {
    let mut cookie = Cookie::build((name, value))
        .http_only(true)
        .same_site(SameSite::Lax)
        .path("/")
        .build();
    if transport == Transport::Secure {
        cookie.set_secure(true);
    }
    if let Some(max_age) = max_age {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        cookie.set_max_age(time::Duration::seconds(seconds));
    }
    HeaderValue::from_str(&cookie.to_string()).expect("our cookies can be a header")
}

/// The `Set-Cookie` that takes `name` from the browser.
///
/// # Panics
/// As [`set`].
pub fn expire(name: &str, transport: Transport) -> HeaderValue {
    set(name, "", Some(Duration::ZERO), transport)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::testing::head;

    proptest! {
        /// Other cookies of the machine, whatever they are, neither hide ours nor take its place.
        #[test]
        fn ours_is_found_among_any_others(before in "[ -~]{0,40}", value in "[A-Za-z0-9_-]{1,64}", after in "[ -~]{0,40}") {
            prop_assume!(!before.contains("ours") && !after.contains("ours"));
            let header = format!("{before}; ours={value}; {after}");
            let head = head(&[("cookie", &header)]);
            prop_assert_eq!(get(&head, "ours"), Some(value.as_str()));
        }

        #[test]
        fn what_is_set_is_read_back(value in "[A-Za-z0-9_.-]{1,64}") {
            let set = set("__Host-ours", &value, None, Transport::Secure);
            let sent = set.to_str().expect("a header").split(';').next().expect("a pair");
            let head = head(&[("cookie", sent)]);
            prop_assert_eq!(get(&head, "__Host-ours"), Some(value.as_str()));
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let head = head(&[("cookie", "a=1; session=abc"), ("cookie", "b=2")]);
        assert_eq!(get(&head, "session"), Some("abc"));
        assert_eq!(get(&head, "b"), Some("2"));
        assert_eq!(get(&head, "c"), None);
    }

    #[test]
    fn one_that_came_twice_differently_did_not_come() {
        let twice = |second: &str| head(&[("cookie", "session=abc"), ("cookie", second)]);
        assert_eq!(get(&twice("session=evil"), "session"), None);
        assert_eq!(get(&twice("session=abc"), "session"), Some("abc"));
    }

    #[test]
    fn junk_is_no_cookie() {
        for junk in ["", ";", "=", "session", "; ;=;session"] {
            assert_eq!(get(&head(&[("cookie", junk)]), "session"), None, "{junk}");
        }
    }

    #[test]
    fn a_cookie_has_all_its_attributes() {
        assert_eq!(
            set(
                "__Host-s",
                "v",
                Some(Duration::from_mins(1)),
                Transport::Secure
            ),
            "__Host-s=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            set("s", "v", None, Transport::Plain),
            "s=v; HttpOnly; SameSite=Lax; Path=/"
        );
        assert_eq!(
            expire("s", Transport::Plain),
            "s=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
    }
}
