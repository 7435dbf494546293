//! One address or several, to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Addresses to listen on: at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    first: SocketAddr,
    more: Vec<SocketAddr>,
}

impl Addresses {
    /// All of these; `None` if there are none.
    pub fn new(all: impl IntoIterator<Item = SocketAddr>) -> Option<Self> {
        let mut all = all.into_iter();
        Some(Self { first: all.next()?, more: all.collect() })
    }

    /// The one that is told to people.
    pub fn first(&self) -> SocketAddr {
        self.first
    }

    /// Every one, in order.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Whether nobody but this machine reaches any of them.
    pub fn are_loopback(&self) -> bool {
        self.iter().all(|address| address.ip().is_loopback())
    }
}

impl From<SocketAddr> for Addresses {
    fn from(first: SocketAddr) -> Self {
        Self { first, more: Vec::new() }
    }
}

impl From<(Ipv4Addr, u16)> for Addresses {
    fn from((ip, port): (Ipv4Addr, u16)) -> Self {
        SocketAddr::new(IpAddr::V4(ip), port).into()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.more.iter().try_for_each(|address| write!(f, ", {address}"))
    }
}
