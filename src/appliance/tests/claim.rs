//! Issue 2, item 1, and contract §10: the claim link makes the first owner, once.

use std::time::Duration;

use super::{
    browser::{Browser, Form},
    house::{House, PASSWORD},
    wire::Answer,
};
use crate::{
    accounts::users,
    model::user::Role,
    store::{self, StoreError},
    web::pages::markup,
};

const CLAIM_TTL: Duration = Duration::from_hours(1);

/// The claim page's form, filled.
async fn claim_form(browser: &mut Browser<'_>, path: &str, name: &str) -> Form {
    let form = browser.open_form(path, path).await;
    form.with("username", name)
        .with("password", PASSWORD)
        .with("password_again", PASSWORD)
}

fn has_owner(house: &House) -> bool {
    let found: Result<bool, StoreError> = house.store.read(|tx| users::has_owner(tx));
    found.expect("the store reads")
}

#[track_caller]
fn assert_closed(answer: &Answer) {
    assert_eq!(answer.status, 404, "{answer:#?}");
    assert!(
        answer.body.contains("does not work any more"),
        "{answer:#?}"
    );
}

/// Issue 2: "the owner chooses name and password and is signed in".
#[tokio::test]
async fn who_opens_the_link_becomes_the_owner_and_is_signed_in() {
    let house = House::open();
    let path = house.claim_path().await;
    let mut ada = house.stranger();
    let home = ada.get("/").await.expect(200).body;
    assert!(home.contains("no owner yet"), "{home}");
    let form = claim_form(&mut ada, &path, "ada").await;
    assert_eq!(ada.submit(&form).await.location(), "/");
    let account = ada.get("/account").await.expect(200).body;
    assert!(account.contains("owner"), "{account}");
    let home = house.stranger().get("/").await.expect(200).body;
    assert!(!home.contains("claim"), "{home}");
}

/// Issue 2: single use; the page of another browser is closed with it.
#[tokio::test]
async fn a_claim_works_once() {
    let house = House::open();
    let path = house.claim_path().await;
    let (mut ada, mut eve) = (house.stranger(), house.stranger());
    let hers = claim_form(&mut ada, &path, "ada").await;
    let eves = claim_form(&mut eve, &path, "eve").await;
    ada.submit(&hers).await.expect(303);
    assert_closed(&eve.submit(&eves).await);
    assert_closed(&eve.get(&path).await);
    assert_eq!(eve.cookie("keystead_session"), None);
}

/// Threat 9: of many at once, one becomes the owner.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_claims_at_once_one_is_taken() {
    let house = House::open();
    let path = house.claim_path().await;
    let mut ada = house.stranger();
    let form = claim_form(&mut ada, &path, "ada").await;
    let post = |n: u32| {
        let fields = form.fields.clone().with("username", &format!("user{n}"));
        let browser = ada.clone();
        let action = form.action.clone();
        async move { browser.post(&action, &fields).await }
    };
    let answers = super::codes::all((0..8).map(post).collect()).await;
    let taken = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(taken, 1, "{answers:#?}");
    let users: Result<Vec<_>, StoreError> = house.store.read(|tx| store::users::list(tx));
    assert_eq!(users.expect("the store reads").len(), 1);
}

/// Issue 2: it expires in an hour.
#[tokio::test]
async fn a_claim_ends_with_its_hour() {
    let house = House::open();
    let path = house.claim_path().await;
    let mut ada = house.stranger();
    let form = claim_form(&mut ada, &path, "ada").await;
    house.wait(CLAIM_TTL);
    assert_closed(&ada.get(&path).await);
    assert_closed(&ada.submit(&form).await);
    assert!(!has_owner(&house));
}

/// Issue 2: "a new one at the next start", and the old one ends with it.
#[tokio::test]
async fn a_new_claim_closes_the_old_one() {
    let house = House::open();
    let old = house.claim_path().await;
    let mut ada = house.stranger();
    let form = claim_form(&mut ada, &old, "ada").await;
    let new = house.claim_path().await;
    assert_closed(&ada.get(&old).await);
    assert_closed(&ada.submit(&form).await);
    let form = claim_form(&mut ada, &new, "ada").await;
    ada.submit(&form).await.expect(303);
}

/// An owner who was made at the command line meanwhile closes it; a member does not.
#[tokio::test]
async fn a_claim_is_closed_once_there_is_an_owner() {
    let house = House::open();
    let path = house.claim_path().await;
    house.person("member", Role::Member).await;
    let mut eve = house.stranger();
    let form = claim_form(&mut eve, &path, "eve").await;
    house.person("root", Role::Owner).await;
    assert_closed(&eve.get(&path).await);
    assert_closed(&eve.submit(&form).await);
}

/// Threat 31: a claim that is guessed, cut or grown is none.
#[tokio::test]
async fn a_damaged_claim_is_closed() {
    let house = House::open();
    let path = house.claim_path().await;
    let cut = &path[..path.len() - 1];
    for wrong in [
        cut,
        &format!("{path}0"),
        "/claim/x",
        "/claim/%00",
        "/claim/..%2f",
    ] {
        assert_closed(&house.stranger().get(wrong).await);
    }
    house.get("/claim/").await.expect(404);
    house.stranger().get(&path).await.expect(200);
}

/// What is chosen is checked, told beside its field, and leaves the link open.
#[tokio::test]
async fn a_wrong_choice_leaves_the_claim_open() {
    let house = House::open();
    house.person("taken", Role::Member).await;
    let path = house.claim_path().await;
    let mut ada = house.stranger();
    let form = claim_form(&mut ada, &path, "ada").await;
    for (field, value) in [
        ("username", "not a name"),
        ("username", "<script>"),
        ("username", "taken"),
        ("password", "short"),
        ("password_again", "another one"),
    ] {
        let wrong = form.clone().with(field, value);
        let answer = ada.submit(&wrong).await.expect(422);
        assert!(
            answer.body.contains("role=\"alert\""),
            "{field}: {answer:#?}"
        );
        assert!(
            !answer.body.contains(PASSWORD),
            "a password is not repeated"
        );
        markup::assert_inert("claim", &answer.body);
    }
    assert!(!has_owner(&house));
    ada.submit(&form).await.expect(303);
}

/// Threat 38: another site cannot make somebody's browser take the claim.
#[tokio::test]
async fn a_claim_form_counts_in_the_browser_that_saw_it() {
    let house = House::open();
    let path = house.claim_path().await;
    let mut ada = house.stranger();
    let form = claim_form(&mut ada, &path, "ada").await;
    house.stranger().submit(&form).await.expect(403);
    ada.submit(&form.clone().with("csrf_token", "x"))
        .await
        .expect(403);
    assert!(!has_owner(&house));
}
