//! The engine's promises, one by one.

use std::{
    pin::pin,
    sync::{
        Arc, Barrier,
        mpsc::{Sender, channel},
    },
    task::{Context, Poll, Wake},
    time::Duration,
};

use super::samples::{Fixed, read, store, write};
use crate::{
    model::{
        audit::{Action, Actor, AuditEntry, Object},
        timestamp::Timestamp,
    },
    store::{
        Answer, Keys, QUEUE_MAX, Read as _, Store, StoreError, Table, WriteTx, audit,
        figures::Fate,
        testing::{Disk, Fault, Plan},
    },
};

const TABLE: Table = Table::Users;

/// What a closure may refuse with, besides a fault.
#[derive(Debug, PartialEq)]
enum Refusal {
    AlreadyThere,
    Fault,
}

impl From<StoreError> for Refusal {
    fn from(_: StoreError) -> Self {
        Self::Fault
    }
}

/// Holds the writer in a closure, so that everything written meanwhile becomes one batch, until
/// the sender is dropped.
fn block(store: &Store) -> (Sender<()>, Answer<(), StoreError>) {
    let (go_on, wait) = channel::<()>();
    let (running, is_running) = channel();
    let answer = store.write(move |_| {
        running.send(()).expect("the test listens");
        // An error is the sender's end, which is what is waited for.
        assert!(wait.recv().is_err());
        Ok(())
    });
    is_running.recv().expect("the writer runs it");
    (go_on, answer)
}

fn put(tx: &mut WriteTx<'_>, key: &str) {
    tx.put(TABLE, key.as_bytes(), b"value".to_vec());
}

fn keys_of(store: &Store) -> Vec<String> {
    let rows = read(store, |tx| tx.scan(TABLE, &Keys::ALL, usize::MAX));
    rows.into_iter()
        .map(|(key, _)| String::from_utf8(key).expect("a name"))
        .collect()
}

#[test]
fn a_closure_that_fails_leaves_nothing_and_its_neighbours_stay() {
    let store = store();
    let (go_on, blocker) = block(&store);
    let before = store.write(|tx| {
        put(tx, "before");
        Ok::<_, Refusal>(())
    });
    let failing = store.write(|tx| {
        put(tx, "failing");
        tx.remove(TABLE, b"before");
        Err::<(), _>(Refusal::AlreadyThere)
    });
    let after = store.write(|tx| {
        put(tx, "after");
        let found_before = tx.get(TABLE, b"before")?.is_some();
        Ok::<_, Refusal>((found_before, tx.get(TABLE, b"failing")?))
    });
    drop(go_on);
    assert!(blocker.wait().is_ok());
    assert_eq!(before.wait(), Ok(()));
    assert_eq!(failing.wait(), Err(Refusal::AlreadyThere));
    assert_eq!(after.wait(), Ok((true, None)));
    assert_eq!(keys_of(&store), ["after", "before"]);
}

#[test]
fn a_panic_is_answered_and_neither_the_writer_nor_its_neighbours_end() {
    let store = store();
    let (go_on, _blocker) = block(&store);
    let before = store.write(|tx| {
        put(tx, "before");
        Ok::<_, StoreError>(())
    });
    let panicking = store.write(|tx| -> Result<(), StoreError> {
        put(tx, "panicking");
        panic!("on purpose, by a test");
    });
    let after = store.write(|tx| {
        put(tx, "after");
        Ok::<_, StoreError>(())
    });
    drop(go_on);
    assert!(before.wait().is_ok());
    assert!(matches!(panicking.wait(), Err(StoreError::Panicked)));
    assert!(after.wait().is_ok());
    write(&store, |tx| {
        put(tx, "later");
        Ok(())
    });
    assert_eq!(keys_of(&store), ["after", "before", "later"]);
}

#[test]
fn a_refusal_in_a_value_keeps_the_change() {
    let store = store();
    let refused = store.write(|tx| {
        put(tx, "spent");
        Ok::<_, StoreError>(Err::<(), _>(Refusal::AlreadyThere))
    });
    assert_eq!(refused.wait().expect("a write"), Err(Refusal::AlreadyThere));
    assert_eq!(keys_of(&store), ["spent"]);
}

#[test]
fn a_full_queue_answers_at_once_and_loses_nothing_that_it_took() {
    let store = store();
    let (go_on, _blocker) = block(&store);
    let waiting: Vec<_> = (0..QUEUE_MAX)
        .map(|number| {
            store.write(move |tx| {
                put(tx, &format!("{number:08}"));
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    // The writer is still blocked, and yet this answers.
    let one_more = store.write(|_| Ok::<_, StoreError>(())).wait();
    assert!(matches!(
        one_more,
        Err(StoreError::QueueFull { max: QUEUE_MAX })
    ));
    assert!(one_more.expect_err("refused").is_busy());
    drop(go_on);
    for answer in waiting {
        assert!(answer.wait().is_ok());
    }
    assert_eq!(keys_of(&store).len(), QUEUE_MAX);
}

#[test]
fn a_read_sees_what_was_answered_and_does_not_wait_for_the_writer() {
    let store = store();
    for number in 0..50 {
        let key = format!("{number:02}");
        let same = key.clone();
        write(&store, move |tx| {
            put(tx, &same);
            Ok(())
        });
        assert_eq!(keys_of(&store).last(), Some(&key));
    }
    let (go_on, _blocker) = block(&store);
    let waiting = store.write(|tx| {
        put(tx, "unanswered");
        Ok::<_, StoreError>(())
    });
    // The writer is blocked: a read that waited for it would never return.
    assert_eq!(keys_of(&store).len(), 50);
    drop(go_on);
    assert!(waiting.wait().is_ok());
    assert_eq!(keys_of(&store).len(), 51);
}

/// Whoever reads between two commits shares a snapshot with others who began it earlier.
#[test]
fn nobody_shares_a_snapshot_from_before_their_own_answer() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 200;
    let store = store();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let key = format!("{thread} {round}");
                    let same = key.clone();
                    write(store, move |tx| {
                        put(tx, &same);
                        Ok(())
                    });
                    let found = read(store, |tx| tx.get(TABLE, key.as_bytes()));
                    assert!(found.is_some(), "{key}");
                }
            });
        }
    });
    assert_eq!(keys_of(&store).len(), THREADS * ROUNDS);
}

#[tokio::test]
async fn the_answers_of_a_batch_come_in_the_runtime() {
    let store = store();
    let runtime = tokio::runtime::Handle::current();
    let (given, is_given) = channel();
    store.answer_by(move |answers| {
        given.send(()).expect("the test listens");
        drop(runtime.spawn(async move { answers() }));
    });
    let (go_on, blocker) = block(&store);
    let waiting: Vec<_> = (0..10)
        .map(|number| {
            store.write(move |tx| {
                put(tx, &format!("{number}"));
                if number == 5 {
                    return Err(Refusal::AlreadyThere);
                }
                Ok(std::thread::current().name().map(str::to_owned))
            })
        })
        .collect();
    drop(go_on);
    assert!(blocker.await.is_ok());
    for (number, answer) in waiting.into_iter().enumerate() {
        let expected = match number {
            5 => Err(Refusal::AlreadyThere),
            _ => Ok(Some("store-writer".to_owned())),
        };
        assert_eq!(answer.await, expected);
    }
    assert_eq!(keys_of(&store).len(), 9);
    // The one that held the writer was alone; the ten behind it were one batch.
    assert_eq!(is_given.try_iter().count(), 1);
}

#[test]
fn a_snapshot_does_not_see_what_comes_later() {
    let store = store();
    read(&store, |tx| {
        assert_eq!(tx.get(TABLE, b"later")?, None);
        write(&store, |tx| {
            put(tx, "later");
            Ok(())
        });
        assert_eq!(tx.get(TABLE, b"later")?, None);
        Ok(())
    });
    assert_eq!(keys_of(&store), ["later"]);
}

#[test]
fn a_closure_sees_its_own_changes_and_those_before_it_in_its_batch() {
    let store = store();
    let (go_on, _blocker) = block(&store);
    let first = store.write(|tx| {
        put(tx, "a");
        put(tx, "b");
        tx.remove(TABLE, b"b");
        Ok::<_, StoreError>(tx.scan(TABLE, &Keys::ALL, 9)?.len())
    });
    let second = store.write(|tx| {
        tx.remove(TABLE, b"a");
        put(tx, "c");
        let rows = tx.scan(TABLE, &Keys::ALL, 9)?;
        Ok::<_, StoreError>((tx.get(TABLE, b"a")?, rows))
    });
    drop(go_on);
    assert_eq!(first.wait().expect("a write"), 1);
    let (removed, rows) = second.wait().expect("a write");
    assert_eq!(removed, None);
    assert_eq!(rows, [(b"c".to_vec(), b"value".to_vec())]);
}

#[test]
fn dropping_the_store_finishes_what_waits() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("keystead.redb");
    let store = Store::open(&path, &Fixed).expect("a new file");
    let (go_on, _blocker) = block(&store);
    let waiting: Vec<_> = (0..100)
        .map(|number| {
            store.write(move |tx| {
                put(tx, &format!("{number:02}"));
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    drop(go_on);
    drop(store);
    for answer in waiting {
        assert!(answer.wait().is_ok());
    }
    let store = Store::open(&path, &Fixed).expect("the same file");
    assert_eq!(keys_of(&store).len(), 100);
}

/// Single use, as every service does it: look and take in one closure.
#[test]
fn one_of_many_threads_consumes_a_key() {
    const THREADS: usize = 64;
    let store = store();
    for _ in 0..20 {
        write(&store, |tx| {
            put(tx, "code");
            Ok(())
        });
        let barrier = Barrier::new(THREADS);
        let winners: usize = std::thread::scope(|scope| {
            let attempts: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        write(&store, |tx| {
                            let won = tx.get(TABLE, b"code")?.is_some();
                            tx.remove(TABLE, b"code");
                            Ok(won)
                        })
                    })
                })
                .collect();
            attempts
                .into_iter()
                .map(|attempt| usize::from(attempt.join().expect("an attempt")))
                .sum()
        });
        assert_eq!(winners, 1);
    }
}

#[test]
fn a_caller_that_hangs_up_does_not_take_its_write_back() {
    let store = store();
    let (go_on, _blocker) = block(&store);
    drop(store.write(|tx| {
        put(tx, "abandoned");
        Ok::<_, StoreError>(())
    }));
    drop(go_on);
    write(&store, |_| Ok(()));
    assert_eq!(keys_of(&store), ["abandoned"]);
}

/// Wakes by a message, so that a test can wait for it.
struct Waker(Sender<()>);

impl Wake for Waker {
    fn wake(self: Arc<Self>) {
        self.0.send(()).expect("the test waits");
    }
}

#[test]
fn an_answer_is_a_future_that_wakes_its_caller() {
    let store = store();
    let (go_on, _blocker) = block(&store);
    let mut answer = pin!(store.write(|_| Err::<(), _>(Refusal::AlreadyThere)));
    let (woken, is_woken) = channel();
    let waker = Arc::new(Waker(woken)).into();
    let mut context = Context::from_waker(&waker);
    assert!(answer.as_mut().poll(&mut context).is_pending());
    drop(go_on);
    is_woken.recv().expect("the writer wakes it");
    assert_eq!(
        answer.poll(&mut context),
        Poll::Ready(Err(Refusal::AlreadyThere))
    );
}

#[test]
fn a_commit_that_fails_is_a_fault_for_all_its_writes_and_a_refusal_stays_a_refusal() {
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    write(&store, |tx| {
        put(tx, "kept");
        Ok(())
    });
    let (go_on, _blocker) = block(&store);
    let failing = disk.clone();
    let lost = store.write(move |tx| {
        failing.fail_all(Fault::Full);
        put(tx, "lost");
        Ok::<_, StoreError>(())
    });
    let refused = store.write(|_| Err::<(), _>(Refusal::AlreadyThere));
    drop(go_on);
    let fault = lost.wait().expect_err("refused");
    assert!(fault.is_busy());
    assert_eq!(
        fault.to_string(),
        "the data file takes no writes: the disk is full; it goes on by itself once there is room \
         (no storage space)"
    );
    assert_eq!(refused.wait(), Err(Refusal::AlreadyThere));
    assert_eq!(keys_of(&store), ["kept"]);
}

#[test]
fn many_writers_at_once_all_get_their_own_answer() {
    let store = store();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..50 {
                    let mine = thread * 1_000 + number;
                    let answered = write(store, move |tx| {
                        put(tx, &format!("{mine:06}"));
                        Ok(mine)
                    });
                    assert_eq!(answered, mine);
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
        }
    });
    assert_eq!(keys_of(&store).len(), 16 * 50);
}

#[test]
fn each_write_is_counted_by_what_became_of_it() {
    let disk = Disk::default();
    let store = disk.store(&Fixed).expect("a store");
    let (go_on, blocked) = block(&store);
    let kept = store.write(|tx| {
        put(tx, "kept");
        Ok::<_, StoreError>(())
    });
    let refused = store.write(|_| Err::<(), _>(Refusal::AlreadyThere));
    assert_eq!(store.figures().queued.get(), 2);
    drop(go_on);
    blocked.wait().expect("a write");
    kept.wait().expect("a write");
    assert_eq!(refused.wait(), Err(Refusal::AlreadyThere));
    disk.fail(Plan {
        from: disk.asked(),
        count: 1,
        fault: Fault::Unsynced,
    });
    let failed = store.write(|tx| {
        put(tx, "failed");
        Ok::<_, StoreError>(())
    });
    assert!(failed.wait().is_err());
    let figures = store.figures();
    assert_eq!(Fate::ALL.map(|fate| figures.writes(fate)), [2, 1, 1, 0]);
    // The one that held the writer, then those two, then the one that failed.
    assert_eq!((figures.batches.count(), figures.batches.sum()), (3, 4));
    assert_eq!(figures.commits.count(), 2);
    assert_eq!((figures.faults.get(), figures.queued.get()), (1, 0));
}

#[test]
fn only_what_the_audit_log_got_is_counted_by_its_action() {
    let store = store();
    let entry = |tx: &mut WriteTx<'_>| {
        let head = audit::head(tx)?;
        let entry = AuditEntry {
            number: head.number + 1,
            at: Timestamp::EPOCH,
            actor: Actor::Keystead,
            address: None,
            request_id: None,
            action: Action::GrantRevoked,
            object: Object::Box,
            changes: Vec::new(),
        };
        audit::append(tx, &head, entry)
    };
    write(&store, move |tx| {
        entry(tx)?;
        entry(tx)
    });
    let refused = store.write(move |tx| {
        entry(tx)?;
        Err::<(), StoreError>(StoreError::Closed)
    });
    assert!(refused.wait().is_err());
    for action in Action::ALL {
        let expected = if action == Action::GrantRevoked { 2 } else { 0 };
        assert_eq!(store.figures().actions(action), expected, "{action:?}");
    }
}
