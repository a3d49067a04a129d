//! What devices asked for, and the index by the code that a person types.

use std::time::Duration;

use crate::{
    crypto::digest::Digest,
    model::{id::Id, oauth2::device::DeviceAuthorization},
    store::{
        Read, StoreError, Table, WriteTx,
        codec::{self, Record},
    },
};

/// Devices that wait, or did shortly ago, at the most.
pub const DEVICES_MAX: usize = 10_000;
/// For how long after its end a device's code is remembered, so that it is told what happened.
pub const DEVICE_KEPT: Duration = Duration::from_mins(10);

impl Record for DeviceAuthorization {
    const TABLE: Table = Table::Devices;
    const VERSION: u8 = 1;
}

/// The authorization whose device code has that id.
pub fn find(tx: &dyn Read, id: Id) -> Result<Option<DeviceAuthorization>, StoreError> {
    codec::find(tx, id.as_bytes())
}

/// The authorization whose user code has that keyed digest.
pub fn find_by_user_code(
    tx: &dyn Read,
    user_code: &Digest,
) -> Result<Option<DeviceAuthorization>, StoreError> {
    let Some(id) = tx.get(Table::DevicesByUserCode, user_code.as_bytes())? else {
        return Ok(None);
    };
    find(tx, codec::id(Table::DevicesByUserCode, &id)?)
}

/// Whether there is no room for another device.
pub fn is_full(tx: &dyn Read) -> Result<bool, StoreError> {
    Ok(tx.len(Table::Devices)? >= DEVICES_MAX as u64)
}

/// Keeps what a device has just asked for.
pub fn add(tx: &mut WriteTx<'_>, device: &DeviceAuthorization) -> Result<(), StoreError> {
    put(tx, device)?;
    let id = device.id.as_bytes().to_vec();
    tx.put(
        Table::DevicesByUserCode,
        device.user_code_digest.as_bytes(),
        id,
    );
    Ok(())
}

/// Keeps what changed of an authorization that exists.
pub fn put(tx: &mut WriteTx<'_>, device: &DeviceAuthorization) -> Result<(), StoreError> {
    codec::put(tx, device.id.as_bytes(), device)
}

/// Forgets an authorization and its codes.
pub fn remove(tx: &mut WriteTx<'_>, device: &DeviceAuthorization) {
    tx.remove(Table::Devices, device.id.as_bytes());
    tx.remove(Table::DevicesByUserCode, device.user_code_digest.as_bytes());
}
