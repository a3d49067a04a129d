//! The bytes of every record, as files in the field have them.
//!
//! When a test here fails, the layout of a record has changed, and every file that was written
//! before can no longer be read. Do not correct the bytes. Either undo the change, or give the
//! record a new `VERSION`, keep the old struct beside it under a name with its version, convert it
//! upward where it is decoded, and add a test for the new version below the old one. (Before the
//! first release there is no such file, and the bytes are corrected instead.)

use std::fmt::{Debug, Write as _};

use bincode::Encode;

use super::samples::{
    access_token, added_upstream, at, audit_entry, client, client_secret, code, device,
    document_client, family, grant, id, notification, notification_settings, pinned, queued_push,
    resource_server, session, subscription, upstream_server, user,
};
use crate::{
    crypto::digest::Digest,
    model::{
        audit::{ChainEnd, ChainedEntry},
        id::Id,
        oauth2::{
            client::{AuthMethod, ClientOrigin, GrantType},
            code::CodeStage,
            device::DeviceStage,
            token::{Holder, TokenFamily},
        },
        user::Role,
    },
    store::{
        codec::{Record, decode, encode},
        meta::{Claim, Settings},
        notifications::InboxCounts,
    },
};

fn assert_golden<R: Record + PartialEq + Debug>(record: &R, golden: &str) {
    let bytes = encode(record).expect("a small record");
    let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("memory");
        hex
    });
    assert_eq!(hex, golden, "the layout of {} changed", R::TABLE.name());
    assert_eq!(&decode::<R>(&bytes).expect("its own bytes"), record);
}

#[test]
fn a_user_keeps_its_layout() {
    assert_golden(
        &user(id(at(7), 1), "ada"),
        "01000000001b580101010101010101010103616461000a246172676f6e32696424fbe80301fbd007\
         00",
    );
}

#[test]
fn a_session_keeps_its_layout() {
    assert_golden(
        &session(id(at(7), 1), id(at(8), 2), at(9)),
        "01000000001b58010101010101010101014bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385\
         a5d7cce23c7785459a000000001f4002020202020202020202fbe803fbd007fb2823fc00ca9a3b07\
         46697265666f78033a3a31",
    );
}

#[test]
fn a_client_keeps_its_layout() {
    assert_golden(
        &client(id(at(7), 1), Some(at(9))),
        "01000000001b58010101010101010101010106436c617564650113687474703a2f2f6c6f63616c68\
         6f73742f636201020001010109757365723a72656164011168747470733a2f2f612e6578616d706c\
         65000000010173000101630001dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea\
         986457d986fbe803fbd00701fb282300",
    );
}

#[test]
fn a_client_of_a_document_keeps_its_layout() {
    assert_golden(
        &document_client(id(at(7), 1), None),
        "01000000001b5801010101010101010101022868747470733a2f2f612e6578616d706c652f303030\
         30303042304d4f436d7539727855634d795350fbb80b06436c617564650113687474703a2f2f6c6f\
         63616c686f73742f636201020001010109757365723a72656164011168747470733a2f2f612e6578\
         616d706c65000000010173000101630000fbe803fbd0070000",
    );
}

#[test]
fn what_notifications_are_made_of_keeps_its_layout() {
    let browser = subscription(id(at(7), 4), id(at(7), 1));
    assert_golden(
        &notification(id(at(8), 2), id(at(7), 1)),
        "01000000001f4002020202020202020202000000001b58010101010101010101010801000000001b\
         580101010101010101010104446f6e650d2a2a416c6c2a2a206f6620697401044c6f6f6b062f696e\
         626f780301000000001b5801010101010101010101fbe803",
    );
    assert_golden(
        &notification_settings(id(at(8), 3)),
        "010103010001000000001f4003030303030303030303",
    );
    assert_golden(
        &InboxCounts {
            total: 300,
            unread: 2,
        },
        "01fb2c0102",
    );
    assert_golden(
        &browser,
        "01000000001b5804040404040404040404000000001b58010101010101010101011668747470733a\
         2f2f707573682e6578616d706c652f31410406060606060606060606060606060606060606060606\
         06060606060606060606060606060606060606060606060606060606060606060606060606060606\
         060607070707070707070707070707070707fbe803",
    );
    assert_golden(
        &queued_push(id(at(9), 5), &browser, id(at(8), 2)),
        "0100000000232805050505050505050505fbd007000000001b580101010101010101010100000000\
         1b5804040404040404040404000000001f400202020202020202020201fbb80b",
    );
}

#[test]
fn a_pinned_document_keeps_its_layout() {
    assert_golden(
        &pinned(at(9)),
        "011d68747470733a2f2f612e6578616d706c652f636c69656e742e6a736f6e06436c617564650113\
         687474703a2f2f6c6f63616c686f73742f636201020001010109757365723a726561640111687474\
         70733a2f2f612e6578616d706c650000000101730001016300fb2823",
    );
}

#[test]
fn a_client_secret_keeps_its_layout() {
    assert_golden(
        &client_secret(id(at(7), 1), id(at(8), 2)),
        "01000000001b5801010101010101010101000000001f4002020202020202020202084fed08b978af\
         4d7d196a7446a86b58009e636b611db16211b65a9aadff29c5fbe80301fbd007",
    );
}

#[test]
fn a_grant_keeps_its_layout() {
    assert_golden(
        &grant(id(at(7), 1), id(at(8), 2), id(at(9), 3), at(10)),
        "01000000001b5801010101010101010101000000001f400202020202020202020200000000232803\
         030303030303030303020b6772616e74733a7265616409757365723a726561641368747470733a2f\
         2f626f782e6c616e2f6d6370010c637572736f723a2f2f782f79fbe803fb1027",
    );
}

#[test]
fn an_authorization_code_keeps_its_layout() {
    assert_golden(
        &code(id(at(7), 1), at(9)),
        "01000000001b5801010101010101010101e52d9c508c502347344d8c07ad91cbd6068afc75ff6292\
         f062a09ca381c89e7101010101010101010101010101010101020202020202020202020202020202\
         02030303030303030303030303030303030404040404040404040404040404040401146874747073\
         3a2f2f612e6578616d706c652f63622b45394d656c686f61324f77764672454d544a67754348616f\
         654b3174385552576275474a537374772d634d1368747470733a2f2f626f782e6c616e2f6d637001\
         09757365723a7265616401e77b9a9ae9e30b0dbdb6f510a264ef9de781501d7b6b92ae89eb059c5a\
         b743dbfb28230205050505050505050505050505050505",
    );
}

#[test]
fn a_token_family_keeps_its_layout() {
    assert_golden(
        &family(id(at(7), 1), id(at(8), 2), at(9)),
        "01000000001b58010101010101010101010002020202020202020202020202020202000000001f40\
         02020202020202020202030303030303030303030303030303031368747470733a2f2f626f782e6c\
         616e2f6d63700109757365723a72656164fc00ca9a3b01fb2c01ca358758f6d27e6cf45272937977\
         a748fd88391db679ceda7dc7bf1f005ee87901beead77994cf573341ec17b58bbf7eb34d2711c993\
         c1d976b128b3188dc1829afbd007fb282300",
    );
}

#[test]
fn an_access_token_keeps_its_layout() {
    assert_golden(
        &access_token(id(at(7), 1), at(9)),
        "01000000001b580101010101010101010167586e98fad27da0b9968bc039a1ef34c939b9b8e523a8\
         bef89d478608c5ecf6050505050505050505050505050505051368747470733a2f2f626f782e6c61\
         6e2f6d63700109757365723a72656164fb28230106060606060606060606060606060606",
    );
}

#[test]
fn a_clients_own_family_keeps_its_layout() {
    let own = TokenFamily {
        holder: Holder::Client,
        refresh: None,
        ..family(id(at(7), 1), id(at(8), 2), at(9))
    };
    assert_golden(
        &own,
        "01000000001b58010101010101010101010103030303030303030303030303030303136874747073\
         3a2f2f626f782e6c616e2f6d63700109757365723a72656164fc00ca9a3b0000",
    );
}

#[test]
fn a_device_authorization_keeps_its_layout() {
    assert_golden(
        &device(id(at(7), 1), 11, at(9)),
        "01000000001b58010101010101010101012b4c342f5433ebe591a1da77e013d1b72475562d48578d\
         ca8b84bac6651c3cb9e7cf46a078fed4fafd0b5e3aff144802b853f8ae459a4f0c14add3314b7cc3\
         a603030303030303030303030303030303fbd0070109757365723a726561641368747470733a2f2f\
         626f782e6c616e2f6d6370fb28230501fbb80b0405050505050505050505050505050505",
    );
}

#[test]
fn a_resource_server_keeps_its_layout() {
    assert_golden(
        &resource_server(id(at(7), 1), "https://files.lan/mcp"),
        "01000000001b58010101010101010101011568747470733a2f2f66696c65732e6c616e2f6d637006\
         06060606060606060606060606060601ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef\
         8f9805daca546b020a66696c65733a72656164010e73656520796f75722066696c65730b66696c65\
         733a777269746500fbe803",
    );
}

#[test]
fn an_upstream_keeps_its_layout() {
    assert_golden(
        &added_upstream(id(at(7), 1)),
        "01000000001b58010101010101010101010566696c65730002096d63702d66696c6573042f737276\
         01034b455901082f72756e2f6b6579010566696c657301042f73727601fc00000040014001042f73\
         727600fb2c01001e00fc00004000fbe803",
    );
    assert_golden(
        &upstream_server(id(at(7), 1)),
        "01000000001b58010101010101010101010566696c65730113687474703a2f2f31302e302e302e35\
         2f6d6370010d617574686f72697a6174696f6e000546494c4553fb2c01001e00fc00004000fbe803",
    );
}

#[test]
fn a_claim_keeps_its_layout() {
    assert_golden(
        &Claim {
            digest: Digest::of(b"c"),
            expires_at: at(9),
        },
        "012e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6fb2823",
    );
}

#[test]
fn the_settings_keep_its_layout() {
    assert_golden(
        &Settings {
            registration_enabled: Some(false),
        },
        "010100",
    );
}

#[test]
fn an_audit_entry_keeps_its_layout() {
    let entry = audit_entry(3, at(7));
    let link = Digest::of(b"link");
    assert_golden(
        &ChainedEntry { entry, link },
        "0103fb581b01000000001b580101010101010101010101033a3a3101017211050000000\
         01b5802020202020202020202010573636f7065000103613a62b1b1bdb480c61d075300d9bff7d9cb69cf\
         31695ea048e478facadf426e8d0fb0",
    );
    assert_golden(
        &ChainEnd { number: 3, link },
        "0103b1b1bdb480c61d075300d9bff7d9cb69cf31695ea048e478facadf426e8d0fb0",
    );
}

/// A record stores a variant as its place in the enum, so a new one goes to the end.
#[test]
fn variants_keep_their_numbers() {
    fn number(variant: impl Encode) -> u8 {
        let bytes = bincode::encode_to_vec(variant, bincode::config::standard());
        bytes.expect("a variant")[0]
    }
    let family_id = Id::from_bytes([0; 16]);
    assert_eq!([Role::Owner, Role::Member].map(number), [0, 1]);
    assert_eq!(
        [
            ClientOrigin::Administrator,
            ClientOrigin::SelfRegistered,
            ClientOrigin::Document {
                url: "https://a.example/x".parse().expect("a URL"),
                fresh_until: at(1)
            }
        ]
        .map(number),
        [0, 1, 2]
    );
    assert_eq!(
        [
            AuthMethod::None,
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost
        ]
        .map(number),
        [0, 1, 2]
    );
    assert_eq!(GrantType::ALL.map(number), [0, 1, 2, 3]);
    assert_eq!(
        [
            CodeStage::Issued,
            CodeStage::Spent,
            CodeStage::Exchanged { family_id }
        ]
        .map(number),
        [0, 1, 2]
    );
    let (session_id, grant_id, user_id) = (family_id, family_id, family_id);
    assert_eq!(
        [
            DeviceStage::Waiting,
            DeviceStage::Opened { session_id },
            DeviceStage::Denied,
            DeviceStage::Allowed { grant_id },
            DeviceStage::Exchanged { family_id }
        ]
        .map(number),
        [0, 1, 2, 3, 4]
    );
    assert_eq!(
        [Holder::Person { user_id, grant_id }, Holder::Client].map(number),
        [0, 1]
    );
}
