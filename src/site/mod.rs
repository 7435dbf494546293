//! Before step 1: the page, and where it connects to.
//!
//! In: HTTP/1.1 requests over TCP. Out: the embedded page of client-js, `/client-config.json`, and refusals. It shares no
//! lock and no thread with the shards: it reads their counters, and may starve without hurting a frame.

mod assets;
mod headers;
mod metrics;
mod respond;
mod serve;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Response};

pub use metrics::Metrics;
pub use respond::{Page, SiteConfig};
pub use serve::SiteSockets;

/// A whole answer: everything here is small or embedded.
pub type Answer = Response<Full<Bytes>>;

/// A function from a request's head to an answer. The body, if there is one, stays unread.
pub trait Respond: Send + Sync + 'static {
    /// Answers one request.
    fn respond<B>(&self, request: &Request<B>) -> Answer;
}
