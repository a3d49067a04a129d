//! Every scope that there is to be given: those of this deployment, of its upstreams and of the
//! resource servers.

use std::collections::BTreeSet;

use crate::{
    model::{
        effect::Effect,
        oauth2::scope::{Minimal, SCOPES, ScopeSet},
        upstream::Upstream,
    },
    oauth2provider::upstreams,
    store::{Read, StoreError, resource_servers},
};

/// A scope, wherever it opens something.
#[derive(Clone, Debug)]
pub struct KnownScope {
    /// Its name.
    pub name: String,
    /// What it lets a client do.
    pub effect: Effect,
    /// What a person reads at consent.
    pub words: String,
    /// Whether it is granted when nothing is asked for, where it opens something.
    pub minimal: Minimal,
}

/// Every scope, beside upstreams that are `configured`; of those that share a name the first, which
/// is this deployment's if it has one.
pub fn list(tx: &dyn Read, configured: &[Upstream]) -> Result<Vec<KnownScope>, StoreError> {
    let own = SCOPES.iter().map(|scope| KnownScope {
        name: scope.name.to_owned(),
        effect: scope.effect,
        words: scope.words.to_owned(),
        minimal: scope.minimal,
    });
    let upstreams = upstreams::list_beside(tx, configured)?;
    let of_upstreams = upstreams.iter().flat_map(|upstream| upstream.name.scopes());
    let of_upstreams = of_upstreams.map(|scope| KnownScope {
        name: scope.name,
        effect: scope.effect,
        words: scope.words,
        minimal: Minimal::No,
    });
    let servers = resource_servers::list(tx)?;
    let of_servers = servers.iter().flat_map(|server| {
        let minimal = server.minimal_scopes();
        let known = server.scopes.iter();
        known.map(move |scope| KnownScope {
            name: scope.name().to_owned(),
            effect: scope.effect(),
            words: scope.words().to_owned(),
            minimal: if minimal.contains(scope.name()) {
                Minimal::Yes
            } else {
                Minimal::No
            },
        })
    });
    let mut seen = BTreeSet::new();
    let all = own.chain(of_upstreams).chain(of_servers);
    Ok(all
        .filter(|scope| seen.insert(scope.name.clone()))
        .collect())
}

/// Those of `asked` that there are not.
pub fn unknown(
    tx: &dyn Read,
    configured: &[Upstream],
    asked: &ScopeSet,
) -> Result<ScopeSet, StoreError> {
    let known = list(tx, configured)?;
    Ok(asked.filtered(|name| !known.iter().any(|scope| scope.name == name)))
}
