//! Where a client comes from, with proxies in front of the site.
//!
//! In: who is connected, and what a header says about those before. Out: the address of the last one that no trusted proxy vouches for. A
//! client can write what it likes into the header, so it is read from its end, where trusted proxies have added whom they saw.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use crate::privacy::{PeerAddress, Prefixes};

/// The proxies whose word is taken, and where they put it.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    /// Where they are.
    pub from: Arc<Prefixes>,
    /// The header to whose end each adds whom it saw.
    pub header: HeaderName,
}

impl TrustedProxies {
    /// Where the client comes from whose request `peer` has brought.
    pub fn client(&self, peer: &PeerAddress, headers: &HeaderMap) -> PeerAddress {
        let mut client = peer.clone();
        let said = headers.get_all(&self.header).iter().rev();
        let mut hops = said.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        while self.from.contain(&client) {
            // What is no address has been made up, and so has all before it.
            let Some(before) = hops.next().and_then(address) else { break };
            client = before;
        }
        client
    }
}

/// An address as proxies write it: bare, or with a port.
fn address(text: &str) -> Option<PeerAddress> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse::<IpAddr>().ok().or_else(with_port).map(PeerAddress::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_nobody_trusted_has_added_is_the_client() {
        let from = Arc::new(Prefixes::parse("127.0.0.0/8\n10.0.0.0/8").expect("ranges"));
        let proxies = TrustedProxies { from, header: HeaderName::from_static("x-forwarded-for") };
        let client = |peer: &str, said: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in said {
                headers.append("x-forwarded-for", value.parse().expect("a value"));
            }
            let peer = PeerAddress::new(peer.parse().expect("an address"));
            proxies.client(&peer, &headers).expose().to_canonical().to_string()
        };
        assert_eq!(client("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("127.0.0.1", &["192.0.2.66, 192.0.2.1, 10.1.1.1"]), "192.0.2.1", "two proxies");
        assert_eq!(
            client("127.0.0.1", &["192.0.2.66", "192.0.2.1"]),
            "192.0.2.1",
            "two headers are one list"
        );
        assert_eq!(client("192.0.2.9", &["203.0.113.1"]), "192.0.2.9", "a client that makes something up");
        assert_eq!(client("127.0.0.1", &["made up, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client("127.0.0.1", &["192.0.2.1, made up"]),
            "127.0.0.1",
            "a proxy that says nothing of use"
        );
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["10.2.2.2"]), "10.2.2.2", "somebody in the own network");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("::ffff:127.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }
}
