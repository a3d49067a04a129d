//! The table of routes, and finding the one that a request is for.

use std::{collections::HashMap, ops::Deref, pin::Pin, sync::Arc};

use http::Method;
use percent_encoding::percent_decode_str;

use crate::http::{dispatch::Application, request::Request, response::Response};

/// What a handler becomes when it is called.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

/// A handler: the application, the request with its body, and who the caller turned out to be.
pub type Handler<A> = fn(Arc<A>, Request, <A as Application>::Caller) -> HandlerFuture;

/// Whether scripts of other origins may read the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// No: a page, or something that a cookie opens.
    Never,
    /// Those of any origin, without credentials of the browser's own.
    AnyOrigin,
}

/// What becomes of a handler when its client hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHangUp {
    /// It runs to its end: it may have begun a write.
    Finish,
    /// It is dropped where it waits: no one is there to read the answer.
    Cancel,
}

/// One row of the table: what is served where, to whom, and by what.
///
/// [`route!`](crate::http::route::route) makes one.
#[derive(Debug)]
pub struct Route<A: Application> {
    /// The method; `GET` answers `HEAD` as well.
    pub method: Method,
    /// The path: `/apps/{id}/secrets` captures one segment, never an empty one; a trailing
    /// `{*rest}` captures all that is left, even nothing.
    pub path: &'static str,
    /// What it asks of its caller.
    pub access: A::Access,
    /// The longest body it reads, in bytes; with 0 a body of a `GET` is ignored.
    pub body_bytes_max: usize,
    /// Whether scripts of other origins may read the answers.
    pub cors: Cors,
    /// What becomes of the handler when its client hangs up.
    pub on_hang_up: OnHangUp,
    /// What answers.
    pub handler: Handler<A>,
}

impl<A: Application> Route<A> {
    /// A route without a body, closed to other origins, whose handler runs to its end.
    pub const fn new(
        method: Method,
        path: &'static str,
        access: A::Access,
        handler: Handler<A>,
    ) -> Self {
        Self {
            method,
            path,
            access,
            body_bytes_max: 0,
            cors: Cors::Never,
            on_hang_up: OnHangUp::Finish,
            handler,
        }
    }

    /// The same with bodies of up to `bytes_max`.
    #[must_use]
    pub const fn body_bytes_max(mut self, bytes_max: usize) -> Self {
        self.body_bytes_max = bytes_max;
        self
    }

    /// The same, with another rule for other origins.
    #[must_use]
    pub const fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// The same, with another rule for a client that hangs up.
    #[must_use]
    pub const fn on_hang_up(mut self, on_hang_up: OnHangUp) -> Self {
        self.on_hang_up = on_hang_up;
        self
    }
}

/// A row of a table of routes, from a method, a path, an access and the name of an `async fn`.
///
/// ```text
/// route!(POST "/oauth2/token", Access::Anyone, token::post).body_bytes_max(FORM_BYTES_MAX)
/// ```
#[macro_export]
macro_rules! route {
    ($method:ident $path:literal, $access:expr, $handler:path) => {
        $crate::http::route::Route::new(
            ::http::Method::$method,
            $path,
            $access,
            |app, request, caller| ::std::boxed::Box::pin($handler(app, request, caller)),
        )
    };
}
pub use crate::route;

/// The captured parts of a path, percent-decoded. One can be a secret, so that there is no `Debug`.
#[derive(Clone, Default)]
pub struct Captures(Vec<(&'static str, String)>);

impl Captures {
    /// What `{name}` stands for.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(known, _)| *known == name)?;
        Some(text)
    }
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// No pattern has that shape.
    PathUnknown,
    /// A captured part is not UTF-8 in percent-encoding.
    CaptureMalformed,
}

/// A route, and which row of the table it is.
pub(crate) struct Row<A: Application> {
    pub(crate) route: &'static Route<A>,
    pub(crate) place: usize,
}

impl<A: Application> Clone for Row<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Application> Copy for Row<A> {}

impl<A: Application> Deref for Row<A> {
    type Target = Route<A>;

    fn deref(&self) -> &Route<A> {
        self.route
    }
}

/// All routes of one path, and what the path captured.
pub(crate) struct Found<'index, A: Application> {
    pub(crate) routes: &'index [Row<A>],
    pub(crate) captures: Captures,
}

impl<A: Application> Clone for Found<'_, A> {
    fn clone(&self) -> Self {
        Self {
            routes: self.routes,
            captures: self.captures.clone(),
        }
    }
}

impl<A: Application> Found<'_, A> {
    /// The route of `method`; that of `GET` for `HEAD` (RFC 9110 §9.3.2).
    pub(crate) fn by_method(&self, method: &Method) -> Option<Row<A>> {
        let of = |method: &Method| {
            self.routes
                .iter()
                .copied()
                .find(|row| row.method == *method)
        };
        of(method).or_else(|| {
            (*method == Method::HEAD)
                .then(|| of(&Method::GET))
                .flatten()
        })
    }

    /// The methods of this path as `Allow` lists them.
    pub(crate) fn allow(&self) -> String {
        let mut methods: Vec<&str> = self
            .routes
            .iter()
            .map(|route| route.method.as_str())
            .collect();
        if methods.contains(&"GET") && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        if self
            .routes
            .iter()
            .any(|route| route.cors == Cors::AnyOrigin)
        {
            methods.push("OPTIONS");
        }
        methods.join(", ")
    }
}

/// The table, arranged once for finding: whole paths by hash, patterns in the order of the table.
pub(crate) struct Index<A: Application> {
    whole: HashMap<&'static str, Vec<Row<A>>>,
    patterns: Vec<(&'static str, Vec<Row<A>>)>,
}

impl<A: Application> Index<A> {
    pub(crate) fn new(routes: &'static [Route<A>]) -> Self {
        let (mut whole, mut patterns) = (HashMap::new(), Vec::new());
        for (place, route) in routes.iter().enumerate() {
            let row = Row { route, place };
            if !route.path.contains('{') {
                whole.entry(route.path).or_insert_with(Vec::new).push(row);
                continue;
            }
            match patterns
                .iter_mut()
                .find(|(path, _): &&mut (&str, Vec<_>)| *path == route.path)
            {
                Some((_, known)) => known.push(row),
                None => patterns.push((route.path, vec![row])),
            }
        }
        Self { whole, patterns }
    }

    /// The routes of `path`: a path without captures first, then the first pattern of the table.
    pub(crate) fn find(&self, path: &str) -> Result<Found<'_, A>, NoRoute> {
        if let Some(routes) = self.whole.get(path) {
            return Ok(Found {
                routes,
                captures: Captures::default(),
            });
        }
        let (pattern, routes) = self
            .patterns
            .iter()
            .find(|(pattern, _)| matches(pattern, path))
            .ok_or(NoRoute::PathUnknown)?;
        let captures = capture(pattern, path).ok_or(NoRoute::CaptureMalformed)?;
        Ok(Found { routes, captures })
    }
}

/// Whether `path` has the shape of `pattern`.
fn matches(pattern: &'static str, path: &str) -> bool {
    let fits = |part: Part, text: &str| match part {
        Part::Literal(literal) => literal == text,
        Part::One(_) => !text.is_empty(),
        Part::Rest(_) => true,
    };
    walk(pattern, path, |part, text| fits(part, text).then_some(())).is_some()
}

/// What `path` has where `pattern` captures; `None` if it is not UTF-8 in percent-encoding.
fn capture(pattern: &'static str, path: &str) -> Option<Captures> {
    let mut captures = Captures::default();
    walk(pattern, path, |part, text| {
        if let Part::One(name) | Part::Rest(name) = part {
            captures.0.push((name, decode(text)?));
        }
        Some(())
    })?;
    Some(captures)
}

enum Part {
    Literal(&'static str),
    One(&'static str),
    Rest(&'static str),
}

impl Part {
    fn new(text: &'static str) -> Self {
        match text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
        {
            Some(name) => match name.strip_prefix('*') {
                Some(name) => Self::Rest(name),
                None => Self::One(name),
            },
            None => Self::Literal(text),
        }
    }
}

/// Calls `visit` with each part of `pattern` and the text in its place; `None` where the shapes
/// differ or `visit` said so.
fn walk(
    pattern: &'static str,
    path: &str,
    mut visit: impl FnMut(Part, &str) -> Option<()>,
) -> Option<()> {
    let mut left = Some(path.strip_prefix('/')?);
    for part in pattern.strip_prefix('/')?.split('/') {
        let part = Part::new(part);
        if let Part::Rest(_) = part {
            return visit(part, left.unwrap_or_default());
        }
        let (text, after) = match left?.split_once('/') {
            Some((text, after)) => (text, Some(after)),
            None => (left?, None),
        };
        visit(part, text)?;
        left = after;
    }
    left.is_none().then_some(())
}

/// `text` without percent-encoding. A `%` that begins no byte is an error and not a percent sign.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut after_percent = text.split('%');
    after_percent.next();
    let whole = |digits: &str| {
        let digits = digits.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    };
    if !after_percent.all(whole) {
        return None;
    }
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::{
        response::empty,
        testing::{Access, App},
    };

    async fn none(_: Arc<App>, _: Request, _: &'static str) -> Response {
        empty(http::StatusCode::NO_CONTENT)
    }

    static TABLE: [Route<App>; 8] = [
        route!(GET "/", Access::Anyone, none),
        route!(GET "/apps/{id}", Access::Anyone, none),
        route!(GET "/apps/{id}/secrets/{sid}", Access::Anyone, none),
        route!(GET "/apps/mine", Access::Anyone, none),
        route!(DELETE "/apps/{id}", Access::Anyone, none),
        route!(GET "/files/{*rest}", Access::Anyone, none),
        route!(GET "/files/{one}", Access::Anyone, none),
        route!(POST "/files/one", Access::Anyone, none).cors(Cors::AnyOrigin),
    ];

    fn find(path: &str) -> Result<Found<'static, App>, NoRoute> {
        let index = Box::leak(Box::new(Index::new(&TABLE)));
        index.find(path)
    }

    fn pattern(path: &str) -> Option<&'static str> {
        find(path).ok().map(|found| found.routes[0].path)
    }

    #[test]
    fn a_path_finds_its_route() {
        for (path, expected) in [
            ("/", "/"),
            ("/apps/1", "/apps/{id}"),
            // A path without captures comes first, whatever the order of the table.
            ("/apps/mine", "/apps/mine"),
            ("/apps/1/secrets/2", "/apps/{id}/secrets/{sid}"),
            // Of two patterns, the first of the table.
            ("/files/x", "/files/{*rest}"),
            ("/files", "/files/{*rest}"),
            ("/files/", "/files/{*rest}"),
        ] {
            assert_eq!(pattern(path), Some(expected), "{path}");
        }
    }

    #[test]
    fn another_shape_is_another_path() {
        for path in [
            "",
            "*",
            "apps/1",
            "//",
            "/apps",
            "/apps/",
            "/apps//",
            "/apps/1/",
            "/Apps/1",
            "/apps/1/secrets",
            "/apps/1/secrets/",
            "/apps//secrets/2",
            "/filesx",
            "/apps/mine/",
        ] {
            assert_eq!(find(path).err(), Some(NoRoute::PathUnknown), "{path}");
        }
    }

    #[test]
    fn captures_are_decoded_once() {
        let captured = |path: &str, name: &str| {
            let found = find(path).expect("a route");
            found.captures.get(name).map(str::to_owned)
        };
        assert_eq!(captured("/apps/a%20b", "id").as_deref(), Some("a b"));
        assert_eq!(captured("/apps/a%2Fb", "id").as_deref(), Some("a/b"));
        assert_eq!(captured("/apps/%2541", "id").as_deref(), Some("%41"));
        assert_eq!(captured("/apps/a+b", "id").as_deref(), Some("a+b"));
        assert_eq!(captured("/apps/1/secrets/2", "sid").as_deref(), Some("2"));
        assert_eq!(captured("/apps/1", "sid"), None);
        assert_eq!(captured("/files", "rest").as_deref(), Some(""));
        assert_eq!(captured("/files/a/b/", "rest").as_deref(), Some("a/b/"));
    }

    #[test]
    fn a_capture_that_is_no_text_is_malformed() {
        for path in [
            "/apps/%",
            "/apps/%4",
            "/apps/%zz",
            "/apps/%ff",
            "/files/a/%C3",
        ] {
            assert_eq!(find(path).err(), Some(NoRoute::CaptureMalformed), "{path}");
        }
    }

    #[test]
    fn allow_lists_what_is_answered() {
        let allow = |path: &str| find(path).expect("a route").allow();
        assert_eq!(allow("/apps/1"), "GET, DELETE, HEAD");
        assert_eq!(allow("/files/one"), "POST, OPTIONS");
    }

    #[test]
    fn head_is_answered_by_get() {
        let found = find("/apps/1").expect("a route");
        let method = |method| found.by_method(&method).map(|route| route.method.clone());
        assert_eq!(method(Method::HEAD), Some(Method::GET));
        assert_eq!(method(Method::DELETE), Some(Method::DELETE));
        assert_eq!(method(Method::PUT), None);
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "(/|[a-z%{}*]|apps|files){0,8}") {
            let _ = find(&path);
        }
    }
}
