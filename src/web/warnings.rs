//! Telling a person that somebody tries to sign in as them.

use std::sync::Arc;

use crate::{
    audit::Act,
    http::request::Head,
    model::{audit::Actor, notification::Template, user::UserName},
    notifications,
    store::{StoreError, users},
    web::{
        Web,
        credentials::by,
        throttle::{Endpoint, Per, Subject, Wait},
    },
};

impl Web {
    /// Takes one try at the password of `account` by a request.
    ///
    /// Where the account has had too many, its person is told, once an hour at the most. Nobody
    /// waits for that: how long an answer takes must not say whether there is such an account.
    pub(super) fn check_sign_in(&self, head: &Head, account: &str) -> Result<(), Wait> {
        let throttle = &self.throttle;
        let checked = throttle.check_sign_in(head.now, account, head.remote);
        if checked.is_err_and(|wait| wait.per == Per::Account) {
            self.warn_of_tries(head, account);
        }
        checked
    }

    fn warn_of_tries(&self, head: &Head, account: &str) {
        let Ok(name) = account.parse::<UserName>() else {
            return;
        };
        let is_known = self.store.read(|tx| users::find_by_name(tx, &name));
        let subject = Subject::Account(account);
        let is_due = |web: &Self| {
            web.throttle
                .check(head.now, Endpoint::SignInWarning, subject)
        };
        // What cannot be known now is known at the next try.
        if !matches!(is_known, Ok(Some(_))) || is_due(self).is_err() {
            return;
        }
        let (by, entropy) = (by(head, Actor::Keystead), Arc::clone(&self.entropy));
        let warned = self.store.write(move |tx| {
            let Some(user) = users::find_by_name(tx, &name)? else {
                return Ok(());
            };
            let act = Act {
                now: by.at,
                entropy: &*entropy,
                by: &by,
            };
            let from = by
                .address
                .map_or_else(String::new, |address| format!("from {address}"));
            let message = notifications::message(Template::SignInThrottled, &from, Vec::new());
            notifications::send(tx, act, user.id, message).map(drop)
        });
        tokio::spawn(async move {
            let warned: Result<(), StoreError> = warned.await;
            if let Err(fault) = warned {
                tracing::error!(%fault, "nobody could be told of too many sign-ins");
            }
        });
    }
}
