//! Step 1 of 6: where a client comes from, as a number that says nothing.
//!
//! In: an address, and a random key that exists in memory alone. Out: a hash of the address's prefix. What is counted by it can be
//! compared with what the same prefix does later, and with nothing else.

use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use siphasher::sip::SipHasher24;

use crate::privacy::Hidden;

/// Bits of an IPv6 address that name one network: a home, or a phone.
const NEAR_BYTES: usize = 8;
/// Bits of an IPv6 address that name one site, which may have 65,536 networks.
const WIDE_BYTES: usize = 6;

/// The prefixes of one address, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// IPv4 /32, IPv6 /64.
    pub near: u64,
    /// IPv6 /48.
    pub wide: Option<u64>,
}

/// A key, and the hashes under it.
#[derive(Debug)]
pub struct Marker(RwLock<Hidden<[u64; 2]>>);

impl Marker {
    /// A marker under a random key.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self(RwLock::new(Hidden::new([getrandom::u64()?, getrandom::u64()?]))))
    }

    /// Takes a new key: nothing that was hashed before can be compared any more. Without random numbers the old one stays.
    pub fn change_key(&self) {
        if let (Ok(a), Ok(b)) = (getrandom::u64(), getrandom::u64()) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Hidden::new([a, b]);
        }
    }

    /// The hashes of an address's prefixes. An IPv4 address mapped into IPv6 is an IPv4 address.
    pub fn prefixes(&self, address: IpAddr) -> Prefixes {
        match address.to_canonical() {
            IpAddr::V4(address) => Prefixes { near: self.hash(4, &address.octets()), wide: None },
            IpAddr::V6(address) => {
                let octets = address.octets();
                let wide = Some(self.hash(48, &octets[..WIDE_BYTES]));
                Prefixes { near: self.hash(64, &octets[..NEAR_BYTES]), wide }
            }
        }
    }

    /// The hash of the prefix alone that names one network. Never 0.
    pub fn near(&self, address: IpAddr) -> u64 {
        self.prefixes(address).near.max(1)
    }

    fn hash(&self, kind: u8, prefix: &[u8]) -> u64 {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let [a, b] = *key.expose();
        let mut bytes = [kind; 1 + NEAR_BYTES];
        bytes[1..=prefix.len()].copy_from_slice(prefix);
        SipHasher24::new_with_keys(a, b).hash(&bytes[..=prefix.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(marker: &Marker, address: &str) -> Prefixes {
        marker.prefixes(address.parse().expect("an address"))
    }

    #[test]
    fn one_network_has_one_mark() {
        let marker = Marker::new().expect("random numbers");
        let of = |address| prefixes(&marker, address);
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"), "mapped IPv4 is IPv4");
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"), "a /64");
        let (a, b) = (of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(a.near, b.near);
        assert_eq!(a.wide, b.wide, "a /48");
        assert_ne!(a.wide, of("2001:db8:2:2::1").wide);
        assert_ne!(of("::").wide, Some(of("::").near), "each length of prefix has hashes of its own");
    }

    #[test]
    fn without_the_key_a_mark_says_nothing() {
        let (one, other) = (Marker::new().expect("random numbers"), Marker::new().expect("random numbers"));
        let before = prefixes(&one, "192.0.2.1");
        assert_ne!(before, prefixes(&other, "192.0.2.1"));
        one.change_key();
        assert_ne!(before, prefixes(&one, "192.0.2.1"));
    }
}
