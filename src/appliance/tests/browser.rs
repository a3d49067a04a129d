//! A person at a browser: cookies are kept, forms are read from the page and sent; nothing is
//! followed by itself.

use std::collections::BTreeMap;

use http::{Method, header::SET_COOKIE};

use super::{
    client_app::ClientApp,
    house::{House, Tokens},
    wire::{Answer, Ask, Fields},
};
use crate::web::pages::markup;

/// A browser with its cookies.
#[derive(Clone)]
pub(super) struct Browser<'house> {
    house: &'house House,
    cookies: BTreeMap<String, String>,
}

impl<'house> Browser<'house> {
    pub(super) fn new(house: &'house House) -> Self {
        Self {
            house,
            cookies: BTreeMap::new(),
        }
    }

    /// Keeps a cookie as if it had been set.
    pub(super) fn keep(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// `ask` as this browser would send it: with its cookies, for a page, and from our own origin
    /// where it changes something.
    pub(super) fn dress(&self, ask: Ask) -> Ask {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut ask = ask.header("accept", "text/html,*/*;q=0.8");
        if !cookies.is_empty() {
            ask = ask.header("cookie", &cookies.join("; "));
        }
        if ask.method == Method::POST && !ask.headers.contains_key("origin") {
            ask = ask.header("origin", self.house.public_url);
        }
        ask
    }

    /// What `app` gets for `scope` at `resource`, everything on its page allowed by this person.
    pub(super) async fn connect(&self, app: &ClientApp, scope: &str, resource: &str) -> Tokens {
        let request = app.request().with("scope", scope);
        let request = request.with("resource", resource);
        let code = self.allow(&request.with("prompt", "consent")).await.code();
        Tokens::of(&self.house.token(&app.exchange(&code)).await)
    }

    /// Sends without keeping what is set.
    pub(super) async fn send(&self, ask: Ask) -> Answer {
        self.house.ask(self.dress(ask)).await
    }

    pub(super) async fn get(&self, target: &str) -> Answer {
        self.send(Ask::get(target)).await
    }

    pub(super) async fn post(&self, target: &str, fields: &Fields) -> Answer {
        self.send(Ask::form(target, fields)).await
    }

    /// Sends, and keeps the cookies of the answer.
    pub(super) async fn visit(&mut self, ask: Ask) -> Answer {
        let answer = self.send(ask).await;
        for set in answer.headers.get_all(SET_COOKIE) {
            let set = set.to_str().expect("a cookie is text");
            let (pair, attributes) = set.split_once(';').expect("a cookie has attributes");
            let (name, value) = pair.split_once('=').expect("a cookie has a value");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.keep(name, value);
            }
        }
        answer
    }

    /// Opens a page and returns its form that goes to `action`.
    pub(super) async fn open_form(&mut self, page: &str, action: &str) -> Form {
        let answer = self.visit(Ask::get(page)).await.expect(200);
        Form::find(&answer.body, action)
    }

    /// Sends a form, and keeps the cookies of the answer.
    pub(super) async fn submit(&mut self, form: &Form) -> Answer {
        self.visit(Ask::form(&form.action, &form.fields)).await
    }

    /// What the authorization endpoint says to a client's request.
    pub(super) async fn authorize(&self, request: &Fields) -> Answer {
        self.get(&format!("/oauth2/authorize?{}", request.encoded()))
            .await
    }

    /// The form of the consent page that a client's request leads to.
    pub(super) async fn consent(&self, request: &Fields) -> Form {
        let answer = self.authorize(request).await.expect(200);
        Form::find(&answer.body, "/oauth2/authorize")
    }

    /// What becomes of a client's request when everything on its page is allowed.
    pub(super) async fn allow(&self, request: &Fields) -> Answer {
        self.decide(&self.consent(request).await.fields).await
    }

    /// What becomes of a consent page that is sent with Allow.
    pub(super) async fn decide(&self, fields: &Fields) -> Answer {
        let fields = fields.clone().with("decision", "allow");
        self.post("/oauth2/authorize", &fields).await
    }

    /// The token of the forms of the account page.
    pub(super) async fn csrf_token(&self) -> String {
        let page = self.get("/account").await.expect(200);
        let form = Form::find(&page.body, "/sign-out");
        form.fields.get("csrf_token").expect("a token").to_owned()
    }
}

/// A form as a page gave it, every box ticked.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) action: String,
    pub(super) fields: Fields,
}

impl Form {
    /// The first form of the page that goes to `action`.
    #[track_caller]
    pub(super) fn find(page: &str, action: &str) -> Self {
        Self::all(page)
            .into_iter()
            .find(|form| form.action == action)
            .unwrap_or_else(|| panic!("no form to {action}:\n{page}"))
    }

    /// Every form of the page.
    pub(super) fn all(page: &str) -> Vec<Self> {
        let sources = page.split("<form").skip(1);
        sources
            .map(|source| Self::parse(&format!("<form{source}")))
            .collect()
    }

    fn parse(source: &str) -> Self {
        let (source, _) = source.split_once("</form>").expect("a form ends");
        let tags = markup::tags(source);
        let action = tags[0].attribute("action").expect("a form has an action");
        let mut fields = Fields::default();
        for input in tags.iter().filter(|tag| tag.name == "input") {
            if let Some(name) = input.attribute("name") {
                let value = unescape(input.attribute("value").unwrap_or_default());
                fields = fields.and(&[(name, &value)]);
            }
        }
        Self {
            action: unescape(action),
            fields,
        }
    }

    /// The form with that written into its field.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        assert!(self.fields.get(name).is_some(), "no field {name}");
        self.fields = self.fields.with(name, value);
        self
    }
}

/// The text that a page shows where the template engine escaped it.
pub(super) fn unescape(text: &str) -> String {
    let text = text.replace("&#60;", "<").replace("&#62;", ">");
    let text = text.replace("&#34;", "\"").replace("&#39;", "'");
    text.replace("&#38;", "&")
}
