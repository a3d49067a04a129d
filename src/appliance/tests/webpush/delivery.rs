//! What becomes of a message, whatever its push service answers.

use super::*;

/// What more would be sent is sent within this time.
const LINGER: Duration = Duration::from_millis(300);

/// Issue 6, point 3: whatever becomes of one message, the others go their way.
#[tokio::test]
async fn every_answer_of_a_push_service_has_its_own_consequence() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let bob = setting.house.person("bob", Role::Member).await;
    let wait = answer("503 S", "retry-after: 90\r\n", "later");
    for (path, says) in [
        ("/push/good", status("201 Created")),
        ("/push/gone", status("410 Gone")),
        ("/push/unknown", status("404 Not Found")),
        ("/push/later", Says::Bytes(wait)),
        ("/push/busy", status("429 Too Many Requests")),
        ("/push/garbage", Says::Bytes(b"220 mail\r\n".to_vec())),
        ("/push/refused", status("403 Forbidden")),
        ("/push/elsewhere", status("307 Temporary Redirect")),
    ] {
        setting.script.set_at(path, says);
        setting.browser(&ada, path).await;
    }
    setting.browser(&bob, "/push/bob").await;
    assert_eq!(setting.tell(&ada, "Hello").await, 8);
    setting.deliver().await;
    assert_eq!(setting.asked.requests().len(), 8);
    assert!(setting.asked_at("/push/bob").is_empty());

    let left = setting.browsers(&ada);
    let left: BTreeSet<_> = left.iter().map(|one| one.endpoint.as_str()).collect();
    let stays = ["busy", "elsewhere", "garbage", "good", "later", "refused"];
    let expected: Vec<_> = stays.map(|name| at(&format!("/push/{name}"))).into();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(setting.browsers(&bob).len(), 1);
    let queued = setting.queued();
    let waits = queued
        .iter()
        .map(|push| push.due_at.since(setting.house.now()));
    let mut waits: Vec<_> = waits.map(|wait| wait.as_secs()).collect();
    waits.sort_unstable();
    assert_eq!(waits, [5, 5, 90]);

    // They are tried again, and take the place of the first try.
    for path in ["/push/later", "/push/busy", "/push/garbage"] {
        setting.script.set_at(path, status("201 Created"));
    }
    setting.house.wait(Duration::from_secs(89));
    setting.deliver().await;
    assert_eq!(setting.queued().len(), 1);
    setting.house.wait(Duration::from_secs(1));
    setting.deliver().await;
    assert_eq!(setting.queued(), []);
    let tries = setting.asked_at("/push/later");
    assert_eq!(tries.len(), 2);
    assert_eq!(header(&tries[0], "topic"), header(&tries[1], "topic"));
    assert_eq!(header(&tries[0], "topic").len(), 32);
    assert_eq!(header(&tries[0], "urgency"), "high");
    let day = PUSH_TTL.as_secs();
    assert_eq!(header(&tries[0], "ttl"), day.to_string());
    assert_eq!(header(&tries[1], "ttl"), (day - 90).to_string());
    assert_eq!(setting.asked_at("/push/good").len(), 1);
}

#[tokio::test]
async fn a_message_is_tried_so_often_and_never_after_its_time() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/1").await;
    setting.script.set(status("500 E"));
    setting.tell(&ada, "Hello").await;
    while let Some(push) = setting.queued().first() {
        setting.house.wait(push.due_at.since(setting.house.now()));
        setting.deliver().await;
    }
    let tries = setting.asked.requests().len();
    assert_eq!(tries, usize::try_from(ATTEMPTS_MAX).expect("few"));

    setting.script.set(status("201 Created"));
    setting.tell(&ada, "Too late").await;
    setting.house.wait(PUSH_TTL);
    setting.deliver().await;
    assert_eq!(setting.asked.requests().len(), tries);
    assert_eq!(setting.queued(), []);
}

/// Threat 24: a push service that hangs has its own place, and its browser one try for all that
/// waits for it.
#[tokio::test]
async fn a_push_service_that_hangs_keeps_nobody_waiting() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    let bob = setting.house.person("bob", Role::Member).await;
    setting.browser(&ada, "/push/hangs").await;
    setting.browser(&bob, "/push/bob").await;
    let hangs = Says::ThenSilence(b"HTTP/1.1 201 Created\r\n".to_vec());
    setting.script.set_at("/push/hangs", hangs);
    for number in 0..100 {
        setting.tell(&ada, &format!("Hello {number}")).await;
    }
    setting.tell(&bob, "Hello").await;
    let deliverer = setting.deliverer();
    soon(|| !setting.asked_at("/push/bob").is_empty()).await;
    let is_tried = |push: &QueuedPush| push.attempts > 0;
    let queued = setting.queued();
    assert!(
        !queued.iter().any(is_tried),
        "Bob waited until the deadline"
    );
    soon(|| setting.queued().iter().any(|push| push.attempts > 0)).await;
    // Whatever is behind it would have been asked for by then.
    setting.tell(&bob, "Hello").await;
    soon(|| setting.asked_at("/push/bob").len() == 2).await;
    deliverer.abort();
    assert_eq!(setting.asked_at("/push/hangs").len(), 1);
    let queued = setting.queued();
    assert_eq!(queued.len(), 100, "nothing is lost");
    let tried: Vec<_> = queued.iter().filter(|push| push.attempts > 0).collect();
    assert_eq!(tried.len(), 1);
}

/// Threat 24: nor does a person with as many browsers as the box has places.
#[tokio::test]
async fn a_person_whose_push_services_all_hang_keeps_nobody_waiting() {
    let setting = Setting::patient().await;
    let mal = setting.house.person("mal", Role::Member).await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.script.set(Says::ThenSilence(Vec::new()));
    setting.script.set_at("/push/ada", status("201 Created"));
    for number in 0..SUBSCRIPTIONS_PER_USER_MAX {
        setting.browser(&mal, &format!("/push/mal/{number}")).await;
    }
    setting.browser(&ada, "/push/ada").await;
    for number in 0..10 {
        let told = setting.tell(&mal, &format!("Hello {number}")).await;
        assert_eq!(told, SUBSCRIPTIONS_PER_USER_MAX);
    }
    setting.tell(&ada, "Hello").await;
    let deliverer = setting.deliverer();
    let of_mal = || {
        let mut asked = setting.asked.requests();
        asked.retain(|head| head.starts_with("POST /push/mal/"));
        asked.len()
    };
    soon(|| !setting.asked_at("/push/ada").is_empty() && of_mal() >= 4).await;
    sleep(LINGER).await;
    deliverer.abort();
    assert_eq!(of_mal(), 4, "places that one person has");
}

/// Threat 24: nor do as many such persons as would have all the places between them.
#[tokio::test]
async fn persons_whose_push_services_all_hang_keep_nobody_waiting() {
    let setting = Setting::patient().await;
    setting.script.set(Says::ThenSilence(Vec::new()));
    setting.script.set_at("/push/ada", status("201 Created"));
    for number in 0..8 {
        let mal = setting
            .house
            .person(&format!("mal{number}"), Role::Member)
            .await;
        for browser in 0..4 {
            setting
                .browser(&mal, &format!("/push/mal/{number}/{browser}"))
                .await;
        }
        setting.tell(&mal, "Hello").await;
    }
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/ada").await;
    setting.house.wait(Duration::from_secs(1));
    setting.tell(&ada, "Hello").await;
    let deliverer = setting.deliverer();
    // Four of each while half of the places are free, and one of everybody else.
    let places = 4 * 4 + 4;
    let of_them = || {
        let mut asked = setting.asked.requests();
        asked.retain(|head| head.starts_with("POST /push/mal/"));
        asked.len()
    };
    soon(|| !setting.asked_at("/push/ada").is_empty() && of_them() >= places).await;
    sleep(LINGER).await;
    deliverer.abort();
    assert_eq!(of_them(), places);
}

#[tokio::test]
async fn the_deliverer_is_woken_by_whatever_queues_a_message() {
    let setting = Setting::open().await;
    let ada = setting.house.person("ada", Role::Member).await;
    setting.browser(&ada, "/push/1").await;
    let deliverer = setting.deliverer();
    for number in 1..=3 {
        // It rests for a minute when there is nothing to do.
        setting.tell(&ada, "Hello").await;
        soon(|| setting.asked.requests().len() == number && setting.queued().is_empty()).await;
    }
    deliverer.abort();
    assert_eq!(setting.asked.requests().len(), 3);
}

/// How often the log says that what became of messages is not written down.
fn said_of_writes(log: &Lines) -> usize {
    log.text().matches("cannot be written down").count()
}

/// Whatever becomes of the file, a message that may have been sent is sent until it is written down
/// that it was; and of a fault that goes on the log has one line.
#[tokio::test]
async fn what_cannot_be_written_down_is_tried_again_and_lost_by_nobody() {
    let disk = Disk::default();
    let setting = Setting::on(&disk).await;
    let ada = setting.house.person("ada", Role::Member).await;
    let bob = setting.house.person("bob", Role::Member).await;
    setting.browser(&ada, "/push/ada").await;
    setting.browser(&bob, "/push/bob").await;
    let log = Lines::default();
    let _logged = tracing::subscriber::set_default(log.subscriber());
    setting.tell(&ada, "Hello").await;
    disk.fail_all(Fault::Full);
    let deliverer = setting.deliverer();
    soon(|| said_of_writes(&log) > 0).await;
    sleep(PAUSE * 2).await;
    assert_eq!(said_of_writes(&log), 1, "{}", log.text());
    assert_eq!(setting.asked_at("/push/ada").len(), 1);

    // The disk takes writes again: it is written down, and the box goes on.
    disk.mend();
    soon(|| setting.queued().is_empty()).await;
    assert_eq!(setting.asked_at("/push/ada").len(), 1);
    setting.tell(&bob, "Hello").await;
    soon(|| setting.queued().is_empty()).await;

    // Another fault, during which the process ends: it is sent again, in the place of the first.
    deliverer.abort();
    setting.tell(&ada, "Hello again").await;
    disk.fail_all(Fault::Full);
    let deliverer = setting.deliverer();
    soon(|| said_of_writes(&log) == 2).await;
    deliverer.abort();
    disk.mend();
    while setting
        .house
        .write(|_, _| Ok::<_, StoreError>(()))
        .await
        .is_err()
    {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(setting.queued().len(), 1);
    setting.deliver().await;
    assert_eq!(setting.queued(), []);
    let tries = setting.asked_at("/push/ada");
    assert_eq!(tries.len(), 3);
    assert_eq!(header(&tries[1], "topic"), header(&tries[2], "topic"));
}
