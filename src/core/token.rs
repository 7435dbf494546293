//! Step 2 of 6: the secret that lets a session be resumed.
//!
//! In: where a session lives and random bytes. Out: at most 64 characters of base64url, and back. A token is
//! `generation (1 byte) | shard (1 byte) | slot (4 bytes) | secret (16 bytes)`: its home is found without a table, also if
//! that is an older process, and only the secret proves anything. The slot says no more about a person than that this
//! server has had so many sessions at once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::privacy::Hidden;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 16;
const TOKEN_BYTES: usize = 2 + 4 + SECRET_BYTES;
/// A token's length as text.
pub const TOKEN_CHARACTERS: usize = (TOKEN_BYTES * 4).div_ceil(3);

/// 128 random bits, compared in constant time, never printed and wiped when they are let go.
///
/// In a block of their own: a session's slot and the queues between shards leave the bytes of what is moved out of them.
#[derive(Clone, Debug)]
pub struct Secret(Box<Hidden<[u8; SECRET_BYTES]>>);

impl Secret {
    /// A new secret from a generator's bytes.
    pub fn new(random: impl FnOnce(&mut [u8])) -> Self {
        let mut secret = Box::new(Hidden::new([0; SECRET_BYTES]));
        random(secret.expose_mut());
        Self(secret)
    }

    /// Its bytes, for a message to another process.
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.0.expose()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose().ct_eq(other.0.expose()).into()
    }
}

/// What a token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The process that made the session and keeps it: its number in a row of upgrades.
    pub generation: u8,
    /// The index of the shard there.
    pub shard: u8,
    /// The session's slot there.
    pub slot: u32,
    /// The proof.
    pub secret: Secret,
}

impl Token {
    /// As text, for WELCOME.
    pub fn encode(&self) -> Hidden<[u8; TOKEN_CHARACTERS]> {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..2].copy_from_slice(&[self.generation, self.shard]);
        bytes[2..6].copy_from_slice(&self.slot.to_be_bytes());
        bytes[6..].copy_from_slice(self.secret.0.expose());
        let mut text = [0; TOKEN_CHARACTERS];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written.ok(), Some(TOKEN_CHARACTERS));
        bytes.zeroize();
        let hidden = Hidden::new(text);
        text.zeroize();
        hidden
    }

    /// From text; anything that is not a token of this version is `None`.
    pub fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        if text.len() != TOKEN_CHARACTERS
            || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()? != TOKEN_BYTES
        {
            return None;
        }
        let [generation, shard] = [bytes[0], bytes[1]];
        let slot = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        let secret = Secret::new(|to| to.copy_from_slice(&bytes[6..]));
        bytes.zeroize();
        Some(Self { generation, shard, slot, secret })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_wire_and_anything_else_is_refused() {
        let token = Token { generation: 2, shard: 1, slot: 70_000, secret: Secret::new(|to| to.fill(0xfb)) };
        let text = token.encode();
        let text = std::str::from_utf8(text.expose()).expect("base64url");
        assert_eq!(text.len(), TOKEN_CHARACTERS);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        assert_eq!(Token::decode(text), Some(token));
        for wrong in
            ["", "a", &text[1..], &format!("{text}A"), &text.replace('_', "="), &text.replace('_', "ä")]
        {
            assert_eq!(Token::decode(wrong), None, "{wrong}");
        }
    }
}
