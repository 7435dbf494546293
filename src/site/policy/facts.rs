//! What the policy says about one server: numbers that it enforces, and what its operator has told.

use std::time::Duration;

use crate::config::{Config, Mode, Relay};
use crate::limits;

/// All that differs from server to server.
#[allow(clippy::struct_excessive_bools)] // Each is a fact of its own.
pub(super) struct Facts {
    pub name: String,
    pub site: String,
    pub country: String,
    pub contact: String,
    pub server_country: String,
    pub relay: Relay,
    /// Whether a STUN server is asked for a browser's own address.
    pub stun: bool,
    /// How long a credential for the relay is good.
    pub credential: Duration,
    pub not_served: Vec<String>,
    /// Whether connections from these countries are refused, as far as a list of ranges tells.
    pub refused: bool,
    pub access_log: bool,
    /// Whether the server keeps its own log in files.
    pub log_files: bool,
    pub resume: Duration,
    pub keep_access: Duration,
    pub keep_server: Duration,
}

impl Facts {
    pub fn of(config: &Config) -> Self {
        let imprint = &config.imprint;
        let told = |told: &Option<String>, else_: &str| told.clone().unwrap_or_else(|| else_.to_owned());
        let country = told(&imprint.country, "a country that is not named");
        let turn = config.turn.as_ref();
        let relays = turn.is_some_and(crate::config::Turn::has_relay);
        let anybody = match config.mode() {
            Mode::Development => "whoever started this server on their own machine",
            Mode::Production => "somebody who is not named",
        };
        Self {
            name: told(&imprint.name, anybody),
            site: told(&imprint.site, "this site"),
            server_country: told(&imprint.server_country, &country),
            country,
            contact: told(&imprint.contact, "an address that is not named"),
            relay: imprint.relay.clone().unwrap_or(if relays { Relay::Own } else { Relay::None }),
            stun: turn.is_some_and(|turn| turn.urls.iter().any(|url| url.starts_with("stun"))),
            credential: turn.map_or(Duration::ZERO, |turn| turn.ttl),
            not_served: imprint.not_served.clone(),
            refused: imprint.not_served_prefixes.is_some(),
            access_log: config.access_log,
            log_files: config.log_dir.is_some(),
            resume: config.retention.resume,
            keep_access: config.retention.access_log,
            keep_server: config.retention.server_log,
        }
    }
}

/// A length of time in words: `5 minutes`, `24 hours`, `7 days`.
pub(super) fn span(span: Duration) -> String {
    seconds(span.as_secs())
}

/// The same of a number of seconds.
pub(super) fn seconds(seconds: u64) -> String {
    let (count, unit) = match seconds {
        s if s >= 2 * 86_400 && s % 86_400 == 0 => (s / 86_400, "day"),
        s if s >= 3_600 && s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s >= 120 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// What is gone so long after a connection, at most.
pub(super) fn address_gone() -> String {
    seconds(limits::ADDRESS_GONE_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_words() {
        let told = [60, 90, 120, 300, 3_600, 86_400, 172_800, 604_800, 5_400].map(seconds);
        assert_eq!(
            told,
            [
                "60 seconds",
                "90 seconds",
                "2 minutes",
                "5 minutes",
                "1 hour",
                "24 hours",
                "2 days",
                "7 days",
                "90 minutes"
            ]
        );
    }
}
