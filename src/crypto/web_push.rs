//! Web push: a message that only one browser can read, and the proof of who sends it.
//!
//! # Source
//! RFC 8188 (`aes128gcm`), RFC 8291 (the keys of a message), RFC 8292 (VAPID).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{self, ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey},
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};

/// Bytes of an uncompressed point of P-256: what a browser gives as `p256dh`.
pub const PUBLIC_KEY_LEN: usize = 65;
/// Bytes of what a browser gives as `auth` (RFC 8291 §3.2).
pub const AUTH_LEN: usize = 16;
/// Bytes of a message's salt.
pub const SALT_LEN: usize = 16;
/// Bytes of a whole message at the most, as a push service has to take (RFC 8291 §4).
pub const MESSAGE_LEN_MAX: usize = 4_096;
/// Bytes around a plaintext: salt, record size, key length, our key, the mark of the last record
/// and the tag (RFC 8188 §2.1).
const OVERHEAD: usize = SALT_LEN + 4 + 1 + PUBLIC_KEY_LEN + 1 + 16;
/// Bytes of a plaintext at the most.
pub const PLAINTEXT_LEN_MAX: usize = MESSAGE_LEN_MAX - OVERHEAD;
/// RFC 8188 §2.1: what the header says of a record's length, and of the key's.
const RECORD_SIZE: u32 = 4_096;
const KEY_ID_LEN: u8 = 65;
const _: () =
    assert!(RECORD_SIZE as usize == MESSAGE_LEN_MAX && KEY_ID_LEN as usize == PUBLIC_KEY_LEN);
/// RFC 8188 §2: the mark of the last record, and ours is the only one.
const LAST_RECORD: u8 = 2;

/// Why a message was not encrypted, or a key not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebPushError {
    /// It does not fit into one record.
    #[error("expected at most {PLAINTEXT_LEN_MAX} bytes, found {found}")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// The browser's key is no point of the curve.
    #[error("expected a public key on the curve P-256")]
    PublicKey,
    /// The pair cannot be read.
    #[error("expected a key pair of the curve P-256 in PKCS #8")]
    KeyPair,
    /// The operating system gave no random bytes.
    #[error("expected random bytes from the operating system, found none")]
    Entropy,
}

/// The keys of one browser's subscription.
#[derive(Clone, Copy, Debug)]
pub struct Receiver<'a> {
    /// Its public key, uncompressed.
    pub public_key: &'a [u8; PUBLIC_KEY_LEN],
    /// The secret that it shares with whoever it subscribed to.
    pub auth: &'a [u8; AUTH_LEN],
}

/// Encrypts `plaintext` for `receiver`, as the body of a request with `Content-Encoding:
/// aes128gcm`. The salt must never have been used before.
///
/// The key pair of the message is ring's: it takes it from the operating system and lets nobody
/// hand one in.
pub fn encrypt(
    receiver: Receiver<'_>,
    salt: &[u8; SALT_LEN],
    plaintext: &[u8],
) -> Result<Vec<u8>, WebPushError> {
    let found = plaintext.len();
    if found > PLAINTEXT_LEN_MAX {
        return Err(WebPushError::TooLong { found });
    }
    let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())
        .map_err(|_| WebPushError::Entropy)?;
    let public = private
        .compute_public_key()
        .map_err(|_| WebPushError::Entropy)?;
    let mut sender = [0; PUBLIC_KEY_LEN];
    sender.copy_from_slice(public.as_ref());
    let peer = UnparsedPublicKey::new(&ECDH_P256, receiver.public_key);
    agreement::agree_ephemeral(private, &peer, |shared| {
        seal(receiver, &sender, shared, salt, plaintext)
    })
    .map_err(|_| WebPushError::PublicKey)
}

/// RFC 8291 §3.4 and RFC 8188 §2.
fn seal(
    receiver: Receiver<'_>,
    sender: &[u8; PUBLIC_KEY_LEN],
    shared: &[u8],
    salt: &[u8; SALT_LEN],
    plaintext: &[u8],
) -> Vec<u8> {
    let combined = expand(
        &mac(receiver.auth, &[shared]),
        &[b"WebPush: info\0", receiver.public_key, sender],
    );
    let secret = mac(salt, &[&combined]);
    let key = expand(&secret, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce = expand(&secret, &[b"Content-Encoding: nonce\0"]);

    let mut message = Vec::with_capacity(plaintext.len() + OVERHEAD);
    message.extend_from_slice(salt);
    message.extend_from_slice(&RECORD_SIZE.to_be_bytes());
    message.push(KEY_ID_LEN);
    message.extend_from_slice(sender);

    let mut record = Vec::with_capacity(plaintext.len() + 17);
    record.extend_from_slice(plaintext);
    record.push(LAST_RECORD);
    let key = UnboundKey::new(&AES_128_GCM, &key[..16]).expect("16 bytes are a key of AES-128");
    let nonce = Nonce::try_assume_unique_for_key(&nonce[..12]).expect("12 bytes are a nonce");
    LessSafeKey::new(key)
        .seal_in_place_append_tag(nonce, Aad::empty(), &mut record)
        .expect("a record is far shorter than what AES-GCM can seal");
    message.append(&mut record);
    message
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.sign().as_ref());
    bytes
}

/// The first block of HKDF-Expand (RFC 5869 §2.3), which is as much as any of these keys needs.
fn expand(secret: &[u8; 32], info: &[&[u8]]) -> [u8; 32] {
    let mut parts = info.to_vec();
    parts.push(&[1]);
    mac(secret, &parts)
}

/// The pair by which push services know this box (RFC 8292).
pub struct VapidKey {
    pair: EcdsaKeyPair,
}

impl VapidKey {
    /// A new pair, in PKCS #8. It is ring's own, from the operating system.
    pub fn generate() -> Result<Vec<u8>, WebPushError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| WebPushError::Entropy)
    }

    /// The pair in `pkcs8`.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, WebPushError> {
        let random = SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random)
            .map(|pair| Self { pair })
            .map_err(|_| WebPushError::KeyPair)
    }

    /// The public key, as `applicationServerKey` and as the parameter `k`.
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key().as_ref())
    }

    /// `claims`, a JSON object, signed as a JWT with ES256 (RFC 7515 §7.1).
    pub fn sign(&self, claims: &[u8]) -> Result<String, WebPushError> {
        let header = URL_SAFE_NO_PAD.encode(br#"{"typ":"JWT","alg":"ES256"}"#);
        let mut token = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), token.as_bytes())
            .map_err(|_| WebPushError::Entropy)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VapidKey({})", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey as Verifier};

    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
        bytes.try_into().expect("of that length")
    }

    /// RFC 8291 §5 and appendix A. ring makes the key pair of a message itself, so the vector's
    /// shared secret stands in for the agreement; all that follows from it is ours.
    #[test]
    fn the_vector_of_rfc_8291_comes_out() {
        let receiver_key = bytes(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        );
        let sender_key = bytes(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8",
        );
        let shared: [u8; 32] = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg");
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw");
        let receiver = Receiver {
            public_key: &receiver_key,
            auth: &auth,
        };
        let plaintext = b"When I grow up, I want to be a watermelon";
        let message = seal(receiver, &sender_key, &shared, &salt, plaintext);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(message),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocIn\
             mYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNW\
             QexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn a_message_is_as_long_as_it_may_be_and_no_longer() {
        let private = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
        let public = private.expect("a key").compute_public_key().expect("a key");
        let key = public.as_ref().try_into().expect("a point");
        let receiver = Receiver {
            public_key: &key,
            auth: &[7; AUTH_LEN],
        };
        let longest = vec![b'a'; PLAINTEXT_LEN_MAX];
        let message = encrypt(receiver, &[1; SALT_LEN], &longest).expect("at the bound");
        assert_eq!(message.len(), MESSAGE_LEN_MAX);
        let longer = vec![b'a'; PLAINTEXT_LEN_MAX + 1];
        let found = longer.len();
        assert_eq!(
            encrypt(receiver, &[1; SALT_LEN], &longer),
            Err(WebPushError::TooLong { found })
        );
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let mut key = [7; PUBLIC_KEY_LEN];
        key[0] = 4;
        let receiver = Receiver {
            public_key: &key,
            auth: &[7; AUTH_LEN],
        };
        assert_eq!(
            encrypt(receiver, &[1; SALT_LEN], b"x"),
            Err(WebPushError::PublicKey)
        );
    }

    #[test]
    fn a_signed_token_verifies_and_its_key_is_not_shown() {
        let pkcs8 = VapidKey::generate().expect("a pair");
        let key = VapidKey::from_pkcs8(&pkcs8).expect("its own pair");
        let token = key
            .sign(br#"{"aud":"https://push.example"}"#)
            .expect("a token");
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let public = URL_SAFE_NO_PAD.decode(key.public_key()).expect("base64url");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        Verifier::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(signed.as_bytes(), &signature)
            .expect("our own signature");
        assert_eq!(
            format!("{key:?}"),
            format!("VapidKey({})", key.public_key())
        );
        assert!(VapidKey::from_pkcs8(&pkcs8[1..]).is_err());
    }
}
