//! Facts about the file itself, by name: its schema, its key, the open claim, the settings.

use bincode::{Decode, Encode};

use crate::{
    config::Switch,
    crypto::{digest::Digest, keyed::Key, web_push::VapidKey},
    model::{audit::ChainEnd, timestamp::Timestamp},
    store::{
        Read, WriteTx, audit,
        codec::{self, Record},
        error::StoreError,
        tables::Table,
    },
};

const SCHEMA: &[u8] = b"schema";
const KEY: &[u8] = b"key";
const CLAIM: &[u8] = b"claim";
const SETTINGS: &[u8] = b"settings";
const PROBE: &[u8] = b"probe";
const CURSOR: &[u8] = b"migration";
const VAPID: &[u8] = b"vapid";
const PUSH_OFF: &[u8] = b"push-off";

/// The link by which the box gets its owner.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Claim {
    /// Of the link's secret.
    pub digest: Digest,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

impl Record for Claim {
    const TABLE: Table = Table::Meta;
    const VERSION: u8 = 1;
}

/// What the owner switched since the start-up configuration said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Settings {
    /// Whether clients may register themselves; `None` leaves it to the configuration.
    pub registration_enabled: Option<bool>,
}

impl Record for Settings {
    const TABLE: Table = Table::Meta;
    const VERSION: u8 = 1;
}

pub(super) fn find_schema(tx: &dyn Read) -> Result<Option<u32>, StoreError> {
    let Some(bytes) = tx.get(Table::Meta, SCHEMA)? else {
        return Ok(None);
    };
    Ok(Some(u32::from_be_bytes(fixed(SCHEMA, &bytes)?)))
}

pub(super) fn put_schema(tx: &mut WriteTx<'_>, schema: u32) {
    tx.put(Table::Meta, SCHEMA, schema.to_be_bytes().to_vec());
}

/// Where a migration that has begun goes on; none while none is under way.
pub(super) fn find_cursor(tx: &dyn Read) -> Result<Option<Vec<u8>>, StoreError> {
    tx.get(Table::Meta, CURSOR)
}

pub(super) fn put_cursor(tx: &mut WriteTx<'_>, cursor: Vec<u8>) {
    tx.put(Table::Meta, CURSOR, cursor);
}

pub(super) fn remove_cursor(tx: &mut WriteTx<'_>) {
    tx.remove(Table::Meta, CURSOR);
}

pub(super) fn put_key(tx: &mut WriteTx<'_>, key: &[u8; Key::LEN]) {
    tx.put(Table::Meta, KEY, key.to_vec());
}

/// The deployment's key.
pub fn key(tx: &dyn Read) -> Result<Key, StoreError> {
    let bytes = tx.get(Table::Meta, KEY)?.unwrap_or_default();
    Ok(Key::from_bytes(&fixed(KEY, &bytes)?))
}

/// What tells one deployment from another: the digest of its key.
pub(super) fn identity(tx: &dyn Read) -> Result<Digest, StoreError> {
    let bytes = tx.get(Table::Meta, KEY)?.unwrap_or_default();
    Ok(Digest::of(&fixed::<{ Key::LEN }>(KEY, &bytes)?))
}

/// The open claim, if there is one.
pub fn find_claim(tx: &dyn Read) -> Result<Option<Claim>, StoreError> {
    tx.get(Table::Meta, CLAIM)?
        .as_deref()
        .map(codec::decode)
        .transpose()
}

/// Opens a claim in place of any other.
pub fn put_claim(tx: &mut WriteTx<'_>, claim: &Claim) -> Result<(), StoreError> {
    tx.put(Table::Meta, CLAIM, codec::encode(claim)?);
    Ok(())
}

/// Closes the claim.
pub fn remove_claim(tx: &mut WriteTx<'_>) {
    tx.remove(Table::Meta, CLAIM);
}

/// The owner's settings.
pub fn settings(tx: &dyn Read) -> Result<Settings, StoreError> {
    let found = tx.get(Table::Meta, SETTINGS)?;
    Ok(found
        .as_deref()
        .map(codec::decode)
        .transpose()?
        .unwrap_or_default())
}

/// Keeps the owner's settings.
pub fn put_settings(tx: &mut WriteTx<'_>, settings: &Settings) -> Result<(), StoreError> {
    tx.put(Table::Meta, SETTINGS, codec::encode(settings)?);
    Ok(())
}

/// The pair by which push services know this box, in PKCS #8, if it has one.
pub fn vapid(tx: &dyn Read) -> Result<Option<Vec<u8>>, StoreError> {
    tx.get(Table::Meta, VAPID)
}

/// Keeps the pair by which push services know this box in the place of any other.
pub fn put_vapid(tx: &mut WriteTx<'_>, pkcs8: Vec<u8>) {
    tx.put(Table::Meta, VAPID, pkcs8);
}

/// Whether nothing is pushed.
pub fn is_push_off(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.get(Table::Meta, PUSH_OFF)?.is_some())
}

/// Keeps whether anything is pushed.
pub fn put_push(tx: &mut WriteTx<'_>, push: Switch) {
    match push {
        Switch::On => tx.remove(Table::Meta, PUSH_OFF),
        Switch::Off => tx.put(Table::Meta, PUSH_OFF, Vec::new()),
    }
}

/// Writes the time, to see whether the file takes it.
pub fn put_probe(tx: &mut WriteTx<'_>, now: Timestamp) {
    tx.put(Table::Meta, PROBE, now.millis().to_be_bytes().to_vec());
}

/// Whether `bytes` are what stands at `name`.
pub(super) fn check_fact(name: &[u8], bytes: &[u8]) -> Result<(), StoreError> {
    match name {
        SCHEMA => fixed::<4>(name, bytes).map(drop),
        KEY => fixed::<{ Key::LEN }>(name, bytes).map(drop),
        PROBE => fixed::<8>(name, bytes).map(drop),
        PUSH_OFF => fixed::<0>(name, bytes).map(drop),
        CLAIM => codec::decode::<Claim>(bytes).map(drop),
        SETTINGS => codec::decode::<Settings>(bytes).map(drop),
        VAPID => VapidKey::from_pkcs8(bytes)
            .map(drop)
            .map_err(|error| StoreError::Corrupt {
                table: Table::Meta.name(),
                reason: error.to_string(),
            }),
        audit::HEAD | audit::BASE => codec::decode::<ChainEnd>(bytes).map(drop),
        _ => Err(StoreError::Corrupt {
            table: Table::Meta.name(),
            reason: "no such fact is known".to_owned(),
        }),
    }
}

fn fixed<const N: usize>(name: &[u8], bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Corrupt {
        table: Table::Meta.name(),
        reason: format!(
            "expected {N} bytes at {:?}, found {}",
            String::from_utf8_lossy(name),
            bytes.len()
        ),
    })
}
