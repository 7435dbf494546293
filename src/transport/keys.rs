//! Step 1 of 6: secrets of the QUIC endpoints that outlive a shard's restart and an upgrade of the process.
//!
//! With them a connection of before is ended at once by whoever meets its packets (stateless reset), and a client that was asked
//! to prove its address by one process (Retry) may do so to the next. quinn-proto would make its own, afresh for each endpoint.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac};
use quinn_proto::crypto::{AeadKey, CryptoError, HandshakeTokenKey, HmacKey};

use crate::privacy::Hidden;

/// Bytes of each key.
pub const KEY_BYTES: usize = 64;

/// The secrets, from which the keys are made.
#[derive(Clone, Debug)]
pub struct QuicKeys {
    /// Of stateless resets (RFC 9000, section 10.3).
    pub reset: Hidden<[u8; KEY_BYTES]>,
    /// Of Retry tokens (RFC 9000, section 8.1.2).
    pub token: Hidden<[u8; KEY_BYTES]>,
}

impl QuicKeys {
    /// Fresh ones.
    pub fn new() -> Result<Self, getrandom::Error> {
        let (mut reset, mut token) = ([0; KEY_BYTES], [0; KEY_BYTES]);
        getrandom::fill(&mut reset)?;
        getrandom::fill(&mut token)?;
        Ok(Self { reset: Hidden::new(reset), token: Hidden::new(token) })
    }

    /// Signs stateless resets.
    pub fn reset_key(&self) -> impl HmacKey + use<> {
        ResetKey(hmac::Key::new(hmac::HMAC_SHA256, self.reset.expose()))
    }

    /// Seals Retry tokens.
    pub fn token_key(&self) -> impl HandshakeTokenKey + use<> {
        TokenKey(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(self.token.expose()))
    }
}

struct ResetKey(hmac::Key);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature: &mut [u8]) {
        signature.copy_from_slice(hmac::sign(&self.0, data).as_ref());
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        hmac::verify(&self.0, data, signature).map_err(|_| CryptoError)
    }
}

struct TokenKey(hkdf::Prk);

impl HandshakeTokenKey for TokenKey {
    fn aead_from_hkdf(&self, random: &[u8]) -> Box<dyn AeadKey> {
        let info = [random];
        let key = self.0.expand(&info, &AES_256_GCM).map(UnboundKey::from);
        // HKDF-SHA-256 gives up to 8,160 bytes (RFC 5869, section 2.3).
        Box::new(OneTokenKey(LessSafeKey::new(key.expect("32 bytes are not too many"))))
    }
}

/// A key for one token, made from random bytes beside it: so its nonce is always the same, and used once.
struct OneTokenKey(LessSafeKey);

const NONCE: [u8; 12] = [0; 12];

impl AeadKey for OneTokenKey {
    fn seal(&self, data: &mut Vec<u8>, additional: &[u8]) -> Result<(), CryptoError> {
        let nonce = Nonce::assume_unique_for_key(NONCE);
        self.0.seal_in_place_append_tag(nonce, Aad::from(additional), data).map_err(|_| CryptoError)
    }

    fn open<'a>(&self, data: &'a mut [u8], additional: &[u8]) -> Result<&'a mut [u8], CryptoError> {
        let nonce = Nonce::assume_unique_for_key(NONCE);
        self.0.open_in_place(nonce, Aad::from(additional), data).map_err(|_| CryptoError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_with_the_same_secrets_understand_each_other() {
        let keys = QuicKeys::new().expect("random bytes");
        let (one, other) = (keys.token_key(), keys.clone().token_key());
        let mut token = b"an address and a moment".to_vec();
        one.aead_from_hkdf(b"random").seal(&mut token, b"aad").expect("sealed");
        assert_ne!(&token[..7], b"an addr");
        let stranger = QuicKeys::new().expect("random bytes").token_key();
        assert!(stranger.aead_from_hkdf(b"random").open(&mut token.clone(), b"aad").is_err());
        assert!(other.aead_from_hkdf(b"other").open(&mut token.clone(), b"aad").is_err());
        let opened = other.aead_from_hkdf(b"random").open(&mut token, b"aad").expect("opened").to_vec();
        assert_eq!(opened, b"an address and a moment");
        let mut signature = [0; 32];
        keys.reset_key().sign(b"id", &mut signature);
        assert!(keys.reset_key().verify(b"id", &signature).is_ok());
        assert!(keys.reset_key().verify(b"di", &signature).is_err());
    }
}
