//! AnonCam: anonymous random chat on a sharded WebTransport signaling server.

pub mod config;
pub mod core;
pub mod limits;
pub mod ops;
pub mod privacy;
pub mod server;
pub mod site;
pub mod tls;
pub mod transport;
