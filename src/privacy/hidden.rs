//! Values that cannot be shown.
//!
//! What opens something (a token, the secret of a relay, a key) or names somebody (an address) is kept in one of these types:
//! `Debug` says that there is something and not what, there is no `Display`, and the bytes are wiped when they are let go.
//! What only passes through (frames, interests) derives `Debug` with lengths in place of contents; `tests/tidy.rs` looks after
//! both.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use zeroize::Zeroize;

/// A secret: never printed, wiped on drop.
#[derive(Clone)]
pub struct Hidden<T: Zeroize>(T);

impl<T: Zeroize> Hidden<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for whoever has to use it. What is made of it is for the caller to hide.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled where it lies: a copy would have to be wiped too.
    pub const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Hidden<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Hidden<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// The address of somebody who connects, without a port. An IPv4 address that came mapped into IPv6 is an IPv4 address.
#[derive(Clone, Debug)]
pub struct PeerAddress(Hidden<[u8; 16]>);

impl PeerAddress {
    /// Hides an address.
    pub const fn new(address: IpAddr) -> Self {
        Self(Hidden::new(match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }))
    }

    /// The address, for whoever compares or hashes it.
    pub fn expose(&self) -> IpAddr {
        Ipv6Addr::from(*self.0.expose()).to_canonical()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_printed() {
        let secret = Hidden::new("hush hush".to_owned());
        assert_eq!(format!("{secret:?} {:#?}", secret.clone()), "(hidden) (hidden)");
        assert_eq!(secret.expose(), "hush hush");
        let address = PeerAddress::new([203, 0, 113, 7].into());
        assert_eq!(format!("{address:?}"), "PeerAddress((hidden))");
    }

    #[test]
    fn an_address_is_the_same_however_it_came() {
        let plain: IpAddr = "203.0.113.7".parse().expect("an address");
        let mapped: IpAddr = "::ffff:203.0.113.7".parse().expect("an address");
        let six: IpAddr = "2001:db8::7".parse().expect("an address");
        assert_eq!(PeerAddress::new(plain).expose(), plain);
        assert_eq!(PeerAddress::new(mapped).expose(), plain);
        assert_eq!(PeerAddress::new(six).expose(), six);
    }

    #[test]
    fn what_is_let_go_is_wiped() {
        /// Tells a test that it was wiped.
        struct Witness<'a>(&'a std::cell::Cell<bool>);
        impl Zeroize for Witness<'_> {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }
        let wiped = std::cell::Cell::new(false);
        drop(Hidden::new(Witness(&wiped)));
        assert!(wiped.get());
    }
}
