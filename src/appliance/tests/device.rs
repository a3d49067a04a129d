//! RFC 8628: a device shows a code, a person types it and answers, and the device gets its tokens
//! once.

use std::time::Duration;

use serde_json::json;

use super::{
    browser::{Browser, Form},
    client_app::{ClientApp, public_at},
    codes::all,
    house::{House, Tokens},
    wire::{Answer, Ask, Fields},
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// A device code, always.
const TTL: Duration = Duration::from_mins(10);
const INTERVAL: Duration = Duration::from_secs(5);
const A_MILLISECOND: Duration = Duration::from_millis(1);

/// A device that has begun.
struct Device {
    app: ClientApp,
    code: String,
    user_code: String,
}

/// A client for devices, without a redirect URI.
async fn device_app(house: &House) -> ClientApp {
    let metadata = json!({
        "client_name": "A television",
        "grant_types": [DEVICE_GRANT, "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let registered = house.ask(Ask::json("/oauth2/register", &metadata)).await;
    let registered = registered.expect(201);
    assert_eq!(registered.json()["response_types"], json!([]));
    ClientApp {
        id: registered.text("client_id"),
        secret: None,
        registration_token: registered.text("registration_access_token"),
        redirect_uri: String::new(),
        resource: String::new(),
    }
}

impl Device {
    async fn begin(house: &House) -> Self {
        Self::of(house, device_app(house).await, "user:read grants:write").await
    }

    async fn of(house: &House, app: ClientApp, scope: &str) -> Self {
        let answer = ask(house, &app, &[("scope", scope)]).await.expect(200);
        Self {
            code: answer.text("device_code"),
            user_code: answer.text("user_code"),
            app,
        }
    }

    fn form(&self) -> Fields {
        let fields = [("grant_type", DEVICE_GRANT), ("device_code", &self.code)];
        self.app.identified(&fields)
    }

    async fn poll(&self, house: &House) -> Answer {
        house.token(&self.form()).await
    }

    /// Opens its code in `browser`, and returns the form of the page that asks.
    async fn open(&self, browser: &mut Browser<'_>) -> Form {
        let sent = enter(browser, &self.user_code).await;
        let page = browser.get(sent.location()).await.expect(200);
        assert!(page.body.contains(&self.user_code), "{page:#?}");
        Form::find(&page.body, "/device/consent")
    }

    async fn allow(&self, browser: &mut Browser<'_>) {
        let form = self.open(browser).await;
        let answer = decide(browser, &form, "allow").await;
        assert_eq!(answer.location(), "/device/answered");
        browser.get("/device/answered").await.expect(200);
    }
}

async fn ask(house: &House, app: &ClientApp, fields: &[(&str, &str)]) -> Answer {
    let form = app.identified(fields);
    house
        .ask(Ask::form("/oauth2/device_authorization", &form))
        .await
}

async fn enter(browser: &mut Browser<'_>, code: &str) -> Answer {
    let form = browser.open_form("/device", "/device").await;
    browser.submit(&form.with("user_code", code)).await
}

async fn decide(browser: &Browser<'_>, form: &Form, decision: &str) -> Answer {
    let fields = form.fields.clone().with("decision", decision);
    browser.post(&form.action, &fields).await
}

#[tokio::test]
async fn a_person_types_the_code_and_the_device_gets_its_tokens() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let app = device_app(&house).await;
    let answer = ask(&house, &app, &[]).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let body = answer.json();
    let code = answer.text("user_code");
    assert_eq!(body["verification_uri"], "http://localhost:8420/device");
    assert_eq!(
        body["verification_uri_complete"],
        format!("http://localhost:8420/device?user_code={code}")
    );
    assert_eq!(
        (&body["expires_in"], &body["interval"]),
        (&json!(600), &json!(5))
    );

    let device = Device::of(&house, app, "user:read grants:write").await;
    device
        .poll(&house)
        .await
        .refused(400, "authorization_pending");
    let form = device.open(&mut ada).await;
    let narrowed = Form {
        fields: form.fields.unticked("scope", "grants:write"),
        ..form
    };
    let typed = device.user_code.replace('-', " ").to_lowercase();
    let again = enter(&mut ada, &typed).await;
    assert!(
        again.location().starts_with("/device/consent?"),
        "the same browser may look again"
    );
    decide(&ada, &narrowed, "allow").await;
    let tokens = Tokens::of(&device.poll(&house).await);
    assert_eq!(tokens.scope, "user:read");
    let form = device.app.refreshing(&tokens.refresh);
    Tokens::of(&house.token(&form).await);
    let account = ada.get("/account").await.body;
    assert!(
        account.contains("A television") && account.contains("a device"),
        "{account}"
    );
}

/// Threat 14: only the browser that opened a code answers it, and to any other it looks unknown.
#[tokio::test]
async fn another_browser_can_neither_see_nor_answer_an_open_code() {
    let house = House::open();
    let (mut ada, mut eve) = (house.member("ada").await, house.member("eve").await);
    let device = Device::begin(&house).await;
    let form = device.open(&mut ada).await;
    let unknown = enter(&mut eve, "BCDF-GHJK").await.expect(403);
    let taken = enter(&mut eve, &device.user_code).await.expect(403);
    let said = |answer: &Answer| answer.body.contains("No device waits with this code");
    assert!(said(&unknown) && said(&taken), "{taken:#?}");
    let page = format!("/device/consent?user_code={}", device.user_code);
    assert_eq!(eve.get(&page).await.location(), "/device");
    // With a token of her own session, and with the page that was Ada's.
    let hers = Fields::of(&[
        ("csrf_token", &eve.csrf_token().await),
        ("user_code", &device.user_code),
        ("scope", "user:read"),
        ("decision", "allow"),
    ]);
    eve.post("/device/consent", &hers).await.expect(403);
    decide(&eve, &form, "allow").await.expect(403);
    device
        .poll(&house)
        .await
        .refused(400, "authorization_pending");
    decide(&ada, &form, "allow").await.expect(303);
    Tokens::of(&device.poll(&house).await);
}

/// RFC 8628 §3.3.1: the complete address only fills the field in.
#[tokio::test]
async fn following_the_complete_address_approves_and_opens_nothing() {
    let house = House::open();
    let (mut ada, mut grace) = (house.member("ada").await, house.member("grace").await);
    let device = Device::begin(&house).await;
    let address = format!("/device?user_code={}", device.user_code);
    let signed_out = house.stranger().get(&address).await;
    let location = signed_out.location();
    assert!(
        location.starts_with("/sign-in?return_to=%2Fdevice%3Fuser"),
        "{location}"
    );
    let page = ada.get(&address).await.expect(200).body;
    let form = Form::find(&page, "/device");
    assert_eq!(
        form.fields.get("user_code"),
        Some(device.user_code.as_str())
    );
    let consent = format!("/device/consent?user_code={}", device.user_code);
    assert_eq!(
        ada.get(&consent).await.location(),
        "/device",
        "nothing was opened"
    );
    device.open(&mut grace).await;
    ada.submit(&form).await.expect(403);
    let junk = ada
        .get("/device?user_code=%3Cscript%3E")
        .await
        .expect(200)
        .body;
    assert!(!junk.contains("script"), "{junk}");
}

/// Threats 2 and 38.
#[tokio::test]
async fn an_answer_needs_the_token_of_its_page_and_works_once() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let device = Device::begin(&house).await;
    let form = device.open(&mut ada).await;
    for wrong in [
        form.fields.clone().without("csrf_token"),
        form.fields.clone().with("csrf_token", "x"),
        form.fields.clone().without("user_code"),
    ] {
        let wrong = wrong.with("decision", "allow");
        ada.post("/device/consent", &wrong).await.expect(403);
    }
    decide(&ada, &form, "perhaps").await.expect(403);
    let wider = Form {
        fields: form.fields.clone().and(&[("scope", "grants:read")]),
        ..form.clone()
    };
    decide(&ada, &wider, "allow").await.expect(403);
    device
        .poll(&house)
        .await
        .refused(400, "authorization_pending");
    decide(&ada, &form, "deny").await.expect(303);
    decide(&ada, &form, "allow").await.expect(403);
    device.poll(&house).await.refused(400, "access_denied");
    device.poll(&house).await.refused(400, "access_denied");
}

/// A page that offers only what can be left out, all of it left out, is a no.
#[tokio::test]
async fn to_untick_everything_is_to_deny() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let device = Device::of(&house, device_app(&house).await, "grants:write").await;
    let form = device.open(&mut ada).await;
    let nothing = Form {
        fields: form.fields.unticked("scope", "grants:write"),
        ..form
    };
    decide(&ada, &nothing, "allow").await.expect(303);
    device.poll(&house).await.refused(400, "access_denied");
}

/// RFC 8628 §3.5.
#[tokio::test]
async fn a_device_that_asks_too_often_has_to_wait_longer() {
    let house = House::open();
    let device = Device::begin(&house).await;
    let pending = "authorization_pending";
    for (wait, expected) in [
        (Duration::ZERO, pending),
        (INTERVAL, pending),
        // A network that was faster this time is no fault of the device.
        (INTERVAL.saturating_sub(A_MILLISECOND * 500), pending),
        (Duration::from_secs(4), "slow_down"),
        (INTERVAL, "slow_down"),
        (Duration::from_secs(15), pending),
    ] {
        house.wait(wait);
        device.poll(&house).await.refused(400, expected);
    }
    let described = device.poll(&house).await.refused(400, "slow_down");
    assert!(described.contains("20 seconds"), "{described}");
    for _ in 0..20 {
        device.poll(&house).await.refused(400, "slow_down");
    }
    house.wait(Duration::from_mins(1));
    device.poll(&house).await.refused(400, pending);
}

/// Threat 6: the wrong client or too late, each on its own, is enough to refuse.
#[tokio::test]
async fn a_device_code_needs_the_right_client_and_the_right_time() {
    for (own, in_time) in [(true, true), (true, false), (false, true), (false, false)] {
        let house = House::open();
        let mut ada = house.member("ada").await;
        let device = Device::begin(&house).await;
        device.allow(&mut ada).await;
        house.wait(if in_time {
            TTL.saturating_sub(A_MILLISECOND)
        } else {
            TTL
        });
        let by = if own {
            device.app.clone()
        } else {
            device_app(&house).await
        };
        let form = by.identified(&[("grant_type", DEVICE_GRANT), ("device_code", &device.code)]);
        let answer = house.token(&form).await;
        match (own, in_time) {
            (true, true) => drop(Tokens::of(&answer)),
            (true, false) => drop(answer.refused(400, "expired_token")),
            (false, _) => drop(answer.refused(400, "invalid_grant")),
        }
        if in_time && !own {
            Tokens::of(&device.poll(&house).await);
        }
    }
}

/// Threat 9: of 64 polls at once one wins, and what it got the others end (threat 11).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_polls_at_once_one_wins() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let device = Device::begin(&house).await;
    device.allow(&mut ada).await;
    let form = device.form();
    let answers = all((0..64).map(|_| house.token(&form)).collect()).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, 63));
    for answer in lost {
        answer.refused(400, "invalid_grant");
    }
    let tokens = Tokens::of(won[0]);
    let form = device.app.refreshing(&tokens.refresh);
    house.token(&form).await.refused(400, "invalid_grant");
}

#[tokio::test]
async fn a_code_is_over_when_its_time_is() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let (device, late) = (Device::begin(&house).await, Device::begin(&house).await);
    let form = device.open(&mut ada).await;
    house.wait(TTL);
    decide(&ada, &form, "allow").await.expect(403);
    enter(&mut ada, &late.user_code).await.expect(403);
    device.poll(&house).await.refused(400, "expired_token");
}

/// Threat 14; RFC 8628 §5.1: guesses are throttled, whether or not they hit.
#[tokio::test]
async fn who_guesses_codes_has_to_wait() {
    let house = House::with_rate_limits();
    let mut ada = house.member("ada").await;
    let device = Device::begin(&house).await;
    for _ in 0..10 {
        enter(&mut ada, "BCDF-GHJK").await.expect(403);
    }
    let refused = enter(&mut ada, &device.user_code).await.expect(429);
    let seconds: u64 = refused
        .header("retry-after")
        .expect("seconds")
        .parse()
        .expect("a number");
    house.wait(Duration::from_secs(seconds));
    enter(&mut ada, &device.user_code).await.expect(303);
}

#[tokio::test]
async fn what_cannot_be_given_is_not_begun() {
    let house = House::open();
    let app = device_app(&house).await;
    for (field, value, error) in [
        ("scope", "nothing:known", "invalid_scope"),
        ("resource", "https://other.example", "invalid_target"),
        ("resource", "x", "invalid_target"),
    ] {
        let answer = ask(&house, &app, &[(field, value)]).await;
        answer.refused(400, error);
    }
    let twice = ask(
        &house,
        &app,
        &[("scope", "user:read"), ("scope", "user:read")],
    )
    .await;
    twice.refused(400, "invalid_request");
    let web = ClientApp::public(&house).await;
    ask(&house, &web, &[])
        .await
        .refused(400, "unauthorized_client");
    let unknown = web.identified(&[("grant_type", DEVICE_GRANT), ("device_code", "ks_dc_x")]);
    house.token(&unknown).await.refused(400, "invalid_grant");
    let missing = app.identified(&[("grant_type", DEVICE_GRANT)]);
    house.token(&missing).await.refused(400, "invalid_request");
    let device = Device::of(&house, app, "user:read").await;
    let web = web.identified(&[("grant_type", DEVICE_GRANT), ("device_code", &device.code)]);
    house.token(&web).await.refused(400, "unauthorized_client");
}

/// Threat 3: what was shown is what is allowed. A client that changes in between is asked about
/// again.
#[tokio::test]
async fn a_client_that_changed_is_not_what_was_allowed() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let mut metadata = public_at("https://app.example/callback");
    metadata["grant_types"] = json!(["authorization_code", DEVICE_GRANT]);
    let app = ClientApp::register(&house, &metadata).await;
    let device = Device::of(&house, app, "user:read").await;
    let form = device.open(&mut ada).await;
    house.wait(A_MILLISECOND);
    metadata["client_name"] = "Your bank".into();
    device.app.replace(&house, &metadata).await.expect(200);
    decide(&ada, &form, "allow").await.expect(409);
    device
        .poll(&house)
        .await
        .refused(400, "authorization_pending");
}

/// A grant that is taken back before the device has asked gives nothing.
#[tokio::test]
async fn what_is_taken_back_in_between_is_not_given() {
    let house = House::open();
    let mut ada = house.member("ada").await;
    let device = Device::begin(&house).await;
    device.allow(&mut ada).await;
    let account = ada.get("/account").await.body;
    let revoke = Form::all(&account)
        .into_iter()
        .find(|form| form.action.contains("/grants/"))
        .expect("a grant");
    ada.submit(&revoke).await.expect(303);
    device.poll(&house).await.refused(400, "invalid_grant");
}
