//! Packet keys that take 40 bytes while nothing is sent, and are made ready when they are used.
//!
//! In: rustls's calls for AES-128-GCM. Out: encrypted and decrypted packets. An expanded key takes 600 bytes (packets)
//! or 500 (headers), and a connection has two of each for its life; an idle one uses them once in 20 s. So the expanded
//! keys live in a table of fixed size on each thread, and whoever finds another's key in its place expands its own
//! again, which takes about a third of a microsecond.
//!
//! Measured on 10,000 to 100,000 idle sessions: 17.2 KiB each with rustls's own keys, 15.2 KiB with these.

use std::cell::RefCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::cipher::{AeadKey, Iv, Nonce as PacketNonce};
use rustls::quic::{self, Tag};
use rustls::{CipherSuite, Error, SupportedCipherSuite, Tls13CipherSuite};

/// Bytes of an AES-128 key.
const KEY_BYTES: usize = 16;
/// Bytes of the tag of AES-GCM, and of the sample that a header is masked with (RFC 9001 section 5.4.2).
const TAG_BYTES: usize = 16;
/// Packets that one key may protect, and forgeries that it may refuse (RFC 9001 section 6.6).
const CONFIDENTIALITY_LIMIT: u64 = 1 << 23;
const INTEGRITY_LIMIT: u64 = 1 << 52;
/// First byte of a long header, and the bits of the first byte that are masked, by form (RFC 9001 section 5.4.1).
const LONG_HEADER: u8 = 0x80;
const LONG_MASK: u8 = 0x0f;
const SHORT_MASK: u8 = 0x1f;

/// `TLS_AES_128_GCM_SHA256` with keys of this kind; `None` if the provider lacks it.
pub fn suite() -> Option<SupportedCipherSuite> {
    static SUITE: LazyLock<Option<Tls13CipherSuite>> = LazyLock::new(|| {
        let suites = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
        let found = suites.iter().find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256)?;
        let Tls13CipherSuite { common, hkdf_provider, aead_alg, .. } = found.tls13()?;
        let common = rustls::crypto::CipherSuiteCommon { ..*common };
        Some(Tls13CipherSuite {
            common,
            hkdf_provider: *hkdf_provider,
            aead_alg: *aead_alg,
            quic: Some(&Algorithm),
        })
    });
    SUITE.as_ref().map(SupportedCipherSuite::Tls13)
}

struct Algorithm;

impl quic::Algorithm for Algorithm {
    fn packet_key(&self, key: AeadKey, iv: Iv) -> Box<dyn quic::PacketKey> {
        Box::new(PacketKey { cold: Cold::new(&key), iv })
    }

    fn header_protection_key(&self, key: AeadKey) -> Box<dyn quic::HeaderProtectionKey> {
        Box::new(HeaderKey { cold: Cold::new(&key) })
    }

    fn aead_key_len(&self) -> usize {
        KEY_BYTES
    }
}

/// A key as it was derived, and the number under which its expanded form is kept.
struct Cold {
    number: u64,
    key: [u8; KEY_BYTES],
}

impl Cold {
    fn new(key: &AeadKey) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut bytes = [0; KEY_BYTES];
        // rustls derives as many bytes as `aead_key_len` says.
        bytes.copy_from_slice(&key.as_ref()[..KEY_BYTES]);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), key: bytes }
    }
}

struct PacketKey {
    cold: Cold,
    iv: Iv,
}

impl PacketKey {
    fn with<T>(&self, use_it: impl FnOnce(&LessSafeKey) -> Option<T>) -> Option<T> {
        let expand =
            || UnboundKey::new(&AES_128_GCM, &self.cold.key).ok().map(LessSafeKey::new).map(Box::new);
        HOT.with_borrow_mut(|hot| use_it(hot.packets.get(self.cold.number, expand)?))
    }

    fn nonce(&self, packet: u64) -> Nonce {
        Nonce::assume_unique_for_key(PacketNonce::new(&self.iv, packet).0)
    }
}

impl quic::PacketKey for PacketKey {
    fn encrypt_in_place(&self, packet: u64, header: &[u8], payload: &mut [u8]) -> Result<Tag, Error> {
        let aad = Aad::from(header);
        let tag = self.with(|key| key.seal_in_place_separate_tag(self.nonce(packet), aad, payload).ok());
        tag.map(|tag| Tag::from(tag.as_ref())).ok_or(Error::EncryptError)
    }

    fn decrypt_in_place<'a>(
        &self,
        packet: u64,
        header: &[u8],
        payload: &'a mut [u8],
    ) -> Result<&'a [u8], Error> {
        let aad = Aad::from(header);
        let length = self
            .with(|key| key.open_in_place(self.nonce(packet), aad, payload).ok().map(|plain| plain.len()))
            .ok_or(Error::DecryptError)?;
        Ok(&payload[..length])
    }

    fn tag_len(&self) -> usize {
        TAG_BYTES
    }

    fn confidentiality_limit(&self) -> u64 {
        CONFIDENTIALITY_LIMIT
    }

    fn integrity_limit(&self) -> u64 {
        INTEGRITY_LIMIT
    }
}

impl Drop for PacketKey {
    fn drop(&mut self) {
        // When the thread ends its table may be gone already.
        let _ = HOT.try_with(|hot| hot.borrow_mut().packets.remove(self.cold.number));
    }
}

struct HeaderKey {
    cold: Cold,
}

impl HeaderKey {
    /// Masks or unmasks; `plain_first` tells the first byte without its mask.
    fn apply(
        &self,
        sample: &[u8],
        first: &mut u8,
        packet_number: &mut [u8],
        plain_first: impl FnOnce(u8, u8) -> u8,
    ) -> Result<(), Error> {
        let expand = || HeaderProtectionKey::new(&AES_128, &self.cold.key).ok().map(Box::new);
        let mask =
            HOT.with_borrow_mut(|hot| hot.headers.get(self.cold.number, expand)?.new_mask(sample).ok());
        let Some([first_mask, number_mask @ ..]) = mask else { return Err(Error::EncryptError) };
        let masked = if *first & LONG_HEADER == LONG_HEADER { LONG_MASK } else { SHORT_MASK };
        let length = usize::from(plain_first(*first, first_mask & masked) & 0x03) + 1;
        *first ^= first_mask & masked;
        for (byte, mask) in packet_number.iter_mut().zip(number_mask).take(length) {
            *byte ^= mask;
        }
        Ok(())
    }
}

impl quic::HeaderProtectionKey for HeaderKey {
    fn encrypt_in_place(&self, sample: &[u8], first: &mut u8, number: &mut [u8]) -> Result<(), Error> {
        self.apply(sample, first, number, |first, _| first)
    }

    fn decrypt_in_place(&self, sample: &[u8], first: &mut u8, number: &mut [u8]) -> Result<(), Error> {
        self.apply(sample, first, number, |first, mask| first ^ mask)
    }

    fn sample_len(&self) -> usize {
        TAG_BYTES
    }
}

impl Drop for HeaderKey {
    fn drop(&mut self) {
        // As above.
        let _ = HOT.try_with(|hot| hot.borrow_mut().headers.remove(self.cold.number));
    }
}

thread_local! {
    static HOT: RefCell<Hot> = RefCell::default();
}

/// The expanded keys of one thread.
#[derive(Default)]
struct Hot {
    packets: Table<LessSafeKey>,
    headers: Table<HeaderProtectionKey>,
}

/// Places of a table: those who talk at the same time keep their keys, 4,096 connections and more.
const PLACES_LOG2: u32 = 13;

/// A table in which each number has one place, and shares it with others.
struct Table<T> {
    places: Vec<Option<(u64, Box<T>)>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { places: (0..1 << PLACES_LOG2).map(|_| None).collect() }
    }
}

impl<T> Table<T> {
    /// The value of a number, made by `expand` if another has its place. `None` if it cannot be made.
    fn get(&mut self, number: u64, expand: impl FnOnce() -> Option<Box<T>>) -> Option<&T> {
        let place = &mut self.places[place(number)];
        if place.as_ref().is_none_or(|(found, _)| *found != number) {
            *place = Some((number, expand()?));
        }
        place.as_ref().map(|(_, value)| &**value)
    }

    fn remove(&mut self, number: u64) {
        let place = &mut self.places[place(number)];
        if place.as_ref().is_some_and(|(found, _)| *found == number) {
            *place = None;
        }
    }
}

/// Numbers of one connection are neighbours; the multiplication spreads them (Fibonacci hashing).
fn place(number: u64) -> usize {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES_LOG2)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (quic::Keys, quic::Keys) {
        let own = suite().unwrap().tls13().unwrap();
        let theirs = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .find(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256)
            .and_then(SupportedCipherSuite::tls13)
            .unwrap();
        let keys = |suite: &'static Tls13CipherSuite, side| {
            suite.quic_suite().unwrap().keys(b"connect!", side, quic::Version::V1)
        };
        (keys(own, rustls::Side::Client), keys(theirs, rustls::Side::Server))
    }

    #[test]
    fn rustls_reads_what_these_keys_write_and_the_other_way_round() {
        let (own, theirs) = both();
        for (from, to) in [(&own, &theirs), (&theirs, &own)] {
            for (packet, header) in [(7, b"long"), (1 << 40, b"shrt")] {
                let mut payload = b"an answer to everything".to_vec();
                let tag = from.local.packet.encrypt_in_place(packet, header, &mut payload).unwrap();
                payload.extend_from_slice(tag.as_ref());
                assert!(to.remote.packet.decrypt_in_place(packet, b"else", &mut payload.clone()).is_err());
                let plain = to.remote.packet.decrypt_in_place(packet, header, &mut payload).unwrap();
                assert_eq!(plain, b"an answer to everything");
            }
            for first in [0xc3, 0x41] {
                let (mut masked, mut number) = (first, [1, 2, 3, 4]);
                from.local.header.encrypt_in_place(&[9; 16], &mut masked, &mut number).unwrap();
                assert_ne!(number, [1, 2, 3, 4]);
                to.remote.header.decrypt_in_place(&[9; 16], &mut masked, &mut number).unwrap();
                assert_eq!((masked, number), (first, [1, 2, 3, 4]));
            }
        }
    }

    #[test]
    fn a_place_that_another_has_taken_is_taken_back() {
        let mut table = Table::default();
        let (one, same_place) = (1, (2..1_000_000).find(|number| place(*number) == place(1)).unwrap());
        let mut made = 0;
        for number in [one, one, same_place, one] {
            let value = table.get(number, || {
                made += 1;
                Some(Box::new(number))
            });
            assert_eq!(value, Some(&number));
        }
        assert_eq!(made, 3);
        table.remove(same_place);
        assert!(table.get(one, || None).is_some(), "removing what is not there leaves the other");
        table.remove(one);
        assert!(table.get(one, || None).is_none());
    }
}
