//! How long everything that ends lasts.

use std::time::Duration;

use crate::config::{
    ConfigError, setting,
    setting::Setting,
    sources::{Given, Sources},
    value::in_one_unit,
};

/// How long everything that ends lasts.
///
/// # Units
/// Whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// An access token.
    pub access_ttl: Duration,
    /// A refresh token that nobody uses; never shorter than `access_ttl`.
    pub refresh_idle_ttl: Duration,
    /// A refresh token family, used or not; never shorter than `access_ttl`.
    pub refresh_absolute_ttl: Duration,
    /// An authorization code.
    pub code_ttl: Duration,
    /// How long the direct predecessor of a refresh token answers with its successor.
    pub replay_window: Duration,
    /// A browser session that nobody uses.
    pub session_idle_ttl: Duration,
    /// A browser session, used or not.
    pub session_absolute_ttl: Duration,
    /// How long a consent page can be answered.
    pub consent_ttl: Duration,
    /// How long the first owner's link works.
    pub claim_ttl: Duration,
    /// How long a self-registered client waits for somebody's approval.
    pub unapproved_client_ttl: Duration,
    /// An entry of the audit log.
    pub audit_kept: Duration,
    /// A notification.
    pub notifications_kept: Duration,
}

impl Lifetimes {
    pub(super) fn load(sources: &Sources<'_>) -> Result<Self, ConfigError> {
        let get = |setting: &'static Setting| sources.get(setting)?.lifetime();
        let access = sources.get(&setting::TOKEN_ACCESS_TTL)?;
        Ok(Self {
            access_ttl: access.lifetime()?,
            refresh_idle_ttl: refresh_ttl(sources, &setting::TOKEN_REFRESH_IDLE_TTL, &access)?,
            refresh_absolute_ttl: refresh_ttl(
                sources,
                &setting::TOKEN_REFRESH_ABSOLUTE_TTL,
                &access,
            )?,
            code_ttl: get(&setting::TOKEN_CODE_TTL)?,
            replay_window: get(&setting::TOKEN_REPLAY_WINDOW)?,
            session_idle_ttl: get(&setting::SESSION_IDLE_TTL)?,
            session_absolute_ttl: get(&setting::SESSION_ABSOLUTE_TTL)?,
            consent_ttl: get(&setting::CONSENT_TTL)?,
            claim_ttl: get(&setting::CLAIM_TTL)?,
            unapproved_client_ttl: get(&setting::CLIENT_UNAPPROVED_TTL)?,
            audit_kept: get(&setting::AUDIT_KEPT)?,
            notifications_kept: get(&setting::NOTIFICATIONS_KEPT)?,
        })
    }
}

/// A refresh token that ends before its access token could never be used.
fn refresh_ttl(
    sources: &Sources<'_>,
    setting: &'static Setting,
    access: &Given,
) -> Result<Duration, ConfigError> {
    let refresh = sources.get(setting)?;
    let (refresh_ttl, access_ttl) = (refresh.lifetime()?, access.lifetime()?);
    if refresh_ttl < access_ttl {
        let access_ttl = in_one_unit(access_ttl);
        let refresh_ttl = in_one_unit(refresh_ttl);
        return Err(refresh.wrong(format!(
            "expected at least the {access_ttl} of {}, found {refresh_ttl}",
            access.place()
        )));
    }
    Ok(refresh_ttl)
}
