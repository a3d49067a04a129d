//! The sweeper: everything leaves when it has ended, nothing before, and a step is bounded.

use std::time::Duration;

use super::samples::{
    access_token, at, client, client_secret, code, device, document_client, family, grant, id,
    read, session, store, write,
};
use crate::{
    model::{
        id::Id,
        oauth2::token::{Holder, TokenFamily},
        timestamp::Timestamp,
    },
    store::{
        Keys, Store, StoreError, Table, WriteTx, clients, codes, devices, devices::DEVICE_KEPT,
        grants, sessions, sweep, sweep::STEP_ROWS_MAX, tokens,
    },
};

const USER: u8 = 2;
const CLIENT: u8 = 3;

/// One step at `now`.
fn step(store: &Store, now: Timestamp) -> usize {
    write(store, move |tx| sweep::step(tx, now)).rows
}

/// Steps at `now` until nothing is left to do, and says how many rows they dealt with.
fn sweep_all(store: &Store, now: Timestamp) -> usize {
    let mut dealt_with = 0;
    // Far more than any test here needs: a sweeper without an end fails instead of hanging.
    for _ in 0..100 {
        match step(store, now) {
            0 => return dealt_with,
            rows => dealt_with += rows,
        }
    }
    panic!("the sweeper has no end: {dealt_with} rows");
}

fn rows(store: &Store, table: Table) -> usize {
    read(store, |tx| tx.scan(table, &Keys::ALL, usize::MAX)).len()
}

/// Fails unless what `add` puts into `table` is there until `end` and then, with all that the
/// indexes say of it, is not.
fn assert_leaves_at(
    end: Timestamp,
    tables: &[Table],
    add: impl FnOnce(&mut WriteTx<'_>) -> Result<(), StoreError> + Send + 'static,
) {
    let store = store();
    write(&store, add);
    let just_before = end.before(Duration::from_millis(1));
    sweep_all(&store, just_before);
    for table in tables {
        assert_eq!(rows(&store, *table), 1, "{} left early", table.name());
    }
    assert_ne!(sweep_all(&store, end), 0);
    for table in tables {
        assert_eq!(rows(&store, *table), 0, "{} is left over", table.name());
    }
    assert_eq!(rows(&store, Table::Expiry), 0);
}

fn user_id() -> Id {
    id(at(1), USER)
}

fn client_id() -> Id {
    id(at(1), CLIENT)
}

#[test]
fn a_session_leaves_at_the_earlier_of_its_ends() {
    let tables = [Table::Sessions, Table::SessionsByUser];
    assert_leaves_at(at(50), &tables, |tx| {
        sessions::add(tx, &session(id(at(1), 1), user_id(), at(50)))
    });
    assert_leaves_at(at(1_000_000), &tables, |tx| {
        sessions::add(tx, &session(id(at(1), 1), user_id(), at(2_000_000)))
    });
}

#[test]
fn a_grant_leaves_with_both_its_index_rows() {
    let tables = [Table::Grants, Table::GrantsByUser, Table::GrantsByClient];
    assert_leaves_at(at(50), &tables, |tx| {
        grants::add(tx, &grant(id(at(1), 1), user_id(), client_id(), at(50)))
    });
}

#[test]
fn a_device_is_remembered_for_a_while_and_leaves_with_its_user_code() {
    let tables = [Table::Devices, Table::DevicesByUserCode];
    assert_leaves_at(at(50).after(DEVICE_KEPT), &tables, |tx| {
        devices::add(tx, &device(id(at(1), 1), 1, at(50)))
    });
}

#[test]
fn a_clients_own_family_leaves_at_its_end_without_a_grant() {
    assert_leaves_at(at(1_000_000), &[Table::TokenFamilies], |tx| {
        let own = TokenFamily {
            holder: Holder::Client,
            refresh: None,
            ..family(id(at(1), 1), id(at(1), 2), at(50))
        };
        tokens::add_family(tx, &own)
    });
}

#[test]
fn an_unapproved_client_leaves_with_its_secrets() {
    let tables = [Table::Clients, Table::ClientSecrets];
    assert_leaves_at(at(50), &tables, |tx| {
        let unapproved = client(client_id(), None);
        clients::put(tx, &unapproved)?;
        clients::put_secret(tx, &client_secret(id(at(1), 1), client_id()))?;
        clients::expire_unless_approved(tx, &unapproved, at(50));
        Ok(())
    });
}

#[test]
fn an_unapproved_client_of_a_document_leaves_with_its_url() {
    let tables = [Table::Clients, Table::ClientsByDocument];
    assert_leaves_at(at(50), &tables, |tx| {
        let unapproved = document_client(client_id(), None);
        clients::put(tx, &unapproved)?;
        clients::expire_unless_approved(tx, &unapproved, at(50));
        Ok(())
    });
}

#[test]
fn a_client_that_was_approved_stays_for_good() {
    let store = store();
    write(&store, |tx| {
        let unapproved = client(client_id(), None);
        clients::put(tx, &unapproved)?;
        clients::expire_unless_approved(tx, &unapproved, at(50));
        clients::put(tx, &client(client_id(), Some(at(20))))
    });
    sweep_all(&store, Timestamp::NEVER);
    assert_eq!(rows(&store, Table::Clients), 1);
    assert_eq!(rows(&store, Table::Expiry), 0);
}

#[test]
fn an_access_token_leaves_when_it_ends() {
    assert_leaves_at(at(50), &[Table::AccessTokens], |tx| {
        tokens::put_access_token(tx, &access_token(id(at(1), 1), at(50)))
    });
}

#[test]
fn a_consent_leaves_when_it_ends() {
    assert_leaves_at(at(50), &[Table::SpentConsents], |tx| {
        assert!(grants::spend_consent(tx, id(at(1), 1), at(50))?);
        assert!(!grants::spend_consent(tx, id(at(1), 1), at(50))?);
        Ok(())
    });
}

/// A replay has to be known as one long after the code has ended.
#[test]
fn a_code_is_kept_for_a_day_or_for_as_long_as_it_works() {
    let a_day_later = at(10).after(codes::CODE_KEPT);
    assert_leaves_at(a_day_later, &[Table::Codes], |tx| {
        codes::put(tx, &code(id(at(10), 1), at(70)))
    });
    let later_still = a_day_later.after(Duration::from_secs(1));
    assert_leaves_at(later_still, &[Table::Codes], move |tx| {
        codes::put(tx, &code(id(at(10), 1), later_still))
    });
}

#[test]
fn a_family_leaves_when_it_is_not_used() {
    let store = store();
    write(&store, |tx| {
        let mine = grant(id(at(1), 1), user_id(), client_id(), at(900));
        grants::add(tx, &mine)?;
        tokens::add_family(tx, &family(id(at(1), 9), mine.id, at(50)))
    });
    sweep_all(&store, at(49));
    assert_eq!(rows(&store, Table::TokenFamilies), 1);
    sweep_all(&store, at(50));
    assert_eq!(rows(&store, Table::TokenFamilies), 0);
    assert_eq!(rows(&store, Table::Grants), 1);
}

#[test]
fn a_family_that_was_used_stays_until_its_new_end() {
    let store = store();
    write(&store, |tx| {
        let mine = grant(id(at(1), 1), user_id(), client_id(), at(900));
        grants::add(tx, &mine)?;
        tokens::add_family(tx, &family(id(at(1), 9), mine.id, at(50)))?;
        tokens::put_family(tx, &family(id(at(1), 9), mine.id, at(80)))
    });
    // The row of the former end is met, moved, and not met again.
    assert_eq!(step(&store, at(50)), 1);
    assert_eq!(step(&store, at(50)), 0);
    assert_eq!(sweep_all(&store, at(79)), 0);
    assert_eq!(rows(&store, Table::TokenFamilies), 1);
    sweep_all(&store, at(80));
    assert_eq!(rows(&store, Table::TokenFamilies), 0);
}

#[test]
fn a_family_whose_grant_is_gone_leaves_when_it_is_met() {
    let store = store();
    write(&store, |tx| {
        let mine = grant(id(at(1), 1), user_id(), client_id(), at(900));
        grants::add(tx, &mine)?;
        tokens::add_family(tx, &family(id(at(1), 9), mine.id, at(50)))?;
        tokens::put_family(tx, &family(id(at(1), 9), mine.id, at(80)))?;
        grants::remove(tx, &mine);
        Ok(())
    });
    sweep_all(&store, at(50));
    assert_eq!(rows(&store, Table::TokenFamilies), 0);
}

#[test]
fn what_was_removed_before_its_end_leaves_no_row_behind() {
    let store = store();
    write(&store, |tx| {
        let session = session(id(at(1), 1), user_id(), at(50));
        sessions::add(tx, &session)?;
        sessions::remove(tx, &session);
        tokens::add_family(tx, &family(id(at(1), 9), id(at(1), 1), at(50)))?;
        tokens::remove_family(tx, id(at(1), 9));
        Ok(())
    });
    assert_eq!(rows(&store, Table::Expiry), 2);
    assert_eq!(sweep_all(&store, at(50)), 2);
    assert_eq!(rows(&store, Table::Expiry), 0);
}

#[test]
fn a_step_deals_with_no_more_than_its_bound() {
    let store = store();
    let tokens = 3 * STEP_ROWS_MAX / 2;
    write(&store, move |tx| {
        for number in 0..tokens as u64 {
            let made_at = Timestamp::from_millis(number);
            tokens::put_access_token(tx, &access_token(id(made_at, 1), at(50)))?;
            sessions::add(tx, &session(id(made_at, 2), id(made_at, 3), at(50)))?;
        }
        Ok(())
    });
    // Two places have something: the expiry index and the tokens' own table.
    assert_eq!(step(&store, at(50)), 2 * STEP_ROWS_MAX);
    assert_eq!(step(&store, at(50)), STEP_ROWS_MAX);
    assert_eq!(step(&store, at(50)), 0);
    assert_eq!(rows(&store, Table::AccessTokens), 0);
    assert_eq!(rows(&store, Table::Sessions), 0);
}

#[test]
fn many_that_are_met_too_early_do_not_hold_up_the_sweeper() {
    let store = store();
    write(&store, |tx| {
        let mine = grant(id(at(1), 1), user_id(), client_id(), at(900));
        grants::add(tx, &mine)?;
        for number in 0..2 * STEP_ROWS_MAX as u64 {
            let family_id = id(Timestamp::from_millis(number), 9);
            tokens::add_family(tx, &family(family_id, mine.id, at(50)))?;
            tokens::put_family(tx, &family(family_id, mine.id, at(80)))?;
        }
        Ok(())
    });
    assert_eq!(sweep_all(&store, at(50)), 2 * STEP_ROWS_MAX);
    assert_eq!(rows(&store, Table::TokenFamilies), 2 * STEP_ROWS_MAX);
}

#[test]
fn a_row_that_is_no_row_of_the_index_is_reported_and_not_skipped() {
    let store = store();
    write(&store, |tx| {
        tx.put(Table::Expiry, &[0; 25], Vec::new());
        Ok(())
    });
    let result = store.write(|tx| sweep::step(tx, at(1))).wait();
    assert!(matches!(
        result,
        Err(StoreError::Corrupt {
            table: "expiry_v1",
            ..
        })
    ));
}

#[test]
fn a_consent_of_a_wrong_size_is_reported_and_not_skipped() {
    let store = store();
    write(&store, |tx| {
        tx.put(Table::SpentConsents, &[0; 16], vec![1, 2, 3]);
        Ok(())
    });
    let result = store.write(|tx| sweep::step(tx, at(1))).wait();
    assert_eq!(
        result.expect_err("damaged").to_string(),
        "a record of spent_consents_v1 cannot be read: expected an instant of 8 bytes, found 3"
    );
}
