//! AnonCam: anonymous random chat on a sharded WebTransport signaling server.

pub mod core;
pub mod limits;
