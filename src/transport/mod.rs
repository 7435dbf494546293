//! Steps 1, 5 and 6 in the real world: sockets, QUIC, HTTP/3 and WebTransport.

pub mod h3;
