//! What a fuzzer does with records; see [`crate::fuzzing`].

use std::fmt::Debug;

use crate::{
    model::{
        audit::{ChainEnd, ChainedEntry},
        notification::{Notification, NotificationSettings},
        oauth2::{
            client::{Client, ClientSecret},
            client_document::PinnedDocument,
            code::AuthorizationCode,
            device::DeviceAuthorization,
            grant::Grant,
            resource_server::ResourceServer,
            token::{AccessToken, TokenFamily},
        },
        push::{QueuedPush, Subscription},
        session::Session,
        upstream::AddedUpstream,
        user::User,
    },
    store::{
        codec::{self, Record},
        meta::{Claim, Settings},
        notifications::InboxCounts,
    },
};

/// Every kind of record.
const RECORDS: &[fn(&[u8])] = &[
    of::<User>,
    of::<Session>,
    of::<Client>,
    of::<ClientSecret>,
    of::<Grant>,
    of::<AuthorizationCode>,
    of::<TokenFamily>,
    of::<AccessToken>,
    of::<Claim>,
    of::<Settings>,
    of::<ChainedEntry>,
    of::<ChainEnd>,
    of::<PinnedDocument>,
    of::<DeviceAuthorization>,
    of::<ResourceServer>,
    of::<AddedUpstream>,
    of::<Notification>,
    of::<NotificationSettings>,
    of::<InboxCounts>,
    of::<Subscription>,
    of::<QueuedPush>,
];

/// Reads `bytes` as a record of the kind that `kind` chooses. What can be read can be written, and
/// is then read as the same.
pub(crate) fn read_write_read(kind: u8, bytes: &[u8]) {
    RECORDS[usize::from(kind) % RECORDS.len()](bytes);
}

fn of<R: Record + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(record) = codec::decode::<R>(bytes) {
        let written = codec::encode(&record).expect("what was read can be written");
        let again: R = codec::decode(&written).expect("what was written can be read");
        assert_eq!(again, record);
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    #[test]
    fn every_kind_of_record_is_fuzzed() {
        let own = include_str!("fuzzing.rs");
        let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
        let mut found = 0;
        for file in fs::read_dir(store).expect("the store's sources can be listed") {
            let path = file.expect("a source").path();
            if !path.is_file() {
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source can be read");
            let source = source.split("#[cfg(test)]\nmod tests").next();
            let records = source
                .into_iter()
                .flat_map(|text| text.split("\nimpl Record for "));
            for record in records.skip(1) {
                let name = record.split(' ').next().expect("a name");
                assert!(
                    own.contains(&format!("of::<{name}>,")),
                    "{name} is missing in RECORDS"
                );
                found += 1;
            }
        }
        assert_eq!(found, RECORDS.len());
    }
}
