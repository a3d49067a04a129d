//! The rooms: whatever is done, the indexes agree with the records.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    invariants::{assert_sound, contradictions, records},
    samples::{
        at, client, client_secret, document_client, family, grant, id, read, session, store, user,
        write,
    },
};
use crate::{
    model::{
        id::Id,
        oauth2::{client::ClientSecret, token::Holder},
        timestamp::Timestamp,
    },
    store::{
        Keys, StoreError, Table, WriteTx, clients,
        clients::SECRETS_PER_CLIENT_MAX,
        grants,
        grants::{GRANTS_PER_CLIENT_MAX, GRANTS_PER_USER_MAX},
        sessions,
        sweep::{self, Pass},
        tokens, users,
    },
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Approval {
    Given,
    Missing,
}

fn any_approval() -> impl Strategy<Value = Approval> {
    prop_oneof![Just(Approval::Given), Just(Approval::Missing)]
}

/// What services do, with few enough names that they meet.
#[derive(Clone, Copy, Debug)]
enum Operation {
    PutUser { user: u8, name: u8 },
    RemoveUser { user: u8 },
    AddSession { session: u8, user: u8 },
    TouchSession { session: u8 },
    RemoveSession { session: u8 },
    PutClient { client: u8, approval: Approval },
    RemoveClient { client: u8 },
    PutSecret { client: u8, secret: u8 },
    RemoveSecret { client: u8, secret: u8 },
    AddGrant { grant: u8, user: u8, client: u8 },
    RemoveGrant { grant: u8 },
    AddFamily { family: u8, grant: u8 },
    Rotate { family: u8 },
    RemoveFamily { family: u8 },
    Sweep,
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let any = || 0_u8..4;
    prop_oneof![
        (any(), any()).prop_map(|(user, name)| Operation::PutUser { user, name }),
        any().prop_map(|user| Operation::RemoveUser { user }),
        (any(), any()).prop_map(|(session, user)| Operation::AddSession { session, user }),
        any().prop_map(|session| Operation::TouchSession { session }),
        any().prop_map(|session| Operation::RemoveSession { session }),
        (any(), any_approval())
            .prop_map(|(client, approval)| Operation::PutClient { client, approval }),
        any().prop_map(|client| Operation::RemoveClient { client }),
        (any(), any()).prop_map(|(client, secret)| Operation::PutSecret { client, secret }),
        (any(), any()).prop_map(|(client, secret)| Operation::RemoveSecret { client, secret }),
        (any(), any(), any()).prop_map(|(grant, user, client)| Operation::AddGrant {
            grant,
            user,
            client
        }),
        any().prop_map(|grant| Operation::RemoveGrant { grant }),
        (any(), any()).prop_map(|(family, grant)| Operation::AddFamily { family, grant }),
        any().prop_map(|family| Operation::Rotate { family }),
        any().prop_map(|family| Operation::RemoveFamily { family }),
        Just(Operation::Sweep),
    ]
}

/// The id of one of few, of its own kind.
fn name(kind: u8, number: u8) -> Id {
    id(at(1), 16 * kind + number)
}

fn user_name(number: u8) -> Id {
    name(1, number)
}

fn client_name(number: u8) -> Id {
    name(2, number)
}

/// Does `operation` at `now` as a service would: looks first, then changes.
fn perform(tx: &mut WriteTx<'_>, operation: Operation, now: Timestamp) -> Result<(), StoreError> {
    match operation {
        Operation::PutUser { user, name } => put_user(tx, user, name),
        Operation::RemoveUser { user } => {
            if let Some(found) = users::find(tx, user_name(user))? {
                users::remove(tx, &found);
            }
            Ok(())
        }
        Operation::AddSession { session, user } => add_session(tx, session, user, now),
        Operation::TouchSession { session: number } => {
            let Some(mut found) = sessions::find(tx, name(3, number))? else {
                return Ok(());
            };
            found.idle_expires_at = now.after(LIFETIME);
            sessions::put(tx, &found)
        }
        Operation::RemoveSession { session } => {
            if let Some(found) = sessions::find(tx, name(3, session))? {
                sessions::remove(tx, &found);
            }
            Ok(())
        }
        Operation::PutClient { client, approval } => put_client(tx, client, approval, now),
        Operation::RemoveClient { client } => clients::remove(tx, client_name(client)),
        Operation::PutSecret { client, secret } => put_secret(tx, client, secret),
        Operation::RemoveSecret { client, secret } => {
            let of = client_name(client);
            clients::remove_secret(tx, &client_secret(name(4, secret), of));
            Ok(())
        }
        Operation::AddGrant {
            grant,
            user,
            client,
        } => add_grant(tx, grant, user, client, now),
        Operation::RemoveGrant { grant } => {
            if let Some(found) = grants::find(tx, name(5, grant))? {
                grants::remove(tx, &found);
            }
            Ok(())
        }
        Operation::AddFamily { family, grant } => add_family(tx, family, grant, now),
        Operation::Rotate { family: number } => {
            let Some(found) = tokens::find_family(tx, name(6, number))? else {
                return Ok(());
            };
            let Holder::Person { grant_id, .. } = found.holder else {
                return Ok(());
            };
            tokens::put_family(tx, &family(found.id, grant_id, now.after(LIFETIME)))
        }
        Operation::RemoveFamily { family } => {
            tokens::remove_family(tx, name(6, family));
            Ok(())
        }
        Operation::Sweep => {
            sweep::step(tx, Pass::begin(now, sweep::Kept::FOR_GOOD), usize::MAX).map(drop)
        }
    }
}

/// How long everything lives here: a few operations.
const LIFETIME: Duration = Duration::from_secs(10);

fn put_user(tx: &mut WriteTx<'_>, number: u8, name: u8) -> Result<(), StoreError> {
    let user = user(user_name(number), &format!("user{name}"));
    let namesake = users::find_by_name(tx, &user.name)?;
    if namesake.is_some_and(|namesake| namesake.id != user.id) {
        return Ok(());
    }
    users::put(tx, &user)
}

fn add_session(
    tx: &mut WriteTx<'_>,
    number: u8,
    user: u8,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = name(3, number);
    if sessions::find(tx, id)?.is_some() {
        return Ok(());
    }
    sessions::add(tx, &session(id, user_name(user), now.after(LIFETIME)))
}

fn put_client(
    tx: &mut WriteTx<'_>,
    number: u8,
    approval: Approval,
    now: Timestamp,
) -> Result<(), StoreError> {
    // One of them is described by a document, so that the index by URL is tried as well.
    let make = if number == 0 { document_client } else { client };
    let client = make(
        client_name(number),
        (approval == Approval::Given).then_some(now),
    );
    clients::put(tx, &client)?;
    clients::expire_unless_approved(tx, &client, now.after(LIFETIME));
    Ok(())
}

fn put_secret(tx: &mut WriteTx<'_>, client: u8, secret: u8) -> Result<(), StoreError> {
    let client_id = client_name(client);
    if clients::find(tx, client_id)?.is_none() {
        return Ok(());
    }
    clients::put_secret(tx, &client_secret(name(4, secret), client_id))
}

fn add_grant(
    tx: &mut WriteTx<'_>,
    number: u8,
    user: u8,
    client: u8,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = name(5, number);
    if grants::find(tx, id)?.is_some() {
        return Ok(());
    }
    let end = now.after(LIFETIME);
    grants::add(tx, &grant(id, user_name(user), client_name(client), end))
}

fn add_family(
    tx: &mut WriteTx<'_>,
    number: u8,
    grant: u8,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = name(6, number);
    if tokens::find_family(tx, id)?.is_some() {
        return Ok(());
    }
    tokens::add_family(tx, &family(id, name(5, grant), now.after(LIFETIME)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_is_done_the_indexes_agree(
        operations in proptest::collection::vec(any_operation(), 1..80),
        batch in 1_usize..8,
    ) {
        let store = store();
        let mut now = at(100);
        for some in operations.chunks(batch) {
            let some = some.to_vec();
            now = now.after(Duration::from_secs(1));
            write(&store, move |tx| {
                some.into_iter().try_for_each(|operation| perform(tx, operation, now))
            });
            prop_assert_eq!(store.read(|tx| contradictions(tx))?, Vec::<String>::new());
        }
        // In the end everything that ends is gone, and nothing of it is left.
        write(&store, |tx| perform(tx, Operation::Sweep, Timestamp::NEVER));
        for table in [Table::Sessions, Table::Grants, Table::TokenFamilies, Table::Expiry] {
            prop_assert!(read(&store, |tx| tx.scan(table, &Keys::ALL, 1)).is_empty());
        }
        assert_sound(&store);
    }
}

#[test]
fn a_user_who_changes_their_name_is_found_by_the_new_one_alone() {
    let store = store();
    write(&store, |tx| {
        users::put(tx, &user(user_name(1), "ada"))?;
        users::put(tx, &user(user_name(1), "lovelace"))
    });
    read(&store, |tx| {
        assert!(users::find_by_name(tx, &"ada".parse().expect("a name"))?.is_none());
        let found = users::find_by_name(tx, &"lovelace".parse().expect("a name"))?;
        assert_eq!(found.map(|user| user.id), Some(user_name(1)));
        Ok(())
    });
    assert_sound(&store);
}

#[test]
fn lists_are_of_one_owner_and_in_the_order_they_promise() {
    let store = store();
    write(&store, |tx| {
        for number in 0..4 {
            let mine = user_name(number % 2);
            sessions::add(tx, &session(name(3, number), mine, at(50)))?;
            let client = client_name(number % 2);
            grants::add(tx, &grant(name(5, number), user_name(9), client, at(50)))?;
            clients::put(tx, &self::client(client_name(number), None))?;
            clients::put_secret(tx, &client_secret(name(4, number), client_name(1)))?;
        }
        Ok(())
    });
    read(&store, |tx| {
        let mine: Vec<_> = sessions::list_of_user(tx, user_name(1))?;
        assert_eq!(
            mine.iter().map(|one| one.id).collect::<Vec<_>>(),
            [name(3, 3), name(3, 1)]
        );
        let given = grants::list_of_user(tx, user_name(9))?;
        assert_eq!(given.first().map(|one| one.id), Some(name(5, 3)));
        assert_eq!(given.len(), 4);
        let oldest = clients::list(tx, 2)?;
        assert_eq!(
            oldest.iter().map(|one| one.id).collect::<Vec<_>>(),
            [client_name(0), client_name(1)]
        );
        let secrets = clients::secrets(tx, client_name(1))?;
        assert_eq!(secrets.first().map(|one| one.id), Some(name(4, 0)));
        assert_eq!(secrets.len(), 4);
        assert!(clients::secrets(tx, client_name(0))?.is_empty());
        Ok(())
    });
}

#[test]
fn a_client_takes_all_its_secrets_with_it() {
    let store = store();
    write(&store, |tx| {
        clients::put(tx, &client(client_name(1), None))?;
        for number in 0..SECRETS_PER_CLIENT_MAX as u64 {
            let id = id(Timestamp::from_millis(number), 4);
            clients::put_secret(tx, &client_secret(id, client_name(1)))?;
        }
        clients::remove(tx, client_name(1))
    });
    assert!(read(&store, records::<ClientSecret>).is_empty());
    assert_sound(&store);
}

#[test]
fn whoever_has_as_many_grants_as_they_may_loses_the_oldest_to_one_more() {
    let store = store();
    // As many users as the client's grants need, each with as many as they may have.
    let users = GRANTS_PER_CLIENT_MAX.div_ceil(GRANTS_PER_USER_MAX) as u64;
    let user_id = |number: u64| id(at(2 + number), 0);
    let grant_id = |number: u64| id(Timestamp::from_millis(number), 1);
    write(&store, move |tx| {
        for number in 0..GRANTS_PER_CLIENT_MAX as u64 {
            let owner = user_id(number % users);
            let given = grant(grant_id(number), owner, client_name(0), at(9));
            grants::add(tx, &given)?;
        }
        Ok(())
    });
    let ended = |user: Id, client: Id| {
        let ended = write(&store, move |tx| grants::make_room(tx, user, client));
        ended.iter().map(|grant| grant.id).collect::<Vec<_>>()
    };
    // Both bounds are met: the user's oldest, then nothing, because that was the client's as well.
    assert_eq!(ended(user_id(0), client_name(0)), [grant_id(0)]);
    assert_eq!(ended(user_id(0), client_name(0)), []);
    assert_eq!(ended(user_id(1), client_name(1)), [grant_id(1)]);
    assert_eq!(ended(user_id(users), client_name(1)), []);
}

#[test]
fn the_newest_grant_to_a_client_is_found_among_many_to_others() {
    let store = store();
    let grant_id = |second: u64| id(at(second), 1);
    write(&store, move |tx| {
        for second in 10..110 {
            // Two of a hundred, with more between them than are read at a time.
            let client = client_name(u8::from(second == 20 || second == 80));
            grants::add(tx, &grant(grant_id(second), user_name(1), client, at(900)))?;
        }
        // Of another user, before and behind them.
        grants::add(
            tx,
            &grant(id(at(90), 2), user_name(0), client_name(1), at(900)),
        )?;
        grants::add(
            tx,
            &grant(id(at(90), 3), user_name(2), client_name(1), at(900)),
        )
    });
    let newest = |client: u8, since: u64, suiting: &[u64]| {
        let suiting: Vec<Id> = suiting.iter().map(|second| grant_id(*second)).collect();
        let found = read(&store, |tx| {
            grants::find_newest(
                tx,
                (user_name(1), client_name(client)),
                at(since),
                |grant| suiting.contains(&grant.id),
            )
        });
        found.map(|grant| grant.id)
    };
    assert_eq!(newest(1, 0, &[20, 80]), Some(grant_id(80)));
    assert_eq!(newest(1, 0, &[20]), Some(grant_id(20)));
    assert_eq!(newest(1, 20, &[20]), Some(grant_id(20)));
    assert_eq!(newest(1, 21, &[20]), None);
    assert_eq!(newest(1, 0, &[30]), None);
    assert_eq!(newest(2, 0, &[20, 80]), None);
}
