//! Which certificate the next handshake gets, and which hashes a client may meet.
//!
//! Driven by [`CertificateStore::turn`] with the time of day, once a minute: a self-made certificate is followed by a new
//! one after five days. The new hash is listed ten minutes before it is served, the old one for as long as it is good.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::Version;
use super::validity::{read, validity};
use super::{ALPN_ACME, CertificateError, SelfMade, SelfMadeParts, excess_warning, load_certificate};
use crate::config::CertificateFiles;
use crate::limits;

/// The certificates of a running server. Read at handshakes, never on the path of a frame.
#[derive(Debug)]
pub struct CertificateStore {
    state: RwLock<State>,
    /// What an authority is shown that asks for a name (RFC 8737).
    challenges: RwLock<Vec<(String, Arc<CertifiedKey>)>>,
}

#[derive(Debug)]
enum State {
    Operator {
        files: CertificateFiles,
        key: Arc<CertifiedKey>,
        /// Of the files, when they were last looked at.
        seen: Version,
        /// Whether the files are still to come, and what is served proves nothing.
        stopgap: bool,
    },
    /// Oldest first, never empty: `served` is one of them.
    SelfMade { served: Arc<CertifiedKey>, all: Vec<SelfMade> },
}

impl CertificateStore {
    /// A store that makes its own certificates.
    pub fn self_made(now: SystemTime) -> Result<Self, rcgen::Error> {
        let first = SelfMade::new(now)?;
        let state = State::SelfMade { served: Arc::clone(&first.key), all: vec![first] };
        Ok(Self::new(state))
    }

    /// A store that goes on with the certificates that another one made, oldest first; where there are none it makes one.
    pub fn inherited(parts: Vec<SelfMadeParts>, now: SystemTime) -> Result<Self, rcgen::Error> {
        let all = parts.into_iter().map(SelfMade::from_parts).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = all.first() else { return Self::self_made(now) };
        let served = Arc::clone(&first.key);
        let store = Self::new(State::SelfMade { served, all });
        store.turn(now)?;
        Ok(store)
    }

    /// What [`CertificateStore::inherited`] takes; nothing with an operator's certificate.
    pub fn self_made_parts(&self) -> Vec<SelfMadeParts> {
        match &*self.read() {
            State::SelfMade { all, .. } => all.iter().map(SelfMade::parts).collect(),
            State::Operator { .. } => Vec::new(),
        }
    }

    /// A store with the operator's certificate.
    pub fn from_files(files: &CertificateFiles) -> Result<Self, CertificateError> {
        let seen = Version::of(files);
        let key = Arc::new(load_certificate(files)?);
        Ok(Self::new(State::Operator { files: files.clone(), key, seen, stopgap: false }))
    }

    /// A store with a certificate that may be still to come: until then it serves one that no browser takes.
    pub fn from_files_to_come(files: &CertificateFiles, now: SystemTime) -> Result<Self, rcgen::Error> {
        if let Ok(store) = Self::from_files(files) {
            return Ok(store);
        }
        let (seen, key) = (Version::of(files), SelfMade::new(now)?.key);
        Ok(Self::new(State::Operator { files: files.clone(), key, seen, stopgap: true }))
    }

    /// Whether there is no certificate yet that a browser would take.
    pub fn is_stopgap(&self) -> bool {
        matches!(&*self.read(), State::Operator { stopgap: true, .. })
    }

    /// When the certificate that is served ends. `None` while there is none that a browser would take.
    pub fn ends(&self) -> Option<SystemTime> {
        if self.is_stopgap() {
            return None;
        }
        Some(validity(&read(&self.current())?).end)
    }

    /// What to show to an authority that asks for these names, until the next call.
    pub fn set_challenges(&self, challenges: Vec<(String, Arc<CertifiedKey>)>) {
        *self.challenges.write().unwrap_or_else(PoisonError::into_inner) = challenges;
    }

    /// What the operator should know of the certificate that is served now.
    pub fn warning(&self) -> Option<String> {
        excess_warning(&self.current())
    }

    fn new(state: State) -> Self {
        Self { state: RwLock::new(state), challenges: RwLock::default() }
    }

    /// Reads the operator's certificate again, or another one; if that fails, the one in use stays. A self-made one is left
    /// alone.
    pub fn reload(&self, files: Option<&CertificateFiles>) -> Result<(), CertificateError> {
        let files = match &*self.read() {
            State::Operator { files: present, .. } => files.unwrap_or(present).clone(),
            State::SelfMade { .. } => return Ok(()),
        };
        let seen = Version::of(&files);
        let key = Arc::new(load_certificate(&files)?);
        *self.write() = State::Operator { files, key, seen, stopgap: false };
        Ok(())
    }

    /// Takes the operator's certificate if its files have changed since they were last looked at. Says whether there is a new one; an error is
    /// told once for each change, and the one in use stays.
    pub fn watch(&self) -> Result<bool, CertificateError> {
        let (files, before) = match &*self.read() {
            State::Operator { files, seen, .. } => (files.clone(), *seen),
            State::SelfMade { .. } => return Ok(false),
        };
        let now = Version::of(&files);
        if now == before {
            return Ok(false);
        }
        if let State::Operator { seen, .. } = &mut *self.write() {
            *seen = now;
        }
        self.reload(Some(&files)).map(|()| true)
    }

    /// Makes, serves and forgets self-made certificates as their time comes.
    pub fn turn(&self, now: SystemTime) -> Result<(), rcgen::Error> {
        let newest = match &*self.read() {
            State::SelfMade { all, .. } => all.last().cloned(),
            State::Operator { .. } => None,
        };
        let Some(newest) = newest else { return Ok(()) };
        // Made outside of the lock: a handshake does not wait for a key to be found.
        let next = if now >= newest.made + ANNOUNCED_AT { Some(SelfMade::new(now)?) } else { None };
        if let State::SelfMade { served, all } = &mut *self.write() {
            all.extend(next);
            all.retain(|one| now < one.expires || Arc::ptr_eq(&one.key, served));
            // The newest that was announced long enough, else the oldest that is still good.
            let known = all.iter().rev().find(|one| now >= one.made + ANNOUNCED_FOR);
            let due =
                known.filter(|one| now < one.expires).or_else(|| all.iter().find(|one| now < one.expires));
            if let Some(due) = due {
                *served = Arc::clone(&due.key);
            }
            all.retain(|one| now < one.expires);
        }
        Ok(())
    }

    /// SHA-256 of each self-made certificate that a client may meet; empty with an operator's certificate.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        match &*self.read() {
            State::SelfMade { all, .. } => all.iter().map(|one| one.hash).collect(),
            State::Operator { .. } => Vec::new(),
        }
    }

    /// The certificate that the next handshake gets.
    pub fn current(&self) -> Arc<CertifiedKey> {
        match &*self.read() {
            State::SelfMade { served, .. } => Arc::clone(served),
            State::Operator { key, .. } => Arc::clone(key),
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        // A panic cannot leave the state half written: each write is one assignment or a change of a Vec.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

const ANNOUNCED_FOR: Duration = Duration::from_secs(limits::SELF_MADE_CERTIFICATE_ANNOUNCED_S);
/// Age of a certificate at which its follower is made, so that this one is served at five days.
const ANNOUNCED_AT: Duration =
    Duration::from_secs(limits::SELF_MADE_CERTIFICATE_REPLACED_S - limits::SELF_MADE_CERTIFICATE_ANNOUNCED_S);

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if !hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ALPN_ACME)) {
            return Some(self.current());
        }
        let name = hello.server_name()?;
        let challenges = self.challenges.read().unwrap_or_else(PoisonError::into_inner);
        challenges.iter().find(|(own, _)| own == name).map(|(_, key)| Arc::clone(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::files::tests::pem;

    const DAY: Duration = Duration::from_secs(86_400);
    const MINUTE: Duration = Duration::from_secs(60);

    fn hash_of(key: &CertifiedKey) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.cert[0]);
        digest.as_ref().try_into().expect("32 bytes")
    }

    /// Four weeks, minute by minute: whoever read the list up to ten minutes ago knows what is served.
    #[test]
    fn a_client_that_read_the_list_ten_minutes_ago_is_always_served_a_hash_it_knows() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let store = CertificateStore::self_made(start).expect("a certificate");
        let mut lists = std::collections::VecDeque::from(vec![store.hashes()]);
        let mut served = vec![hash_of(&store.current())];
        for minute in 1..=28 * 24 * 60 {
            store.turn(start + MINUTE * minute).expect("a certificate");
            let now = hash_of(&store.current());
            if served.last() != Some(&now) {
                served.push(now);
            }
            assert!(
                lists.iter().all(|list| list.contains(&now)),
                "minute {minute}: served before it was known"
            );
            assert!(store.hashes().len() <= 3, "minute {minute}: expired hashes are forgotten");
            lists.push_back(store.hashes());
            if lists.len() > 10 {
                lists.pop_front();
            }
        }
        assert_eq!(served.len(), 6, "a new certificate every five days");
    }

    #[test]
    fn the_old_hash_stays_listed_while_it_is_good() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let store = CertificateStore::self_made(start).expect("a certificate");
        let first = hash_of(&store.current());
        assert_eq!(store.ends(), Some(start + DAY * 10));
        store.turn(start + DAY * 5 - MINUTE * 10).expect("a certificate");
        assert_eq!(hash_of(&store.current()), first, "announced, not yet served");
        assert_eq!(store.hashes().len(), 2);
        store.turn(start + DAY * 5).expect("a certificate");
        assert_ne!(hash_of(&store.current()), first, "served at five days");
        assert!(store.hashes().contains(&first));
        store.turn(start + DAY * 10).expect("a certificate");
        assert!(!store.hashes().contains(&first), "gone when it has expired");
    }

    #[test]
    fn after_a_long_sleep_a_good_certificate_is_served_at_once() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let store = CertificateStore::self_made(start).expect("a certificate");
        store.turn(start + DAY * 100).expect("a certificate");
        assert_eq!(store.hashes(), vec![hash_of(&store.current())]);
    }

    #[test]
    fn it_is_what_browsers_accept_by_hash() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let made = SelfMade::new(start).expect("a certificate");
        assert_eq!(made.expires, start + DAY * 10);
        let der = made.key.cert[0].as_ref();
        let contains = |bytes: &[u8]| der.windows(bytes.len()).any(|window| window == bytes);
        assert!(contains(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]), "the curve is P-256");
        assert!(
            contains(b"localhost") && contains(&[0x87, 4, 127, 0, 0, 1]),
            "the names are those of loopback"
        );
    }

    #[test]
    fn a_process_that_takes_over_serves_and_lists_the_same() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let store = CertificateStore::self_made(start).expect("a certificate");
        let now = start + DAY * 5 - MINUTE;
        store.turn(now).expect("a certificate");
        assert_eq!(store.hashes().len(), 2, "the next is announced");
        let heir = CertificateStore::inherited(store.self_made_parts(), now).expect("a store");
        assert_eq!(heir.hashes(), store.hashes());
        assert_eq!(hash_of(&heir.current()), hash_of(&store.current()));
        heir.turn(start + DAY * 5).expect("a certificate");
        store.turn(start + DAY * 5).expect("a certificate");
        assert_eq!(hash_of(&heir.current()), hash_of(&store.current()));
    }

    #[test]
    fn a_reload_takes_the_new_files_and_keeps_the_old_ones_if_they_are_broken() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = CertificateFiles { cert: directory.path().join("c"), key: directory.path().join("k") };
        let write = || {
            let made =
                rcgen::generate_simple_self_signed(vec!["chat.example".into()]).expect("a certificate");
            std::fs::write(&files.cert, pem("CERTIFICATE", made.cert.der())).expect("a file");
            std::fs::write(&files.key, pem("PRIVATE KEY", &made.signing_key.serialize_der()))
                .expect("a file");
            made.cert.der().clone()
        };
        let first = write();
        let store = CertificateStore::from_files(&files).expect("a pair");
        assert_eq!(store.current().cert[0], first);
        let second = write();
        store.reload(None).expect("a pair");
        assert_eq!(store.current().cert[0], second);
        std::fs::write(&files.key, "not a key").expect("a file");
        assert!(store.reload(None).is_err());
        assert_eq!(store.current().cert[0], second, "the one in use stays");
        assert!(store.hashes().is_empty(), "a certificate authority vouches for it, no hash is listed");
    }

    #[test]
    fn files_that_change_are_taken_once_they_belong_together() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = CertificateFiles { cert: directory.path().join("c"), key: directory.path().join("k") };
        let make = || rcgen::generate_simple_self_signed(vec!["chat.example".into()]).expect("a certificate");
        // As a careful tool replaces files: a new one takes the name of the old.
        let put = |path: &std::path::Path, label: &str, der: &[u8]| {
            let new = path.with_extension("new");
            std::fs::write(&new, pem(label, der)).expect("a file");
            std::fs::rename(&new, path).expect("a file");
        };
        let first = make();
        put(&files.cert, "CERTIFICATE", first.cert.der());
        put(&files.key, "PRIVATE KEY", &first.signing_key.serialize_der());
        let store = CertificateStore::from_files(&files).expect("a pair");
        assert!(!store.watch().expect("nothing new"));
        let second = make();
        put(&files.cert, "CERTIFICATE", second.cert.der());
        assert!(store.watch().is_err(), "half of a change");
        assert!(!store.watch().expect("told once"));
        assert_eq!(&store.current().cert[0], first.cert.der(), "the one in use stays");
        put(&files.key, "PRIVATE KEY", &second.signing_key.serialize_der());
        assert!(store.watch().expect("a pair"));
        assert_eq!(&store.current().cert[0], second.cert.der());
    }
}
