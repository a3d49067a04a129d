//! The owner's pages of the apps.

use super::{
    browser::{Browser, Form},
    house::House,
    wire::Answer,
};
use crate::model::user::Role;

async fn owner(house: &House) -> Browser<'_> {
    let root = house.person("root", Role::Owner).await;
    house.signed_in(&root).await
}

/// What the form of the list is answered, with that in its fields.
async fn add(owner: &Browser<'_>, fields: &[(&str, &str)]) -> Answer {
    let page = owner.get("/admin/apps").await.expect(200).body;
    let form = Form::find(&page, "/admin/apps").fields.without("public");
    let form = form.without("name").and(fields);
    owner.post("/admin/apps", &form).await
}

/// The secret that a page shows.
fn shown(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once(r#"<pre class="copy"><code>"#)?;
    let (secret, _) = rest.split_once("</code>")?;
    Some(secret)
}

/// Sends the form of `page` whose action ends like that.
async fn submit(owner: &Browser<'_>, page: &str, action_end: &str) -> Answer {
    let mut forms = Form::all(page).into_iter();
    let form = forms.find(|form| form.action.ends_with(action_end));
    let form = form.unwrap_or_else(|| panic!("no form to …{action_end}:\n{page}"));
    owner.post(&form.action, &form.fields).await
}

#[tokio::test]
async fn an_owner_adds_an_app_replaces_its_secret_and_removes_it() {
    let house = House::open();
    let owner = owner(&house).await;
    let fields = [
        ("name", "Wiki"),
        ("redirect_uris", "https://wiki.example/cb"),
    ];
    let made = add(&owner, &fields).await.expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let first = shown(&made.body).expect("shown once").to_owned();
    assert!(first.starts_with("ks_cs_"), "{first}");

    let list = owner.get("/admin/apps").await.expect(200).body;
    let (_, rest) = list.split_once("/admin/apps/").expect("a link to the app");
    let path = format!("/admin/apps/{}", &rest[..22]);
    let page = owner.get(&path).await.expect(200).body;
    assert_eq!(shown(&page), None, "it is never shown again");

    let added = submit(&owner, &page, "/secrets").await.expect(201);
    assert_ne!(shown(&added.body), Some(first.as_str()));
    let removed = submit(&owner, &page, "/remove").await;
    assert_eq!(removed.location(), format!("{path}?done=secret"));
    let page = owner.get(removed.location()).await.expect(200).body;
    assert!(page.contains("The secret is removed."), "{page}");
    assert_eq!(page.matches("/secrets/").count(), 1);

    let action = format!("{}/remove", path.trim_start_matches("/admin"));
    let removed = submit(&owner, &page, &action).await;
    assert_eq!(removed.location(), "/admin/apps?done=removed");
    owner.get(&path).await.expect(404);
    let again = submit(&owner, &page, &action).await;
    assert_eq!(again.location(), "/admin/apps?done=gone");
}

#[tokio::test]
async fn a_public_app_has_no_secret_to_show() {
    let house = House::open();
    let owner = owner(&house).await;
    let fields = [
        ("name", "Desk"),
        (
            "redirect_uris",
            "http://localhost/cb\r\nhttp://127.0.0.1/cb",
        ),
        ("public", "yes"),
    ];
    let made = add(&owner, &fields).await;
    let page = owner.get(made.location()).await.expect(200).body;
    assert!(page.contains("The app is added."), "{page}");
    assert!(page.contains("http://127.0.0.1/cb"), "{page}");
    assert_eq!(
        Form::all(&page)
            .iter()
            .filter(|form| form.action.ends_with("/secrets"))
            .count(),
        0
    );
}

#[tokio::test]
async fn what_cannot_be_added_is_shown_again_with_what_was_typed() {
    let house = House::open();
    let owner = owner(&house).await;
    for (name, uris, why) in [
        ("", "https://a.example/cb", "expected 1 to 128 characters"),
        ("A", "", "Expected 1 to 32 addresses."),
        ("A", "javascript:alert(1)", "javascript:alert(1): "),
    ] {
        let answer = add(&owner, &[("name", name), ("redirect_uris", uris)])
            .await
            .expect(422);
        assert!(answer.body.contains(why), "{}", answer.body);
        assert!(
            answer.body.contains(&format!(">{uris}</textarea>")),
            "{}",
            answer.body
        );
    }
    let list = owner.get("/admin/apps").await.expect(200).body;
    assert!(list.contains("Registered: 0"), "nothing was added: {list}");
}
