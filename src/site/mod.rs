//! Before step 1: the page, and where it connects to.
//!
//! In: HTTP/1.1 requests over TCP. Out: the embedded page of client-js, `/client-config.json`, WebSockets on their way to a
//! shard, and refusals. It shares no lock and no thread with the shards: it reads their counters, fills and empties pipes, and may starve
//! without hurting anybody who came over WebTransport.

mod assets;
mod headers;
mod metrics;
pub mod policy;
mod proxy;
mod redirect;
mod respond;
mod serve;
mod websocket;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{HeaderMap, Request, Response};

use crate::privacy::PeerAddress;

pub use metrics::Metrics;
pub use proxy::TrustedProxies;
pub use redirect::Redirect;
pub use respond::{Page, SiteConfig};
pub use serve::SiteSockets;
pub use websocket::PolicyNow;

/// A whole answer: everything here is small or embedded.
pub type Answer = Response<Full<Bytes>>;

/// A function from a request's head to an answer. The body, if there is one, stays unread.
pub trait Respond: Send + Sync + 'static {
    /// Answers one request.
    fn respond<B>(&self, request: &Request<B>) -> Answer;

    /// Where the client comes from whose request `peer` has brought.
    fn client(&self, peer: &PeerAddress, headers: &HeaderMap) -> PeerAddress {
        let _ = headers;
        peer.clone()
    }

    /// Whether somebody at this address is served at all.
    fn serves(&self, address: &PeerAddress) -> bool {
        let _ = address;
        true
    }

    /// Answers one request of somebody who is not served.
    fn turn_away<B>(&self, request: &Request<B>) -> Answer {
        self.respond(request)
    }
}
