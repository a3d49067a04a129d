//! `/device`: where a person types the code of a device, and answers for it. RFC 8628 §3.3.
//!
//! The address may bring the code along, which then only fills the field: until the person has sent
//! it from our page, nothing is opened, and until they have answered, nothing is allowed.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::RETRY_AFTER};

use crate::{
    accounts::sessions::LiveSession,
    http::{
        params::Params,
        request::{Head, Request},
        response::{Response, see_other},
    },
    model::{audit::Actor, oauth2::device::UserCode},
    oauth2provider::{
        authorize::ConsentError,
        device::{self, Decision, DeviceRequest},
    },
    store::StoreError,
    web::{
        Web,
        credentials::{Caller, by},
        oauth2::authorize::{chosen_scopes, person},
        pages::{
            account::signed_form,
            consent, message,
            render::{frame, page},
            views::{DeviceConsentPage, DevicePage, day},
        },
        refusals,
    },
};

/// Path of the page, as devices show it.
pub const DEVICE_PATH: &str = "/device";
/// What a code is told that opens nothing, whatever is wrong with it.
const UNKNOWN: &str = "No device waits with this code. It may be over, or open in another browser: \
                       have the device show a new one.";

/// `GET /device`.
pub async fn get(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    let query = Params::from_query(head).ok();
    let typed = query.as_ref().and_then(|query| query.get(USER_CODE).ok()?);
    // Only what can be a code is shown: the address is anybody's text.
    let code = typed.and_then(|text| text.parse::<UserCode>().ok());
    let code = code.map_or_else(String::new, |code| code.to_string());
    show(&web, StatusCode::OK, &live, &code, None)
}

/// `POST /device`: opens the code for this browser.
pub async fn post(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(refusal) => return refusal,
    };
    let tried = web
        .throttle
        .check_device_code(head.now, live.session.id, head.remote);
    if let Err(wait) = tried {
        let error = format!("Too many codes. Try again in {} seconds.", wait.seconds);
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut response = show(&web, status, &live, "", Some(error));
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.seconds));
        return response;
    }
    let typed = form.get(USER_CODE).ok().flatten().unwrap_or_default();
    let again = |error: String| show(&web, StatusCode::FORBIDDEN, &live, typed, Some(error));
    let code = match typed.parse::<UserCode>() {
        Ok(code) => code,
        Err(error) => return again(format!("Not a code: {error}.")),
    };
    let (session_id, opening) = (live.session.id, code.clone());
    let by = by(head, Actor::User(live.user.id));
    let opened = web.write(by, move |tx, moment| {
        device::open(tx, moment, session_id, &opening)
    });
    match opened.await {
        Ok(true) => see_other(&format!("/device/consent?{USER_CODE}={code}")),
        Ok(false) => again(UNKNOWN.to_owned()),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

/// `GET /device/consent`: asks about the code that this browser has opened.
pub async fn ask(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let Some(live) = caller.session() else {
        return message::signed_out(&web, head);
    };
    let query = Params::from_query(head).ok();
    let code = query.as_ref().and_then(user_code);
    match find_opened(&web, head, &live, code.as_ref()) {
        Ok(Some((request, code))) => {
            page(StatusCode::OK, &consent_view(&web, &live, &request, &code))
        }
        Ok(None) => see_other(DEVICE_PATH),
        Err(fault) => refusals::fault(&web, head, &fault),
    }
}

/// `POST /device/consent`: takes the answer.
pub async fn decide(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    let head = &request.head;
    let (live, form) = match signed_form(&web, &request, caller) {
        Ok(signed) => signed,
        Err(refusal) => return refusal,
    };
    let code = user_code(&form);
    let (asked, code) = match find_opened(&web, head, &live, code.as_ref()) {
        Ok(Some(found)) => found,
        Ok(None) => return message::consent_refused(&web, head, &live, &ConsentError::Foreign),
        Err(fault) => return refusals::fault(&web, head, &fault),
    };
    let chosen = chosen_scopes(&form, &asked.resource, &asked.scopes);
    let decision = match form.get("decision").ok().flatten() {
        // With every box unticked and nothing that has none, nothing is left to allow.
        Some("allow") if !chosen.is_empty() => Decision::Allow(chosen),
        Some("allow" | "deny") => Decision::Deny,
        _ => return message::foreign_form(&web, head),
    };
    let person = person(&live);
    let by = by(head, Actor::User(live.user.id));
    let answered = web.write(by, move |tx, moment| {
        device::answer(tx, moment, person, &code, decision)
    });
    match answered.await {
        Ok(()) => see_other("/device/answered"),
        Err(ConsentError::Store(fault)) => refusals::fault(&web, head, &fault),
        Err(refusal) => message::consent_refused(&web, head, &live, &refusal),
    }
}

/// `GET /device/answered`: that is all.
pub async fn answered(web: Arc<Web>, request: Request, caller: Caller) -> Response {
    match caller.session() {
        Some(live) => message::device_answered(&web, &request.head, &live),
        None => message::signed_out(&web, &request.head),
    }
}

const USER_CODE: &str = "user_code";

fn user_code(params: &Params) -> Option<UserCode> {
    params.get(USER_CODE).ok()??.parse().ok()
}

fn find_opened(
    web: &Web,
    head: &Head,
    live: &LiveSession,
    code: Option<&UserCode>,
) -> Result<Option<(DeviceRequest, UserCode)>, StoreError> {
    let Some(code) = code else { return Ok(None) };
    let session_id = live.session.id;
    let found = web
        .store
        .read(|tx| device::find_opened(tx, &web.provider, head.now, session_id, code))?;
    Ok(found.map(|request| (request, code.clone())))
}

fn show(
    web: &Web,
    status: StatusCode,
    live: &LiveSession,
    user_code: &str,
    error: Option<String>,
) -> Response {
    let view = DevicePage {
        frame: frame(web, Some(live)),
        csrf_token: web.csrf_token(live.session.id),
        user_code: user_code.to_owned(),
        error,
    };
    page(status, &view)
}

fn consent_view(
    web: &Web,
    live: &LiveSession,
    request: &DeviceRequest,
    code: &UserCode,
) -> DeviceConsentPage {
    let DeviceRequest {
        client,
        resource,
        scopes,
        ..
    } = request;
    DeviceConsentPage {
        frame: frame(web, Some(live)),
        client_name: client.metadata.name.to_string(),
        client_origin: consent::origin(client),
        client_host: consent::host(client),
        client_since: day(client.created_at),
        user_code: code.to_string(),
        resource: resource.identifier().to_string(),
        scopes: consent::groups(resource, scopes),
        lasts: consent::lasts(web),
        csrf_token: web.csrf_token(live.session.id),
    }
}
