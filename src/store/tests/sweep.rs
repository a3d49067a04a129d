//! The sweeper: everything leaves when it has ended, nothing before, and a step is bounded.

use std::{collections::BTreeSet, time::Duration};

use super::{
    invariants::assert_sound,
    samples::{
        access_token, at, audit_entry, client, client_secret, code, device, document_client,
        family, grant, id, notification, notification_settings, read, session, store, write,
    },
};
use crate::{
    model::{
        id::Id,
        oauth2::token::{Holder, TokenFamily},
        timestamp::Timestamp,
    },
    store::{
        Keys, Store, StoreError, Table, WriteTx, audit, clients, codes, devices,
        devices::DEVICE_KEPT,
        grants, notifications, sessions,
        sweep::{self, Damaged, Kept, Pass, Step},
        tokens,
    },
};

const USER: u8 = 2;
const CLIENT: u8 = 3;

/// Rows that one step may change here.
const STEP_ROWS: usize = 64;
/// For how long the audit log is kept here, and notifications.
const KEPT: Kept = Kept {
    audit: Duration::from_secs(100),
    notifications: Duration::from_secs(50),
};

/// One pass at `now`, step by step.
fn steps(store: &Store, now: Timestamp) -> Vec<Step> {
    let mut pass = Pass::begin(now, KEPT);
    let mut steps = Vec::new();
    while !pass.is_over() {
        let here = pass.clone();
        let rehearsed = read(store, |tx| sweep::rehearse(tx, here.clone(), STEP_ROWS));
        let step = write(store, |tx| sweep::step(tx, here, STEP_ROWS));
        assert_eq!(step, rehearsed, "a rehearsal does what the step does");
        pass = step.pass.clone();
        steps.push(step);
        // Far more than any test here needs: a sweeper without an end fails instead of hanging.
        assert!(steps.len() < 10_000, "the sweeper has no end");
    }
    steps
}

/// One pass at `now`; says how many rows it changed.
fn sweep_all(store: &Store, now: Timestamp) -> usize {
    steps(store, now).iter().map(|step| step.changed).sum()
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
fn a_notification_leaves_with_its_age_and_the_counts_with_it() {
    let tables = [
        Table::Notifications,
        Table::NotificationsByUser,
        Table::InboxCounts,
    ];
    assert_leaves_at(at(1).after(KEPT.notifications), &tables, |tx| {
        notifications::add(tx, &notification(id(at(1), 1), user_id()))
    });
}

/// Inboxes of `each` entries of a user who is gone, of one who is there, and of another.
#[test]
fn the_inbox_of_who_was_removed_is_emptied_in_steps_and_no_other() {
    let store = store();
    let each = 3 * STEP_ROWS as u64;
    write(&store, move |tx| {
        for number in 0..each {
            let told_at = Timestamp::from_millis(number);
            notifications::add(tx, &notification(id(told_at, 1), id(at(1), 8)))?;
            notifications::add(tx, &notification(id(told_at, 2), user_id()))?;
            notifications::add(tx, &notification(id(told_at, 3), id(at(1), 9)))?;
        }
        let settings = notification_settings(client_id());
        notifications::put_settings(tx, id(at(1), 8), &settings)?;
        notifications::end_of_removed_user(tx, at(2), id(at(1), 8));
        Ok(())
    });
    assert_eq!(rows(&store, Table::NotificationSettings), 0);
    let steps = steps(&store, at(2));
    // A notification is three rows, and begun before the bound it is finished.
    assert!(
        steps.iter().all(|step| step.changed <= STEP_ROWS + 2),
        "{steps:?}"
    );
    assert_sound(&store);
    let total = |user| read(&store, |tx| notifications::counts(tx, user)).total;
    assert_eq!(total(id(at(1), 8)), 0);
    assert_eq!((total(user_id()), total(id(at(1), 9))), (each, each));
    assert_eq!(rows(&store, Table::Notifications) as u64, 2 * each);
    assert_eq!(rows(&store, Table::Expiry), 0);
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
    assert_eq!(sweep_all(&store, at(50)), 2);
    assert_eq!(sweep_all(&store, at(50)), 0);
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
fn a_step_changes_no_more_than_its_bound() {
    let store = store();
    let each = 3 * STEP_ROWS / 2;
    write(&store, move |tx| {
        for number in 0..each as u64 {
            let made_at = Timestamp::from_millis(number);
            tokens::put_access_token(tx, &access_token(id(made_at, 1), at(50)))?;
            sessions::add(tx, &session(id(made_at, 2), id(made_at, 3), at(50)))?;
        }
        Ok(())
    });
    let steps = steps(&store, at(50));
    // A session is three rows, and begun before the bound it is finished.
    assert!(
        steps.iter().all(|step| step.changed <= STEP_ROWS + 2),
        "{steps:?}"
    );
    assert_eq!(
        steps.iter().map(|step| step.changed).sum::<usize>(),
        each + 3 * each
    );
    assert_eq!(rows(&store, Table::AccessTokens), 0);
    assert_eq!(rows(&store, Table::Sessions), 0);
    assert_sound(&store);
}

#[test]
fn many_that_are_met_too_early_do_not_hold_up_the_sweeper() {
    let store = store();
    write(&store, |tx| {
        let mine = grant(id(at(1), 1), user_id(), client_id(), at(900));
        grants::add(tx, &mine)?;
        for number in 0..2 * STEP_ROWS as u64 {
            let family_id = id(Timestamp::from_millis(number), 9);
            tokens::add_family(tx, &family(family_id, mine.id, at(50)))?;
            tokens::put_family(tx, &family(family_id, mine.id, at(80)))?;
        }
        Ok(())
    });
    // A row removed and one put for each.
    assert_eq!(sweep_all(&store, at(50)), 4 * STEP_ROWS);
    assert_eq!(rows(&store, Table::TokenFamilies), 2 * STEP_ROWS);
}

/// What ends while a pass is under way is the next one's: a pass has an end.
#[test]
fn a_pass_removes_what_had_ended_when_it_began() {
    let store = store();
    write(&store, |tx| {
        for number in 0..3 {
            let token = access_token(id(Timestamp::from_millis(number), 1), at(50 + number));
            tokens::put_access_token(tx, &token)?;
        }
        Ok(())
    });
    assert_eq!(sweep_all(&store, at(51)), 2);
    assert_eq!(rows(&store, Table::AccessTokens), 1);
}

/// Grants `each` of a client and of a user who are gone, and one of neither.
fn orphans(each: u64) -> Store {
    let store = store();
    write(&store, move |tx| {
        let (client, user) = (id(at(1), 7), id(at(1), 8));
        for number in 0..each {
            let made_at = Timestamp::from_millis(number);
            grants::add(tx, &grant(id(made_at, 1), user_id(), client, at(900)))?;
            grants::add(tx, &grant(id(made_at, 2), user, client_id(), at(900)))?;
        }
        grants::add(tx, &grant(id(at(1), 3), user_id(), client_id(), at(900)))?;
        grants::end_of_removed_client(tx, at(2), client);
        grants::end_of_removed_user(tx, at(2), user);
        Ok(())
    });
    store
}

#[test]
fn the_grants_of_who_was_removed_leave_in_steps_and_are_named() {
    let each = 3 * STEP_ROWS as u64;
    let store = orphans(each);
    let steps = steps(&store, at(2));
    // A grant is three rows and its audit entry, and begun before the bound it is finished.
    assert!(
        steps.iter().all(|step| step.changed <= STEP_ROWS + 3),
        "{steps:?}"
    );
    let ended: BTreeSet<Id> = steps
        .iter()
        .flat_map(|step| step.ended_grants.clone())
        .collect();
    assert_eq!(ended.len() as u64, 2 * each);
    for table in [Table::Grants, Table::GrantsByUser, Table::GrantsByClient] {
        assert_eq!(rows(&store, table), 1, "{}", table.name());
    }
    assert_sound(&store);
    // What is left in the expiry index is met at the grants' own end.
    sweep_all(&store, at(900));
    assert_eq!(rows(&store, Table::Expiry), 0);
}

#[test]
fn a_damaged_grant_of_who_was_removed_does_not_keep_the_others() {
    let store = orphans(STEP_ROWS as u64);
    let damaged = id(Timestamp::from_millis(5), 1);
    write(&store, move |tx| {
        tx.put(Table::Grants, damaged.as_bytes(), vec![99]);
        Ok(())
    });
    let found: Vec<Damaged> = steps(&store, at(2))
        .into_iter()
        .flat_map(|step| step.damaged)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].table, Table::GrantsByClient.name());
    assert_eq!(found[0].key[16..], *damaged.as_bytes());
    assert_eq!(rows(&store, Table::Grants), 2);
}

/// Puts rows that cannot be read into every place, at its edge and among rows that end.
fn damage_every_place(tx: &mut WriteTx<'_>) -> Result<(), StoreError> {
    for number in 0..4_u64 {
        let made_at = Timestamp::from_millis(number);
        tokens::put_access_token(tx, &access_token(id(made_at, 1), at(50)))?;
        codes::put(tx, &code(id(made_at, 1), at(50)))?;
        grants::spend_consent(tx, id(made_at, 1), at(50))?;
        devices::add(
            tx,
            &device(id(made_at, 1), u8::try_from(number).expect("small"), at(50)),
        )?;
        sessions::add(tx, &session(id(made_at, 1), user_id(), at(50)))?;
    }
    let damaged = [
        id(Timestamp::from_millis(0), 0),
        id(Timestamp::from_millis(2), 0),
    ];
    for id in damaged {
        for table in [
            Table::AccessTokens,
            Table::Codes,
            Table::SpentConsents,
            Table::Devices,
        ] {
            tx.put(table, id.as_bytes(), vec![99]);
        }
        tx.put(Table::Expiry, id.as_bytes(), Vec::new());
    }
    tx.put(
        Table::Sessions,
        id(Timestamp::from_millis(2), 1).as_bytes(),
        vec![99],
    );
    Ok(())
}

#[test]
fn what_cannot_be_read_is_named_and_left_and_the_rest_is_swept() {
    let store = store();
    write(&store, damage_every_place);
    for _ in 0..2 {
        let now = at(50).after(codes::CODE_KEPT);
        let found: Vec<Damaged> = steps(&store, now)
            .into_iter()
            .flat_map(|step| step.damaged)
            .collect();
        let count = |table: Table| found.iter().filter(|row| row.table == table.name()).count();
        // Two rows of the index are none, and one names a session that cannot be read.
        assert_eq!(count(Table::Expiry), 3, "{found:?}");
        for table in [
            Table::AccessTokens,
            Table::Codes,
            Table::SpentConsents,
            Table::Devices,
        ] {
            assert_eq!(count(table), 2, "{found:?}");
            assert_eq!(rows(&store, table), 2, "{}", table.name());
        }
        // With the index rows that only the damaged record knows.
        assert_eq!(rows(&store, Table::Sessions), 1);
        assert_eq!(rows(&store, Table::SessionsByUser), 1);
        assert_eq!(rows(&store, Table::DevicesByUserCode), 0);
    }
}

#[test]
fn more_damage_than_a_step_has_room_for_is_passed_all_the_same() {
    let store = store();
    write(&store, |tx| {
        for number in 0..3 * STEP_ROWS as u64 {
            let id = id(Timestamp::from_millis(number), 0);
            tx.put(Table::AccessTokens, id.as_bytes(), vec![99]);
        }
        tokens::put_access_token(tx, &access_token(id(at(1), 1), at(50)))
    });
    assert_eq!(sweep_all(&store, at(50)), 1);
    assert_eq!(rows(&store, Table::AccessTokens), 3 * STEP_ROWS);
}

/// Of the audit log the oldest leave, a damaged one among them is passed over, and what is left
/// still holds together.
#[test]
fn the_audit_log_is_let_go_around_an_entry_that_cannot_be_read() {
    let store = store();
    write(&store, |tx| {
        for number in 1..=9 {
            let head = audit::head(tx)?;
            audit::append(tx, &head, audit_entry(number, at(number)))?;
        }
        tx.put(Table::Audit, &3_u64.to_be_bytes(), vec![99]);
        Ok(())
    });
    let steps = steps(&store, at(5).after(KEPT.audit));
    let damaged: Vec<_> = steps.iter().flat_map(|step| &step.damaged).collect();
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert_eq!(damaged[0].key, 3_u64.to_be_bytes());
    read(&store, |tx| {
        assert_eq!(audit::base(tx)?.number, 5);
        let left = audit::list_after(tx, 5, 10)?;
        assert_eq!(left.first().map(|chained| chained.entry.number), Some(6));
        Ok(())
    });
    assert_eq!(rows(&store, Table::Audit), 5);
}

#[test]
fn damage_says_what_was_expected() {
    let store = store();
    write(&store, |tx| {
        tx.put(Table::SpentConsents, &[0; 16], vec![1, 2, 3]);
        Ok(())
    });
    let steps = steps(&store, at(1));
    assert_eq!(
        steps[0].damaged[0].reason,
        "a record of spent_consents_v1 cannot be read: expected an instant of 8 bytes, found 3"
    );
}
