//! The device grant: a device shows a code, a person types it elsewhere and answers, and the
//! device, which has been asking all along, gets its tokens. RFC 8628.
//!
//! The browser that opens a code is the only one that can answer it (threat 14).

use crate::{
    audit,
    crypto::{digest::Digest, keyed::Purpose},
    model::{
        audit::{Action, Change, Object},
        credential::{Credential, CredentialKind},
        id::Id,
        oauth2::{
            client::{Client, GrantType},
            device::{DeviceAuthorization, DeviceStage, UserCode},
            grant::Grant,
            resource::ResourceUri,
            scope::ScopeSet,
            token::Holder,
        },
        timestamp::Timestamp,
    },
    oauth2provider::{
        Moment, Provider,
        apps::ProvenClient,
        authorize::{ConsentError, Person, add_grant, approve_client},
        resources::{self, Asked, RequestError, Resource},
        revoke,
        tokens::{self, Entitlement, Issued, Outcome, TokenError},
    },
    store::{Read, StoreError, WriteTx, clients, devices, grants},
};

/// User codes that are tried before a device is told to come back: even with every place taken,
/// not one try in a million meets a code that is in use.
const USER_CODE_TRIES_MAX: usize = 4;

/// What a device shows, and what it asks with.
#[derive(Debug)]
pub struct Begun {
    /// What it asks with.
    pub device_code: Credential,
    /// What it shows.
    pub user_code: UserCode,
    /// When both stop working.
    pub expires_at: Timestamp,
    /// Seconds between two of its polls at the least.
    pub interval_seconds: u32,
}

/// Why a device cannot begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BeginError {
    /// The client may not use the grant type.
    #[error("expected a client that is registered for the device grant, found one that is not")]
    GrantTypeNotAllowed,
    /// It asks for something that it cannot be given.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Too many devices wait.
    #[error("too many devices are waiting for an answer; try again in a few minutes")]
    Full,
    /// The store failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Begins: the codes of a device that asks for `scopes` at `resource`.
///
/// # Source
/// RFC 8628 §3.1 and §3.2.
pub fn begin(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    client: &Client,
    scopes: Option<ScopeSet>,
    resource: Option<ResourceUri>,
) -> Result<Begun, BeginError> {
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    if !client.metadata.allows(GrantType::DeviceCode) {
        return Err(BeginError::GrantTypeNotAllowed);
    }
    let Asked { resource, scopes } = resources::ask(tx, provider, client, scopes, resource)?;
    if devices::is_full(tx)? {
        return Err(BeginError::Full);
    }
    let user_code = unused_user_code(tx, moment)?.ok_or(BeginError::Full)?;
    let device_code = Credential::generate(CredentialKind::DeviceCode, now, entropy);
    let device = DeviceAuthorization {
        id: device_code.id(),
        digest: device_code.digest(),
        user_code_digest: keyed(provider, &user_code),
        client_id: client.id,
        client_updated_at: client.updated_at,
        scopes,
        resource: resource.identifier().clone(),
        expires_at: now.after(DeviceAuthorization::TTL),
        interval_seconds: DeviceAuthorization::INTERVAL_SECONDS,
        polled_at: None,
        stage: DeviceStage::Waiting,
    };
    devices::add(tx, &device)?;
    Ok(Begun {
        device_code,
        user_code,
        expires_at: device.expires_at,
        interval_seconds: device.interval_seconds,
    })
}

fn unused_user_code(tx: &dyn Read, moment: Moment<'_>) -> Result<Option<UserCode>, StoreError> {
    for _ in 0..USER_CODE_TRIES_MAX {
        let code = UserCode::generate(moment.entropy);
        if devices::find_by_user_code(tx, &keyed(moment.provider, &code))?.is_none() {
            return Ok(Some(code));
        }
    }
    Ok(None)
}

fn keyed(provider: &Provider, code: &UserCode) -> Digest {
    let bytes = provider.key.derive(Purpose::UserCode, &[code.as_bytes()]);
    Digest::from_bytes(bytes)
}

/// Opens a code for one browser. `false` for one that is unknown, over, answered, or open in
/// another browser: who guesses learns nothing from it.
pub fn open(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    session_id: Id,
    code: &UserCode,
) -> Result<bool, StoreError> {
    let Some(mut device) = find_working(tx, moment.provider, moment.now, code)? else {
        return Ok(false);
    };
    match device.stage {
        DeviceStage::Waiting => {
            device.stage = DeviceStage::Opened { session_id };
            devices::put(tx, &device)?;
            Ok(true)
        }
        stage => Ok(stage == DeviceStage::Opened { session_id }),
    }
}

fn find_working(
    tx: &dyn Read,
    provider: &Provider,
    now: Timestamp,
    code: &UserCode,
) -> Result<Option<DeviceAuthorization>, StoreError> {
    let found = devices::find_by_user_code(tx, &keyed(provider, code))?;
    Ok(found.filter(|device| !device.expires_at.has_passed(now)))
}

/// What a person is asked about a device.
#[derive(Clone, Debug)]
pub struct DeviceRequest {
    /// Who asks.
    pub client: Client,
    /// Where.
    pub resource: Resource,
    /// For what; never empty.
    pub scopes: ScopeSet,
    device: DeviceAuthorization,
}

/// What stands behind a code that `session_id` has opened.
pub fn find_opened(
    tx: &dyn Read,
    provider: &Provider,
    now: Timestamp,
    session_id: Id,
    code: &UserCode,
) -> Result<Option<DeviceRequest>, StoreError> {
    let found = find_working(tx, provider, now, code)?;
    let Some(device) = found.filter(|d| d.stage == DeviceStage::Opened { session_id }) else {
        return Ok(None);
    };
    let client = clients::find(tx, device.client_id)?;
    let resource = resources::find(tx, provider, &device.resource)?;
    Ok(client
        .zip(resource)
        .map(|(client, resource)| DeviceRequest {
            client,
            resource,
            scopes: device.scopes.clone(),
            device,
        }))
}

/// What a person decides about a device.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may do that much.
    Allow(ScopeSet),
    /// It may do nothing.
    Deny,
}

/// Takes the answer of the person in whose browser the code is open.
///
/// # Errors
/// | variant | meaning |
/// |---|---|
/// | [`ConsentError::Foreign`] | not open in this browser, over, or answered before |
/// | [`ConsentError::Wider`] | more than was offered |
/// | [`ConsentError::ClientChanged`] | the client is not what was shown |
///
/// # Source
/// RFC 8628 §3.3; threat 14.
pub fn answer(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    code: &UserCode,
    decision: Decision,
) -> Result<(), ConsentError> {
    let Moment { provider, now, .. } = moment;
    let opened = find_opened(tx, provider, now, person.session_id, code)?;
    let mut request = opened.ok_or(ConsentError::Foreign)?;
    request.device.stage = match decision {
        Decision::Deny => {
            note_refusal(tx, moment, &request)?;
            DeviceStage::Denied
        }
        Decision::Allow(chosen) => {
            let grant_id = allow(tx, moment, person, &request, chosen)?;
            DeviceStage::Allowed { grant_id }
        }
    };
    Ok(devices::put(tx, &request.device)?)
}

fn note_refusal(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    request: &DeviceRequest,
) -> Result<(), StoreError> {
    let changes = [
        Change::to("scope", &request.scopes),
        Change::to("resource", request.resource.identifier()),
    ];
    let object = Object::Client(request.client.id);
    audit::record(tx, moment.by, Action::ConsentRefused, object, changes)
}

fn allow(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    person: Person,
    request: &DeviceRequest,
    chosen: ScopeSet,
) -> Result<Id, ConsentError> {
    let Moment {
        provider,
        now,
        entropy,
        ..
    } = moment;
    let device = &request.device;
    let wider = chosen.difference(&device.scopes);
    if !wider.is_empty() {
        return Err(ConsentError::Wider(wider));
    }
    approve_client(tx, now, device.client_id, device.client_updated_at)?;
    let grant = Grant {
        id: Id::generate(now, entropy),
        user_id: person.user_id,
        client_id: device.client_id,
        scopes: chosen,
        resource: device.resource.clone(),
        redirect_uri: None,
        created_at: now,
        expires_at: now.after(provider.lifetimes.refresh_absolute_ttl),
    };
    add_grant(tx, moment, &grant)?;
    Ok(grant.id)
}

/// Answers a device that asks: not yet, no, or its tokens, once.
///
/// # Errors
/// | variant | wire | meaning |
/// |---|---|---|
/// | [`TokenError::DevicePending`] | `authorization_pending` | nobody has answered |
/// | [`TokenError::DeviceTooFast`] | `slow_down` | and it asks too often; the interval grew |
/// | [`TokenError::DeviceDenied`] | `access_denied` | the person said no |
/// | [`TokenError::DeviceExpired`] | `expired_token` | too late |
/// | [`TokenError::DeviceReplayed`] | `invalid_grant` | it had its tokens; they are now revoked |
///
/// # Source
/// RFC 8628 §3.4 and §3.5; threats 6, 9 and 11.
pub fn poll(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    device_code: &Credential,
) -> Outcome<Issued> {
    let client = &proven.client;
    if !client.metadata.allows(GrantType::DeviceCode) {
        let found = GrantType::DeviceCode.as_str();
        return Ok(Err(TokenError::GrantTypeNotAllowed(found)));
    }
    let found = devices::find(tx, device_code.id())?;
    let Some(mut device) = found.filter(|device| device.digest == device_code.digest()) else {
        return Ok(Err(TokenError::DeviceUnknown));
    };
    // Threat 6: each of these on its own is enough to refuse.
    if device.client_id != client.id {
        return Ok(Err(TokenError::DeviceForeign));
    }
    if let DeviceStage::Exchanged { family_id } = device.stage {
        revoke::end_replayed(tx, moment, Action::CodeReplayed, family_id)?;
        return Ok(Err(TokenError::DeviceReplayed));
    }
    if device.expires_at.has_passed(moment.now) {
        return Ok(Err(TokenError::DeviceExpired));
    }
    match device.stage {
        DeviceStage::Denied => Ok(Err(TokenError::DeviceDenied)),
        DeviceStage::Allowed { grant_id } => exchange(tx, moment, proven, device, grant_id),
        _ => {
            let refusal = note_poll(moment.now, &mut device);
            devices::put(tx, &device)?;
            Ok(Err(refusal))
        }
    }
}

/// RFC 8628 §3.5: `slow_down` "MUST" increase the interval "by 5 seconds for this and all
/// subsequent requests".
fn note_poll(now: Timestamp, device: &mut DeviceAuthorization) -> TokenError {
    let too_soon = device.is_polled_too_soon(now);
    device.polled_at = Some(now);
    if !too_soon {
        return TokenError::DevicePending;
    }
    let longer = device.interval_seconds + DeviceAuthorization::SLOW_DOWN_SECONDS;
    device.interval_seconds = longer.min(DeviceAuthorization::INTERVAL_SECONDS_MAX);
    TokenError::DeviceTooFast {
        interval_seconds: device.interval_seconds,
    }
}

fn exchange(
    tx: &mut WriteTx<'_>,
    moment: Moment<'_>,
    proven: &ProvenClient,
    mut device: DeviceAuthorization,
    grant_id: Id,
) -> Outcome<Issued> {
    let Some(grant) = grants::find(tx, grant_id)? else {
        return Ok(Err(TokenError::GrantEnded));
    };
    let entitlement = Entitlement {
        holder: Holder::Person {
            user_id: grant.user_id,
            grant_id,
        },
        resource: grant.resource,
        scopes: grant.scopes,
    };
    match tokens::begin_family(tx, moment, proven, entitlement)? {
        Err(refusal) => Ok(Err(refusal)),
        Ok((family_id, issued)) => {
            device.stage = DeviceStage::Exchanged { family_id };
            devices::put(tx, &device)?;
            Ok(Ok(issued))
        }
    }
}
