//! Contract §8: what every answer has.

use http::Method;

use super::{
    house::{House, list_tools},
    wire::{Answer, Ask},
};
use crate::{appliance::routes::ROUTES, http::route::Cors, web::credentials::Access};

/// A path of every route, where nothing has to exist.
fn example(pattern: &str) -> String {
    pattern
        .replace("{*path}", "style.css")
        .replace("{*resource}", "mcp")
        .replace("{user}", "me")
        .replace("{client_id}", "0000000000000000000000")
        .replace("{token}", "x")
        .replace("{id}", "0000000000000000000000")
}

/// An answer of every route, and of some requests that reach none.
async fn answers(house: &House) -> Vec<(String, Answer)> {
    let mut answers = Vec::new();
    let mut add = |name: String, answer: Answer| answers.push((name, answer));
    let (ada, app, tokens) = house.connected().await;
    for route in ROUTES {
        let path = example(route.path);
        let name = format!("{} {path}", route.method);
        let bare = house.ask(Ask::new(route.method.clone(), &path)).await;
        add(name.clone(), bare);
        let person = ada.send(Ask::new(route.method.clone(), &path)).await;
        add(format!("{name} by a person"), person);
        let foreign = Ask::new(route.method.clone(), &path).header("host", "evil.example");
        add(format!("{name} at another host"), house.ask(foreign).await);
        let unknown = house.ask(Ask::new(Method::PATCH, &path)).await;
        add(format!("PATCH {path}"), unknown);
    }
    add(
        "consent".into(),
        ada.authorize(&app.request().with("prompt", "consent"))
            .await,
    );
    add("a code".into(), ada.authorize(&app.request()).await);
    add("no route".into(), house.get("/nothing").await);
    add("no page".into(), ada.get("/nothing").await);
    add("no percent-encoding".into(), house.get("/claim/%ff").await);
    add("tools".into(), house.mcp(&tokens.access).await);
    answers
}

/// Contract §8: nosniff, `Referrer-Policy`, a policy on HTML, HSTS with https, a request id; and
/// issue 2: never 500.
#[tokio::test]
async fn every_answer_of_every_route_has_its_headers() {
    for (house, hsts) in [
        (House::open(), None),
        (House::on_https(), Some("max-age=31536000")),
    ] {
        for (name, answer) in answers(&house).await {
            assert!(answer.status < 500, "{name}: {answer:#?}");
            for (header, expected) in [
                ("x-content-type-options", Some("nosniff")),
                ("referrer-policy", Some("no-referrer")),
                ("strict-transport-security", hsts),
            ] {
                assert_eq!(answer.header(header), expected, "{name}: {header}");
            }
            assert_eq!(
                answer.header("x-request-id").map(str::len),
                Some(22),
                "{name}"
            );
            assert_page_is_closed(&name, &answer);
        }
    }
}

/// Where `answer` is a page, nothing runs in it and nobody frames it (threats 20 and 38).
fn assert_page_is_closed(name: &str, answer: &Answer) {
    let kind = answer.header("content-type").unwrap_or_default();
    if !kind.starts_with("text/html") {
        return;
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    for directive in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(directive), "{name}: {policy}");
    }
    for never in ["unsafe", "*", "data:", "blob:"] {
        assert!(!policy.contains(never), "{name}: {policy}");
    }
    // Our own script makes the inbox live, and no other page.
    let script = policy.split("; ").find(|one| one.starts_with("script-src"));
    let is_live = answer.status == 200 && name.contains("/inbox");
    assert_eq!(script, is_live.then_some("script-src 'self'"), "{name}");
    assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{name}");
}

/// Contract §8: "`Cache-Control: no-store` on everything under `/oauth2` and `/api`"; and on every
/// page, because a page has a name or a token in it.
#[tokio::test]
async fn nothing_that_is_somebodys_is_kept() {
    let house = House::open();
    for (name, answer) in answers(&house).await {
        let kept = answer.header("cache-control");
        let is_public = ["/.well-known/", "/assets/", "/ca.crt"]
            .iter()
            .any(|path| name.contains(path));
        if !is_public {
            assert_eq!(kept, Some("no-store"), "{name}");
        }
    }
}

/// Contract §8: a request id each.
#[tokio::test]
async fn no_two_answers_have_the_same_name() {
    let house = House::open();
    let (first, second) = (house.get("/").await, house.get("/").await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    // A name that a client brings is not taken.
    let named = Ask::get("/").header("x-request-id", "0000000000000000000000");
    let answer = house.ask(named).await;
    assert_ne!(
        answer.header("x-request-id"),
        Some("0000000000000000000000")
    );
}

/// Contract §8: CORS where it is allowed, never with credentials, exposing `WWW-Authenticate`.
#[tokio::test]
async fn other_origins_read_what_is_open_and_nothing_else() {
    let house = House::open();
    let origin = "https://inspector.example";
    for route in ROUTES {
        let path = example(route.path);
        let ask = Ask::new(route.method.clone(), &path).header("origin", origin);
        let answer = house.ask(ask).await;
        let allowed = answer.header("access-control-allow-origin");
        let expected = (route.cors == Cors::AnyOrigin).then_some("*");
        assert_eq!(allowed, expected, "{} {path}", route.method);
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            None,
            "{path}"
        );
        if expected.is_some() {
            let exposed = answer.header("access-control-expose-headers");
            assert!(exposed.expect("a list").contains("WWW-Authenticate"));
        }
    }
    let open: Vec<_> = ROUTES
        .iter()
        .filter(|route| route.cors == Cors::AnyOrigin)
        .map(|route| route.path)
        .collect();
    for path in [
        "/oauth2/token",
        "/oauth2/register",
        "/oauth2/revoke",
        "/mcp",
        "/token",
        "/register",
    ] {
        assert!(open.contains(&path), "{path}");
    }
    for path in [
        "/oauth2/authorize",
        "/authorize",
        "/account",
        "/sign-in",
        "/",
    ] {
        assert!(!open.contains(&path), "{path}");
    }
}

/// Contract §8; `mcp.md` D1: a preflight is answered where scripts may call, without a credential.
#[tokio::test]
async fn a_preflight_names_what_a_script_may_send() {
    let house = House::open();
    let ask = |path: &str| {
        Ask::new(Method::OPTIONS, path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,content-type,mcp-protocol-version",
            )
    };
    for path in ["/oauth2/token", "/oauth2/register", "/oauth2/revoke"] {
        let answer = house.ask(ask(path)).await.expect(204);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{path}"
        );
        let methods = answer
            .header("access-control-allow-methods")
            .expect("methods");
        assert!(methods.contains("POST"), "{path}: {methods}");
        let headers = answer
            .header("access-control-allow-headers")
            .expect("headers");
        let headers = headers.to_ascii_lowercase();
        for name in ["authorization", "content-type", "mcp-protocol-version"] {
            assert!(headers.contains(name), "{path}: {headers}");
        }
    }
    let local = ask("/mcp").header("origin", "http://localhost:6274");
    house.ask(local).await.expect(204);
    for path in ["/oauth2/authorize", "/account", "/sign-in"] {
        let answer = house.ask(ask(path)).await;
        assert!(answer.status >= 400, "{path}: {answer:#?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

/// Contract §8: "Unknown method 405 with `Allow`".
#[tokio::test]
async fn an_unknown_method_is_told_the_known_ones() {
    let house = House::open();
    for route in ROUTES {
        let path = example(route.path);
        for method in ["PATCH", "TRACE", "PROPFIND"] {
            let ask = Ask::new(method.parse().expect("a method"), &path);
            let answer = house.ask(ask).await;
            if route.access == Access::Metrics {
                // Nobody opened that page in this house, so there is none.
                answer.expect(404);
                continue;
            }
            let answer = answer.expect(405);
            let allow = answer.header("allow").expect("RFC 9110 §15.5.6");
            let known: Vec<_> = allow.split(", ").collect();
            assert!(known.contains(&route.method.as_str()), "{path}: {allow}");
            assert!(!known.contains(&method), "{path}: {allow}");
        }
    }
}

/// Contract §8: "`HEAD` wherever `GET`": the same head, and nothing behind it.
#[tokio::test]
async fn head_is_answered_wherever_get_is() {
    let house = House::open();
    for route in ROUTES.iter().filter(|route| route.method == Method::GET) {
        let path = example(route.path);
        let get = house.get(&path).await;
        let head = house.ask(Ask::new(Method::HEAD, &path)).await;
        assert_eq!(
            (head.status, head.body.as_str()),
            (get.status, ""),
            "{path}"
        );
        let length = head.header("content-length").expect("a length");
        assert_eq!(length, get.body.len().to_string(), "{path}");
        for name in [
            "content-type",
            "location",
            "cache-control",
            "www-authenticate",
        ] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}

/// Threat 28: headers of a proxy that nobody trusts change nothing.
#[tokio::test]
async fn forwarded_headers_of_a_stranger_are_not_believed() {
    let house = House::open();
    let ask = list_tools("/mcp")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example;proto=https;for=10.0.0.1");
    let answer = house.ask(ask).await.expect(401);
    assert!(!format!("{answer:?}").contains("evil.example"));
    assert_eq!(answer.header("strict-transport-security"), None);
}

/// Contract, head: the `Host` may be written in any case and with the default port, and is ours.
#[tokio::test]
async fn only_our_own_host_is_answered() {
    let (local, secure) = (House::open(), House::on_https());
    for (house, host, status) in [
        (&local, "localhost:8420", 200),
        (&local, "LOCALHOST:8420", 200),
        (&local, "localhost", 403),
        (&local, "localhost:8421", 403),
        (&local, "127.0.0.1:8420", 403),
        (&local, "localhost:8420.evil.example", 403),
        (&local, "evil.example", 403),
        (&secure, "box.example", 200),
        (&secure, "box.example:443", 200),
        (&secure, "box.example:80", 403),
        (&secure, "box.example.", 403),
        (&secure, "user@box.example", 403),
    ] {
        let answer = house.ask(Ask::get("/").header("host", host)).await;
        assert_eq!(answer.status, status, "{host}");
    }
    let (_, app, tokens) = secure.connected().await;
    let spelled = list_tools("/mcp").bearer(&tokens.access);
    secure
        .ask(spelled.header("host", "box.example:443"))
        .await
        .expect(200);
    assert_eq!(app.resource, "https://box.example/mcp");
}
