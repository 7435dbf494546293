//! What a running server takes over when its configuration is read again.
//!
//! In: the configuration of before, and the same flags, environment and file as they are now. Out: what has changed, sorted by
//! whether it takes effect at once or needs a restart, and the configuration that runs from now on.

use std::collections::BTreeMap;

use super::value::Value;
use super::{Arguments, Config, ConfigError};

/// Settings that take effect when they are read again. Files that are named are read again in any case: the certificate, its
/// key, the secret of the relay. All other settings need a restart.
pub const LIVE: [&str; 15] = [
    "log",
    "max_sessions",
    "drain_seconds",
    "retry_above",
    "people_per_address",
    "work_above",
    "shard_buffer_mib",
    "origins",
    "cert",
    "key",
    "retention.resume_s",
    "retention.forget_s",
    "turn.urls",
    "turn.secret_file",
    "turn.ttl_s",
];

/// Where a configuration came from.
#[derive(Clone, Debug)]
pub struct Source {
    pub(super) arguments: Arguments,
    /// The values that were given, of each setting the one that won.
    pub(super) given: BTreeMap<&'static str, Value>,
}

/// What a second reading found changed, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Takes effect at once.
    pub live: Vec<&'static str>,
    /// Takes effect after a restart.
    pub restart: Vec<&'static str>,
}

impl Config {
    /// Reads everything again that [`Config::load`] has read. A configuration that was made by a program stays as it is.
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        match &self.source {
            Some(source) => Self::load(&source.arguments),
            None => Ok(self.clone()),
        }
    }

    /// What `new` changes.
    pub fn changes(&self, new: &Self) -> Changes {
        let mut changes = Changes::default();
        let (Some(old), Some(other)) = (&self.source, &new.source) else { return changes };
        let keys = old.given.keys().chain(other.given.keys().filter(|key| !old.given.contains_key(*key)));
        for key in keys.filter(|key| old.given.get(*key) != other.given.get(*key)) {
            // Where nobody else may reach it before, everybody may after: too much for a running server.
            let other_mode = self.mode() != new.mode() && matches!(*key, "cert" | "key");
            let list =
                if LIVE.contains(key) && !other_mode { &mut changes.live } else { &mut changes.restart };
            list.push(*key);
        }
        changes
    }

    /// Takes over from `new` what takes effect at once.
    pub fn adopt(&mut self, new: Self, changes: &Changes) {
        self.log = new.log;
        self.max_sessions = new.max_sessions;
        self.drain = new.drain;
        self.retry_above = new.retry_above;
        self.people_per_address = new.people_per_address;
        self.work_above = new.work_above;
        self.shard_buffer_bytes = new.shard_buffer_bytes;
        self.retention = new.retention;
        self.turn = new.turn;
        if changes.live.contains(&"origins") {
            self.origins = new.origins;
        }
        if self.certificate.is_some() && new.certificate.is_some() {
            self.certificate = new.certificate;
        }
        let (Some(old), Some(mut other)) = (&mut self.source, new.source) else { return };
        for key in &changes.live {
            match other.given.remove(key) {
                Some(value) => drop(old.given.insert(key, value)),
                None => drop(old.given.remove(key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SETTINGS;
    use super::*;

    #[test]
    fn what_takes_effect_at_once_are_settings() {
        for key in LIVE {
            assert!(SETTINGS.iter().any(|setting| setting.key == key), "{key}");
        }
    }

    #[test]
    fn a_change_is_sorted_and_told_until_the_restart() {
        use clap::Parser as _;
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("anoncam.toml");
        let write = |text: &str| std::fs::write(&file, text).expect("a file");
        write("shards = 2\nlog = \"warn\"\nmax_sessions = 7\n");
        let path = file.to_str().expect("UTF-8");
        let arguments = Arguments::parse_from(["anoncam", "--config", path]);
        let mut running = Config::load_with(&arguments, []).expect("a configuration");
        write("shards = 3\nlog = \"info\"\ndrain_seconds = 9\n");
        for live in [&["log", "max_sessions", "drain_seconds"][..], &[]] {
            let new = running.read_again().expect("a configuration");
            let changes = running.changes(&new);
            assert_eq!(changes, Changes { live: live.to_vec(), restart: vec!["shards"] });
            running.adopt(new, &changes);
            assert_eq!((running.shards, running.max_sessions, running.drain.as_secs()), (2, 1_000_000, 9));
        }
        write("shards = \"many\"");
        assert!(running.read_again().is_err());
    }
}
