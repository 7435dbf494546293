//! Step 4 of 6: TURN credentials for a video chat, after coturn's REST convention (draft-uberti-behave-turn-rest).
//!
//! In: the operator's servers and secrets, the time, and random bytes. Out: what `RTCPeerConnection` takes as iceServers. A user
//! name is the second at which the credential expires and a random part made for the chat, so that it names nobody.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::io::Time;
use crate::privacy::Hidden;

/// The operator's TURN and STUN servers.
#[derive(Clone, Debug)]
pub struct IceConfig {
    turn_urls: Vec<String>,
    stun_urls: Vec<String>,
    /// coturn's `static-auth-secret`, ready to sign with: two while one follows the other.
    secrets: Vec<hmac::Key>,
    ttl_s: u64,
}

/// One entry of iceServers.
#[derive(Clone, derive_more::Debug, PartialEq, Eq, Serialize)]
pub struct IceServer<'a> {
    /// Where it is.
    pub urls: &'a [String],
    /// What a TURN server asks for.
    #[serde(flatten)]
    pub credential: Option<Credential>,
}

/// What opens a TURN server for a while.
#[derive(Clone, derive_more::Debug, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Until when, and a random part.
    #[debug("{} bytes", username.len())]
    pub username: String,
    /// The proof.
    #[serde(rename = "credential")]
    #[debug("{} bytes", password.len())]
    pub password: String,
}

impl IceConfig {
    /// Servers by their `turn:`, `turns:`, `stun:` and `stuns:` URLs, given to browsers as they are; the secrets shared with the
    /// TURN servers; and how long a credential is good, in seconds.
    pub fn new(urls: &[String], secrets: &[Hidden<Vec<u8>>], ttl_s: u64) -> Self {
        let (turn_urls, stun_urls) = urls.iter().cloned().partition(|url| url.starts_with("turn"));
        let sha1 = hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY;
        let secrets = secrets.iter().map(|secret| hmac::Key::new(sha1, secret.expose())).collect();
        Self { turn_urls, stun_urls, secrets, ttl_s }
    }

    /// The servers with a credential of each secret, good from now on for the time of the configuration. The core has no
    /// clock: `unix_s_at_zero` is the moment `Time(0)` in seconds since 1970.
    pub fn servers(&self, now: Time, unix_s_at_zero: u64, random: u64) -> Vec<IceServer<'_>> {
        let expires = unix_s_at_zero + now.0 / 1_000_000 + self.ttl_s;
        let username = format!("{expires}:{random:016x}");
        let turn = self.secrets.iter().filter(|_| !self.turn_urls.is_empty()).map(|secret| {
            let password = STANDARD.encode(hmac::sign(secret, username.as_bytes()));
            let credential = Some(Credential { username: username.clone(), password });
            IceServer { urls: &self.turn_urls, credential }
        });
        let stun =
            (!self.stun_urls.is_empty()).then_some(IceServer { urls: &self.stun_urls, credential: None });
        turn.chain(stun).collect()
    }

    /// How long after one credential the next is made: early enough that an ICE restart never meets an expired one. `None` where
    /// nothing expires.
    pub fn renew_ms(&self) -> Option<u64> {
        (!self.turn_urls.is_empty()).then_some(self.ttl_s * 750)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(urls: &[&str]) -> Vec<String> {
        urls.iter().map(ToString::to_string).collect()
    }

    fn secrets(secrets: &[&str]) -> Vec<Hidden<Vec<u8>>> {
        secrets.iter().map(|secret| Hidden::new(secret.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_credential_is_what_coturn_computes() {
        let config = IceConfig::new(&urls(&["turn:turn.example.org:3478"]), &secrets(&["north"]), 600);
        let servers = config.servers(Time(5_000_000), 1_700_000_000, 0xabc);
        assert_eq!(servers.len(), 1);
        let credential = servers[0].credential.as_ref().expect("a credential");
        assert_eq!(credential.username, "1700000605:0000000000000abc");
        // printf %s 1700000605:0000000000000abc | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential.password, "i/7QzENtHdGPotbYJtAsY1cLMEE=");
        assert_eq!(config.renew_ms(), Some(450_000));
    }

    #[test]
    fn a_stun_server_gets_no_credential_and_each_secret_makes_one() {
        let all = urls(&["stun:a", "turn:b", "turns:b?transport=tcp", "stuns:c"]);
        let config = IceConfig::new(&all, &secrets(&["old", "new"]), 600);
        let servers = config.servers(Time(0), 0, 7);
        assert_eq!(servers.len(), 3);
        assert_eq!((servers[0].urls, servers[1].urls), (&all[1..3], &all[1..3]));
        assert_ne!(servers[0].credential, servers[1].credential);
        let stun = serde_json::to_value(&servers[2]).expect("JSON");
        assert_eq!(stun, serde_json::json!({"urls": ["stun:a", "stuns:c"]}));
        let alone = IceConfig::new(&urls(&["stun:a"]), &[], 600);
        assert_eq!((alone.servers(Time(0), 0, 7).len(), alone.renew_ms()), (1, None));
    }
}
