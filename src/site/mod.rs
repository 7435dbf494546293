//! Before step 1: the page, and where it connects to.
//!
//! In: HTTP/1.1 requests over TCP. Out: the embedded page of client-js, `/client-config.json`, and refusals. It shares no
//! lock and no thread with the shards: it reads their counters, and may starve without hurting a frame.

mod assets;
mod headers;
mod respond;
mod serve;

pub use respond::SiteConfig;
pub use serve::SiteSockets;
