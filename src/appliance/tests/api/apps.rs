//! Apps: made, read, found, replaced and removed; and whether they may register themselves.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};

use super::{APPS, SETTINGS, World, app_body, owner_asks, text, with_method};
use crate::appliance::tests::{
    client_app::public_at,
    house::House,
    wire::{Answer, Ask},
};

#[tokio::test]
async fn an_app_is_made_read_replaced_and_removed() {
    let house = House::open();
    let world = World::of(&house).await;
    let created = owner_asks(&world, Ask::json(APPS, &app_body()))
        .await
        .expect(201);
    let app = created.json();
    let path = format!("{APPS}/{}", text(&app["id"]));
    assert_eq!(app["callback_url"], "https://made.example/cb");
    assert_eq!(app["redirect_uris"], json!(["https://made.example/cb"]));
    assert_eq!(app["origin"], "administrator");
    let token = "http://localhost:8420/oauth2/token";
    assert_eq!(app["endpoints"]["token"], token);
    assert!(!created.body.contains("null"), "{}", created.body);
    assert_eq!(world.owner.get(&path).await.json(), app);

    // What was read can be sent back as it is.
    let mut changed = app.clone();
    changed["name"] = "Renamed".into();
    let ask = with_method(Method::PUT, &path, &changed);
    let answer = owner_asks(&world, ask).await.expect(200);
    assert_eq!(answer.json(), changed);

    let ask = Ask::new(Method::DELETE, &path);
    owner_asks(&world, ask.clone()).await.expect(204);
    owner_asks(&world, ask).await.expect(404);
    world.owner.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_bad_app_is_told_every_field_that_is_wrong() {
    let house = House::open();
    let world = World::of(&house).await;
    let body = json!({
        "name": "",
        "redirect_uris": ["javascript:alert(1)"],
        "icon": "http://a.example/i.png",
        "scope": "everything",
        "grant_types": ["implicit"],
        "token_endpoint_auth_method": "magic",
        "colour": "red",
    });
    let answer = owner_asks(&world, Ask::json(APPS, &body)).await.expect(400);
    let validations = answer.json()["validations"].clone();
    let fields: BTreeSet<_> = validations
        .as_array()
        .expect("a list")
        .iter()
        .map(|each| text(&each["field"]))
        .collect();
    let sent = body.as_object().expect("an object").keys().cloned();
    assert_eq!(fields, sent.collect(), "{validations}");
    for (content_type, body, status) in [
        ("text/plain", "{}", 415),
        ("application/json", "[", 400),
        ("application/json", "[]", 400),
        ("application/json", "", 400),
        ("application/json", "{}", 400),
    ] {
        let ask = Ask::json(APPS, &json!({})).header("content-type", content_type);
        owner_asks(&world, ask.body(body)).await.expect(status);
    }
}

#[tokio::test]
async fn a_public_app_stays_public_and_has_no_secret() {
    let house = House::open();
    let world = World::of(&house).await;
    let mut body = app_body();
    body["token_endpoint_auth_method"] = "none".into();
    let app = owner_asks(&world, Ask::json(APPS, &body)).await.expect(201);
    let path = format!("{APPS}/{}", app.text("id"));
    let ask = with_method(Method::PUT, &path, &app_body());
    let refused = owner_asks(&world, ask).await.expect(400).json();
    let field = &refused["validations"][0]["field"];
    assert_eq!(field, "token_endpoint_auth_method");
    let ask = Ask::json(&format!("{path}/secrets"), &json!({}));
    owner_asks(&world, ask).await.expect(409);
}

#[tokio::test]
async fn apps_are_found_by_name_by_page_and_by_who_approved_them() {
    let house = House::open();
    let world = World::of(&house).await;
    for number in 0..30 {
        let mut body = app_body();
        body["name"] = format!("Number {number}").into();
        house.wait(Duration::from_millis(1));
        owner_asks(&world, Ask::json(APPS, &body)).await.expect(201);
    }
    let names = |answer: &Answer| -> Vec<String> {
        let apps = answer.json()["apps"].clone();
        let apps = apps.as_array().expect("a list").clone();
        apps.iter().map(|app| text(&app["name"])).collect()
    };
    let first = world.member.get(APPS).await.expect(200);
    assert_eq!(
        (names(&first).len(), &first.json()["count"]),
        (25, &json!(31))
    );
    assert_eq!(names(&first)[0], "Number 29");
    let second = world.member.get(&format!("{APPS}?offset=25")).await;
    assert_eq!(names(&second).len(), 6);
    let found = world
        .member
        .get(&format!("{APPS}?q=nuMBER+2&limit=2"))
        .await;
    assert_eq!(names(&found), ["Number 29", "Number 28"]);
    assert_eq!(found.json()["count"], 11);

    world.app.code(&world.member).await;
    let me = world.member.get("/api/v2/users/me").await.text("id");
    let approved = format!("{APPS}?user_id={me}");
    assert_eq!(names(&world.member.get(&approved).await), ["An app"]);
    assert_eq!(names(&world.owner.get(&approved).await), ["An app"]);
    let owner = world.owner.get("/api/v2/users/me").await.text("id");
    let foreign = world.member.get(&format!("{APPS}?user_id={owner}")).await;
    foreign.expect(403);
    for bad in ["user_id=x", "limit=101", "q=a&q=b"] {
        world.member.get(&format!("{APPS}?{bad}")).await.expect(400);
    }
}

#[tokio::test]
async fn the_owner_switches_registration_at_run_time() {
    let house = House::open();
    let world = World::of(&house).await;
    let body = |is_on: Value| json!({ "dynamic_client_registration_enabled": is_on });
    let put = |is_on: Value| with_method(Method::PUT, SETTINGS, &body(is_on));
    let answer = owner_asks(&world, put(false.into())).await.expect(200);
    assert_eq!(answer.json(), body(false.into()));
    assert_eq!(world.owner.get(SETTINGS).await.json(), body(false.into()));
    let metadata = public_at("https://late.example/cb");
    house
        .ask(Ask::json("/oauth2/register", &metadata))
        .await
        .refused(403, "access_denied");
    let info = house.get("/api/v2/buildinfo").await.expect(200).json();
    assert_eq!(info["features"]["dynamic_client_registration"], false);
    for wrong in [json!("yes"), Value::Null] {
        owner_asks(&world, put(wrong)).await.expect(400);
    }
}
