//! The consent page: what a client wants, in words.

use url::Url;

use crate::{
    accounts::sessions::LiveSession,
    http::params::Params,
    model::{
        effect::Effect,
        oauth2::{
            client::{Client, ClientOrigin},
            redirect_uri::RedirectKind,
            scope::ScopeSet,
        },
    },
    oauth2provider::{authorize::Authorization, resources::Resource},
    web::{
        Web,
        oauth2::authorize::{AUTHORIZE_PATH, ECHOED, REQUESTED_SCOPE},
        pages::{
            render::{frame, text},
            views::{self, ConsentPage, ScopeEffect, ScopeGroup, ScopeLine, day},
        },
    },
};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The page that asks `session`'s person.
pub fn page(
    web: &Web,
    session: &LiveSession,
    authorization: &Authorization,
    consent_token: &str,
    params: &Params,
) -> String {
    let target = &authorization.target;
    let (client, redirect) = (&target.client, &target.redirect_uri);
    text(&ConsentPage {
        frame: frame(web, Some(session)),
        client_name: client.metadata.name.to_string(),
        client_origin: origin(client),
        client_host: host(client),
        client_since: day(client.created_at),
        redirect_host: redirect.shown_host(),
        redirect_uri: redirect.to_string(),
        loopback_only: redirect.kind() == RedirectKind::Loopback,
        private_scheme: (redirect.kind() == RedirectKind::PrivateUse)
            .then(|| redirect.scheme().to_owned()),
        resource: authorization.resource.identifier().to_string(),
        scopes: groups(&authorization.resource, &authorization.scopes),
        lasts: lasts(web),
        action: AUTHORIZE_PATH.to_owned(),
        consent_token: consent_token.to_owned(),
        csrf_token: web.csrf_token(session.session.id),
        hidden: hidden(authorization, params),
    })
}

/// Who says what a client is.
pub(super) fn origin(client: &Client) -> views::ClientOrigin {
    match &client.origin {
        ClientOrigin::Administrator => views::ClientOrigin::Administrator,
        ClientOrigin::SelfRegistered => views::ClientOrigin::SelfRegistered,
        ClientOrigin::Document { url, .. } => views::ClientOrigin::Document { host: url.host() },
    }
}

/// The host of a client's own page, as it says.
pub(super) fn host(client: &Client) -> Option<String> {
    let uri = client.metadata.client_uri.as_deref();
    let url = uri.and_then(|uri| Url::parse(uri).ok());
    url.and_then(|url| url.host_str().map(str::to_owned))
}

/// For how long a grant that is given now lasts.
pub(super) fn lasts(web: &Web) -> String {
    let days = web.provider.lifetimes.refresh_absolute_ttl.as_secs() / DAY_SECONDS;
    format!("Until you take it back, at most {} days", days.max(1))
}

/// The request's own parameters, for the form to send back.
fn hidden(authorization: &Authorization, params: &Params) -> Vec<(String, String)> {
    let echoed = params.pairs().filter(|(name, _)| ECHOED.contains(name));
    echoed
        .chain([(REQUESTED_SCOPE, authorization.scopes.to_string().as_str())])
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The scopes in words, by what they let a client do.
pub(super) fn groups(resource: &Resource, scopes: &ScopeSet) -> Vec<ScopeGroup> {
    use ScopeEffect::{Adds, Changes, Destroys, Reads};
    [Reads, Adds, Changes, Destroys]
        .into_iter()
        .map(|effect| ScopeGroup {
            effect,
            scopes: scopes
                .iter()
                .filter(|name| shown_effect(resource.effect_of(name)) == effect)
                .map(|name| line(resource, name))
                .collect(),
        })
        .filter(|group| !group.scopes.is_empty())
        .collect()
}

fn line(resource: &Resource, name: &str) -> ScopeLine {
    ScopeLine {
        name: name.to_owned(),
        words: resource.words_of(name).to_owned(),
        can_untick: resource.can_leave_out(name),
    }
}

const fn shown_effect(effect: Effect) -> ScopeEffect {
    match effect {
        Effect::Reads => ScopeEffect::Reads,
        Effect::Adds | Effect::AddsOnce => ScopeEffect::Adds,
        Effect::Changes => ScopeEffect::Changes,
        Effect::Destroys => ScopeEffect::Destroys,
    }
}
