//! For how long an answer may be kept, and when to ask again, as its headers say.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, DATE, EXPIRES, RETRY_AFTER},
};

/// The time that `headers` give; `None` if they say nothing.
///
/// # Source
/// RFC 9111 §4.2.1: a shared cache takes `s-maxage`, else `max-age`, else `Expires` less `Date`.
pub(super) fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let directives: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let says = |word: &str| directives.iter().any(|directive| directive == word);
    if says("no-store") || says("no-cache") || says("private") {
        return Some(Duration::ZERO);
    }
    let seconds = |name: &str| {
        let value = directives
            .iter()
            .find_map(|directive| directive.strip_prefix(name)?.strip_prefix('='))?;
        // RFC 9111 §4.2.1 encourages to take what cannot be read for stale.
        Some(Duration::from_secs(
            value.trim_matches('"').parse().unwrap_or(0),
        ))
    };
    seconds("s-maxage")
        .or_else(|| seconds("max-age"))
        .or_else(|| until_expiry(headers))
}

fn until_expiry(headers: &HeaderMap) -> Option<Duration> {
    headers.get(EXPIRES)?;
    // RFC 9111 §5.3: a date that cannot be read, "0" in particular, is in the past.
    Some(until(headers, EXPIRES).unwrap_or(Duration::ZERO))
}

/// How long `headers` ask to wait; `None` if they do not, or cannot be read.
///
/// # Source
/// RFC 9110 §10.2.3: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| until(headers, RETRY_AFTER))
}

/// From when the answer was made until the date in `name`, by the clock of who answered.
fn until(headers: &HeaderMap, name: HeaderName) -> Option<Duration> {
    let at = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    at(name)?.duration_since(at(DATE)?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn of(pairs: &[(&str, &str)]) -> Option<u64> {
        fresh_for(&headers(pairs)).map(|duration| duration.as_secs())
    }

    #[test]
    fn an_answer_says_when_to_ask_again() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (pairs, expected) in [
            (&[][..], None),
            (&[("retry-after", "120")], Some(120)),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "soon")], None),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), date],
                Some(60),
            ),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], None),
            (
                &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT"), date],
                None,
            ),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers(pairs)), expected, "{pairs:?}");
        }
    }

    #[test]
    fn headers_say_how_long() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (pairs, expected) in [
            (&[][..], None),
            (&[("cache-control", "public, max-age=300")], Some(300)),
            (&[("cache-control", "Max-Age=\"60\"")], Some(60)),
            (
                &[("cache-control", "max-age=60, s-maxage=86400")],
                Some(86_400),
            ),
            (&[("cache-control", "max-age=x")], Some(0)),
            (&[("cache-control", "max-age=300, no-store")], Some(0)),
            (&[("cache-control", "no-cache")], Some(0)),
            (
                &[("cache-control", "public"), ("cache-control", "max-age=9")],
                Some(9),
            ),
            (
                &[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), date],
                Some(60),
            ),
            (
                &[("expires", "Sun, 06 Nov 1994 08:00:00 GMT"), date],
                Some(0),
            ),
            (&[("expires", "0"), date], Some(0)),
            (&[("cache-control", "public"), ("expires", "0")], Some(0)),
        ] {
            assert_eq!(of(pairs), expected, "{pairs:?}");
        }
    }
}
