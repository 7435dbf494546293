//! A small HTTP/3 and WebTransport client, without sockets: bytes of streams in, frames of the channel out.
//!
//! Written apart from the server's code, so that one mistake cannot hide on both sides.

pub mod frame;
pub mod h3;
pub mod qpack;
pub mod session;
