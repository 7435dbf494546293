//! WebSocket from the client's side: many TCP connections on one thread, with or without TLS.
//!
//! `sockets` holds the connections, `websocket` speaks RFC 6455 without any socket, `channel` carries AnonCam's frames
//! (docs/PROTOCOL.md section 9), `matchbox` the events of a peer.

pub mod channel;
mod epoll;
pub mod matchbox;
mod sockets;
mod stream;
mod websocket;
