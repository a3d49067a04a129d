//! Records as bytes: a version, then bincode.
//!
//! A record's layout never changes under its version: a change makes a new version, keeps the old
//! struct beside it, and converts upward in [`decode`]. Golden bytes in the tests of each
//! room hold this.

use bincode::{
    Decode, Encode,
    config::{self, Configuration, Limit, LittleEndian, Varint},
    decode_from_slice, encode_into_std_write,
};

use crate::{
    model::id::Id,
    store::{Keys, Read, WriteTx, error::StoreError, tables::Table},
};

/// The largest record. The largest that the contract allows is a client with 32 redirect URIs of
/// 2048 bytes, which is a little more than 64 KiB.
pub(super) const RECORD_BYTES_MAX: usize = 131_072;

/// What bincode may count while it reads one. Without a limit, one bad length would make it ask
/// for all memory. It counts every number at its full width, which is 8 times the one byte that a
/// small one takes, so that a record which could be written can always be read.
const DECODED_BYTES_MAX: usize = 8 * RECORD_BYTES_MAX;

const CONFIG: Configuration<LittleEndian, Varint, Limit<DECODED_BYTES_MAX>> =
    config::standard().with_limit::<DECODED_BYTES_MAX>();

/// A value that a table holds.
pub(super) trait Record: Encode + Decode<()> {
    /// The table it lives in.
    const TABLE: Table;
    /// The version that [`encode`] writes.
    const VERSION: u8;
}

/// The bytes of `record`.
pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(R::VERSION);
    encode_into_std_write(record, &mut bytes, CONFIG)
        .map_err(|error| corrupt::<R>(error.to_string()))?;
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(StoreError::TooLarge {
            found: bytes.len(),
            max: RECORD_BYTES_MAX,
        });
    }
    Ok(bytes)
}

/// The record in `bytes`: exactly one, of a version this binary knows, with nothing behind it.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    let (version, payload) = bytes
        .split_first()
        .ok_or_else(|| corrupt::<R>("expected a version byte, found nothing".to_owned()))?;
    if *version != R::VERSION {
        let expected = R::VERSION;
        return Err(corrupt::<R>(format!(
            "expected version {expected}, found {version}"
        )));
    }
    let (record, used) =
        decode_from_slice(payload, CONFIG).map_err(|error| corrupt::<R>(error.to_string()))?;
    // bincode would ignore what follows; a record with a tail is a damaged one.
    if used != payload.len() {
        let tail = payload.len() - used;
        return Err(corrupt::<R>(format!(
            "expected its end, found {tail} bytes more"
        )));
    }
    Ok(record)
}

/// The record at `key`.
pub(super) fn find<R: Record>(tx: &dyn Read, key: &[u8]) -> Result<Option<R>, StoreError> {
    let mut found = None;
    tx.show(R::TABLE, key, &mut |bytes| found = Some(decode(bytes)))?;
    found.transpose()
}

/// Puts `record` at `key`.
pub(super) fn put<R: Record>(
    tx: &mut WriteTx<'_>,
    key: &[u8],
    record: &R,
) -> Result<(), StoreError> {
    tx.put(R::TABLE, key, encode(record)?);
    Ok(())
}

/// The first `limit` records of `keys`.
pub(super) fn list<R: Record>(
    tx: &dyn Read,
    keys: &Keys,
    limit: usize,
) -> Result<Vec<R>, StoreError> {
    tx.scan(R::TABLE, keys, limit)?
        .iter()
        .map(|(_, value)| decode(value))
        .collect()
}

/// The records that an index of `(owner id, record id)` names.
pub(super) fn list_by_index<R>(
    tx: &dyn Read,
    index: Table,
    keys: &Keys,
    limit: usize,
    find: impl Fn(&dyn Read, Id) -> Result<Option<R>, StoreError>,
) -> Result<Vec<R>, StoreError> {
    let mut found = Vec::new();
    for (key, _) in tx.scan(index, keys, limit)? {
        let record = find(tx, id(index, key.get(16..).unwrap_or_default())?)?;
        found.push(record.ok_or_else(|| StoreError::Corrupt {
            table: index.name(),
            reason: "a row names a record that does not exist".to_owned(),
        })?);
    }
    Ok(found)
}

/// The key of an index row: the owner, then what it owns, in time order.
pub(super) fn pair(owner: Id, record: Id) -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(owner.as_bytes());
    key[16..].copy_from_slice(record.as_bytes());
    key
}

/// The id in `bytes`, which are (part of) a key or a value of `table`.
pub(super) fn id(table: Table, bytes: &[u8]) -> Result<Id, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt {
        table: table.name(),
        reason: format!("expected an id of 16 bytes, found {}", bytes.len()),
    })?;
    Ok(Id::from_bytes(bytes))
}

/// The number or instant in `bytes`, which are (part of) a key or a value of `table`.
pub(super) fn number(table: Table, bytes: &[u8]) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt {
        table: table.name(),
        reason: format!("expected a number of 8 bytes, found {}", bytes.len()),
    })?;
    Ok(u64::from_be_bytes(bytes))
}

fn corrupt<R: Record>(reason: String) -> StoreError {
    StoreError::Corrupt {
        table: R::TABLE.name(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Encode, Decode)]
    struct Sample {
        name: String,
        list: Vec<u64>,
        maybe: Option<[u8; 16]>,
    }

    impl Record for Sample {
        const TABLE: Table = Table::Meta;
        const VERSION: u8 = 3;
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(name in ".{0,64}", list: Vec<u64>, maybe: Option<[u8; 16]>) {
            let sample = Sample { name, list, maybe };
            prop_assert_eq!(decode::<Sample>(&encode(&sample)?)?, sample);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = decode::<Sample>(&bytes);
        }

        #[test]
        fn a_tail_or_a_cut_is_refused(list: Vec<u64>, cut in 0_usize..8) {
            let mut bytes = encode(&Sample { name: "n".into(), list, maybe: None })?;
            bytes.push(0);
            prop_assert!(decode::<Sample>(&bytes).is_err());
            bytes.truncate(bytes.len().saturating_sub(2 + cut));
            prop_assert!(decode::<Sample>(&bytes).is_err());
        }
    }

    #[test]
    fn another_version_is_refused_by_name() {
        let mut bytes = encode(&Sample {
            name: String::new(),
            list: vec![],
            maybe: None,
        })
        .expect("small");
        bytes[0] = 4;
        let error = decode::<Sample>(&bytes).expect_err("version 4");
        assert_eq!(
            error.to_string(),
            "a record of meta_v1 cannot be read: expected version 3, found 4"
        );
    }

    #[test]
    fn the_largest_record_that_is_written_is_read() {
        // One byte each, where bincode counts eight.
        let largest = Sample {
            name: String::new(),
            list: vec![0; RECORD_BYTES_MAX - 8],
            maybe: None,
        };
        let bytes = encode(&largest).expect("at the bound");
        assert_eq!(bytes.len(), RECORD_BYTES_MAX);
        assert_eq!(decode::<Sample>(&bytes).expect("its own bytes"), largest);
    }

    #[test]
    fn a_record_above_the_bound_is_refused_before_it_is_written() {
        let larger = Sample {
            name: "n".to_owned(),
            list: vec![0; RECORD_BYTES_MAX - 8],
            maybe: None,
        };
        assert!(matches!(
            encode(&larger),
            Err(StoreError::TooLarge { found, max: RECORD_BYTES_MAX }) if found == RECORD_BYTES_MAX + 1
        ));
    }

    #[test]
    fn an_absurd_length_is_refused_and_not_allocated() {
        let bytes = [3, 253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<Sample>(&bytes).is_err());
    }
}
