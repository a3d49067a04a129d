//! What goes over the wire: a form or a query, a request, an answer.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// Pairs of a query or of a form, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        Self::default().and(pairs)
    }

    /// These and `pairs`, whether or not their names are there.
    pub(super) fn and(mut self, pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.0.extend(pairs.iter().map(owned));
        self
    }

    /// These, with `value` as the only one of `name`.
    pub(super) fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(&[(name, value)])
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// These, without the one box `name` that has `value`.
    pub(super) fn unticked(mut self, name: &str, value: &str) -> Self {
        let before = self.0.len();
        self.0.retain(|(known, of)| !(known == name && of == value));
        assert_eq!(self.0.len() + 1, before, "no box {name}={value}");
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.0.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn encoded(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.0)
            .finish()
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Ask {
    pub(super) fn new(method: Method, target: &str) -> Self {
        Self {
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub(super) fn form(target: &str, fields: &Fields) -> Self {
        Self::new(Method::POST, target)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(fields.encoded())
    }

    pub(super) fn json(target: &str, value: &Value) -> Self {
        Self::new(Method::POST, target)
            .header("content-type", "application/json")
            .body(value.to_string())
    }

    /// The same with that header, in place of any other of its name.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).expect("a header");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub(super) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    /// The same answer, which has to have that status.
    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let value = self.headers.get(name)?;
        Some(value.to_str().expect("a header that is text"))
    }

    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:#?}"))
    }

    /// The member of that name, which has to be a text.
    #[track_caller]
    pub(super) fn text(&self, name: &str) -> String {
        let body = self.json();
        let text = body[name].as_str();
        text.unwrap_or_else(|| panic!("no {name}: {body}"))
            .to_owned()
    }

    /// Asserts that it is that error of OAuth; returns the description.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, error: &str) -> String {
        let found = (self.status, self.json()["error"].clone());
        assert_eq!(found, (status, error.into()), "{self:#?}");
        self.text("error_description")
    }

    /// Where the browser is sent.
    #[track_caller]
    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, 303, "{self:#?}");
        self.header("location").expect("a redirect has a location")
    }

    /// What is told to the client that the browser is sent to.
    #[track_caller]
    pub(super) fn told(&self) -> Fields {
        let url = Url::parse(self.location()).unwrap_or_else(|_| panic!("no URL: {self:#?}"));
        let pairs = url.query_pairs().into_owned().collect();
        Fields(pairs)
    }

    /// Asserts that the client is told that error; returns the description.
    #[track_caller]
    pub(super) fn told_error(&self, error: &str) -> String {
        let told = self.told();
        assert_eq!(told.get("error"), Some(error), "{told:?}");
        assert_eq!(told.get("code"), None, "{told:?}");
        let description = told.get("error_description");
        description.expect("an error is described").to_owned()
    }

    /// The code that the client is told.
    #[track_caller]
    pub(super) fn code(&self) -> String {
        let told = self.told();
        let code = told.get("code");
        code.unwrap_or_else(|| panic!("no code: {told:?}"))
            .to_owned()
    }
}
