//! For how long an answer may be kept, as its headers say.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName,
    header::{CACHE_CONTROL, DATE, EXPIRES},
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
    let at = |name: HeaderName| {
        let text = headers.get(name)?.to_str().ok()?;
        httpdate::parse_http_date(text).ok()
    };
    headers.get(EXPIRES)?;
    // RFC 9111 §5.3: a date that cannot be read, "0" in particular, is in the past.
    let left = at(EXPIRES)
        .zip(at(DATE))
        .and_then(|(expires, date)| expires.duration_since(date).ok());
    Some(left.unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        fresh_for(&headers).map(|duration| duration.as_secs())
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
