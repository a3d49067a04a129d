//! The consent page: what a client wants, in words.

use url::Url;

use crate::{
    accounts::sessions::LiveSession,
    http::params::Params,
    model::{
        effect::Effect,
        oauth2::{
            client::ClientOrigin,
            redirect_uri::RedirectKind,
            scope::{ScopeSet, find_definition},
        },
    },
    oauth2provider::authorize::Authorization,
    web::{
        Web,
        oauth2::authorize::{AUTHORIZE_PATH, ECHOED, REQUESTED_SCOPE, can_untick},
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
    let metadata = &client.metadata;
    let host = metadata
        .client_uri
        .as_deref()
        .and_then(|uri| Url::parse(uri).ok());
    let days = web.provider.lifetimes.refresh_absolute_ttl.as_secs() / DAY_SECONDS;
    text(&ConsentPage {
        frame: frame(web, Some(session)),
        client_name: metadata.name.to_string(),
        client_origin: match &client.origin {
            ClientOrigin::Administrator => views::ClientOrigin::Administrator,
            ClientOrigin::SelfRegistered => views::ClientOrigin::SelfRegistered,
            ClientOrigin::Document { url, .. } => {
                views::ClientOrigin::Document { host: url.host() }
            }
        },
        client_host: host.and_then(|url| url.host_str().map(str::to_owned)),
        client_since: day(client.created_at),
        redirect_host: redirect.shown_host(),
        redirect_uri: redirect.to_string(),
        loopback_only: redirect.kind() == RedirectKind::Loopback,
        private_scheme: (redirect.kind() == RedirectKind::PrivateUse)
            .then(|| redirect.scheme().to_owned()),
        resource: authorization.resource.to_string(),
        scopes: groups(&authorization.scopes),
        lasts: format!("Until you take it back, at most {} days", days.max(1)),
        action: AUTHORIZE_PATH.to_owned(),
        consent_token: consent_token.to_owned(),
        csrf_token: web.csrf_token(session.session.id),
        hidden: hidden(authorization, params),
    })
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
fn groups(scopes: &ScopeSet) -> Vec<ScopeGroup> {
    use ScopeEffect::{Adds, Changes, Destroys, Reads};
    [Reads, Adds, Changes, Destroys]
        .into_iter()
        .map(|effect| ScopeGroup {
            effect,
            scopes: scopes
                .iter()
                .filter(|name| effect_of(name) == effect)
                .map(line)
                .collect(),
        })
        .filter(|group| !group.scopes.is_empty())
        .collect()
}

fn line(name: &str) -> ScopeLine {
    ScopeLine {
        name: name.to_owned(),
        words: words_of(name).to_owned(),
        can_untick: can_untick(name),
    }
}

/// The words for a scope; its name where there are none.
pub(super) fn words_of(name: &str) -> &str {
    find_definition(name).map_or(name, |scope| scope.words)
}

/// What is not known counts as the gravest.
fn effect_of(name: &str) -> ScopeEffect {
    match find_definition(name).map(|scope| scope.effect) {
        Some(Effect::Reads) => ScopeEffect::Reads,
        Some(Effect::Adds | Effect::AddsOnce) => ScopeEffect::Adds,
        Some(Effect::Changes) => ScopeEffect::Changes,
        Some(Effect::Destroys) | None => ScopeEffect::Destroys,
    }
}
