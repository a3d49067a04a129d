//! The inbox: what a page of a long one costs, and what somebody costs who only watches theirs.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use keystead::{
    appliance::DATA_FILE,
    model::{
        credential::{Credential, CredentialKind},
        id::Id,
        notification::{Notification, Sender, Template, Urgency},
        session::Session,
        timestamp::Timestamp,
        user::{Role, User},
    },
    notifications::PAGE_LEN,
    runtime::{
        clock::{Clock as _, SystemClock},
        entropy::OsEntropy,
    },
    store::{Store, StoreError, notifications, sessions, users},
    web::watchers::WATCHERS_PER_USER_MAX,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    bench::runtime,
    load::{millis, percentile},
    options::Options,
    peer::start_keystead,
    process::Process,
    report::{Aim, Report},
    wire::{Connection, Fault, Writer},
};

/// Entries of the inbox that is listed, as many as one may have.
const ENTRIES: usize = notifications::NOTIFICATIONS_PER_USER_MAX;
/// Pages that are asked for: the first and the last.
const PAGES: [usize; 2] = [1, ENTRIES / PAGE_LEN];
/// What is asked for that few entries are, and all of them are looked at for.
const FILTER: &str = "?templates=test";
/// One of so many entries is: fewer than a page of all.
const FILTERED_EACH: usize = ENTRIES / (PAGE_LEN - 5);
/// Streams that are open at once.
const WATCHERS: usize = 5_000;
const INBOX: &str = "/api/v2/notifications/inbox";
/// How long the server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);
const WEEK: Duration = Duration::from_hours(7 * 24);
/// What one stream may cost.
const WATCHER_KB_MAX: f64 = 20.0;

/// Measures both.
pub(crate) fn measure(options: &Options, report: &mut Report) -> Result<(), Fault> {
    let data = options.places.data.join("inbox");
    fs::create_dir_all(&data)?;
    let people = WATCHERS.div_ceil(WATCHERS_PER_USER_MAX);
    let prepared = Prepared::fill(&data.join(DATA_FILE), people)?;
    let log = options.places.data.join("inbox.log");
    let process = start_keystead(&options.places.keystead, &data, &log, 0)?;
    let runtime = runtime()?;
    let mut lists = PAGES
        .map(|page| (format!("Page {page}"), prepared.query(page)))
        .to_vec();
    let found = ENTRIES.div_ceil(FILTERED_EACH);
    lists.push((format!("{found} entries by a filter"), FILTER.to_owned()));
    for (what, query) in lists {
        let times = runtime.block_on(prepared.list(&process, &query, options))?;
        report.fact(&format!(
            "{what} of an inbox of {ENTRIES}, one reader: p50 {:.2} ms, p99 {:.2} ms, {} lists",
            millis(percentile(&times, 50)),
            millis(percentile(&times, 99)),
            times.len(),
        ));
    }
    let before = process.memory()?;
    let open = runtime.block_on(prepared.watch(&process))?;
    sleep(IDLE);
    let after = process.memory()?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let each = after.saturating_sub(before) as f64 / open.len() as f64 / 1e3;
    let what = format!("memory of a watcher, {WATCHERS} open");
    report.aim(Aim::at_most(&what, "–", each, WATCHER_KB_MAX, "KB"));
    drop(open);
    process.stop()
}

/// A box with people who are signed in, the first of whom was told much.
struct Prepared {
    /// The headers of their browsers.
    cookies: Vec<String>,
    /// The first one's entries, newest first.
    entries: Vec<Id>,
}

impl Prepared {
    fn fill(path: &Path, people: usize) -> Result<Self, Fault> {
        let store = Store::open(path, &OsEntropy)?;
        let now = SystemClock.now();
        let filled = store.write(move |tx| {
            let (mut cookies, mut entries) = (Vec::new(), Vec::new());
            for number in 0..people {
                let (user, session, cookie) = person(number, now)?;
                users::put(tx, &user)?;
                sessions::add(tx, &session)?;
                cookies.push(cookie);
                let count = if number == 0 { ENTRIES } else { 1 };
                for number in 0..count {
                    let at = now.before(Duration::from_millis(number as u64));
                    let template = if number % FILTERED_EACH == 0 {
                        Template::Test
                    } else {
                        Template::Custom
                    };
                    let told = told(user.id, at, template);
                    notifications::add(tx, &told)?;
                    if count > 1 {
                        entries.push(told.id);
                    }
                }
            }
            Ok::<_, StoreError>(Self { cookies, entries })
        });
        Ok(filled.wait()?)
    }

    /// What asks for `page`.
    fn query(&self, page: usize) -> String {
        let last = (page - 1) * PAGE_LEN;
        match last.checked_sub(1).and_then(|last| self.entries.get(last)) {
            Some(id) => format!("?starting_before={id}"),
            None => String::new(),
        }
    }

    /// How long each list by `query` took.
    async fn list(
        &self,
        process: &Process,
        query: &str,
        options: &Options,
    ) -> Result<Vec<Duration>, Fault> {
        let writer = writer_for(process);
        let request = writer.get(&format!("{INBOX}{query}"), &self.cookies[0]);
        let mut connection = Connection::open(process.address).await?;
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < options.plan.measured {
            let asked = Instant::now();
            let answer = connection.send(&request).await?;
            if answer.status != 200 {
                return Err(answer.unexpected("a page of the inbox"));
            }
            times.push(asked.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    }

    /// So many streams, each of which has had its first message.
    async fn watch(&self, process: &Process) -> Result<Vec<TcpStream>, Fault> {
        let writer = writer_for(process);
        let mut open = Vec::new();
        while open.len() < WATCHERS {
            let cookie = &self.cookies[open.len() / WATCHERS_PER_USER_MAX];
            let headers = format!(
                "{cookie}Origin: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                process.url
            );
            let mut stream = TcpStream::connect(process.address).await?;
            let request = writer.get(&format!("{INBOX}/watch"), &headers);
            stream.write_all(&request).await?;
            let mut read = Vec::new();
            while !read.windows(9).any(|bytes| bytes == b"newest_id") {
                if stream.read_buf(&mut read).await? == 0 {
                    let read = String::from_utf8_lossy(&read);
                    return Err(format!("expected a stream, found {read}").into());
                }
            }
            open.push(stream);
        }
        Ok(open)
    }
}

fn writer_for(process: &Process) -> Writer {
    let url = &process.url;
    let host = url.split_once("://").map_or(url.as_str(), |(_, host)| host);
    Writer {
        host: host.to_owned(),
    }
}

/// Somebody, and the header of their browser.
pub(crate) fn person(number: usize, now: Timestamp) -> Result<(User, Session, String), StoreError> {
    let credential = Credential::generate(CredentialKind::Session, now, &OsEntropy);
    let name = format!("user{number}").parse();
    let user = User {
        id: Id::generate(now, &OsEntropy),
        name: name.map_err(|_| StoreError::Closed)?,
        password_hash: "$argon2id$".to_owned(),
        role: Role::Owner,
        created_at: now,
        last_sign_in_at: None,
        disabled_at: None,
    };
    let session = Session {
        id: credential.id(),
        digest: credential.digest(),
        user_id: user.id,
        created_at: now,
        last_seen_at: now,
        idle_expires_at: now.after(WEEK),
        expires_at: now.after(WEEK),
        browser: "a browser".to_owned(),
        address: "127.0.0.1".to_owned(),
    };
    let cookie = format!("Cookie: keystead_session={}\r\n", credential.reveal());
    Ok((user, session, cookie))
}

/// What somebody was told at `at`.
fn told(user_id: Id, at: Timestamp, template: Template) -> Notification {
    Notification {
        id: Id::generate(at, &OsEntropy),
        user_id,
        template,
        targets: Vec::new(),
        title: "The backup is done".to_owned(),
        content: "It took **two minutes**, and everything is where it belongs.".to_owned(),
        actions: Vec::new(),
        urgency: Urgency::Normal,
        sender: Sender::Administrator,
        created_at: at,
    }
}
