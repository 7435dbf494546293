//! Step 4 of 6: TURN credentials for a video chat, after coturn's REST convention (draft-uberti-behave-turn-rest).
//!
//! In: the operator's secret, the time, and random bytes. Out: what `RTCPeerConnection` takes as iceServers. The user
//! name is the second at which the credential expires and a random part, so that it names nobody.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::io::Time;
use crate::privacy::Hidden;

/// The operator's TURN servers.
#[derive(Clone, Debug)]
pub struct IceConfig {
    /// `turn:` and `stun:` URLs, given to browsers as they are.
    pub urls: Vec<String>,
    /// coturn's `static-auth-secret`.
    pub secret: Hidden<Vec<u8>>,
    /// How long a credential is good, in seconds.
    pub ttl_s: u64,
    /// The moment `Time(0)` in seconds since 1970: the core has no clock.
    pub unix_s_at_zero: u64,
}

/// One entry of iceServers.
#[derive(Clone, derive_more::Debug, PartialEq, Eq, Serialize)]
pub struct IceServer<'a> {
    /// Where it is.
    pub urls: &'a [String],
    /// Until when, and whose.
    #[debug("{} bytes", username.len())]
    pub username: String,
    /// The proof.
    #[debug("{} bytes", credential.len())]
    pub credential: String,
}

impl IceConfig {
    /// A credential that is good from now on for `ttl_s`.
    pub fn server(&self, now: Time, random: u64) -> IceServer<'_> {
        let expires = self.unix_s_at_zero + now.0 / 1_000_000 + self.ttl_s;
        let username = format!("{expires}:{random:016x}");
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.expose());
        let credential = STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        IceServer { urls: &self.urls, username, credential }
    }

    /// How long after one credential the next is made: early enough that an ICE restart never meets an expired one.
    pub const fn renew_ms(&self) -> u64 {
        self.ttl_s * 750
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_what_coturn_computes() {
        let config = IceConfig {
            urls: vec!["turn:turn.example.org:3478".to_owned()],
            secret: Hidden::new(b"north".to_vec()),
            ttl_s: 600,
            unix_s_at_zero: 1_700_000_000,
        };
        let server = config.server(Time(5_000_000), 0xabc);
        assert_eq!(server.username, "1700000605:0000000000000abc");
        // printf %s 1700000605:0000000000000abc | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(server.credential, "i/7QzENtHdGPotbYJtAsY1cLMEE=");
        assert_eq!(config.renew_ms(), 450_000);
    }
}
