//! Steps 1 and 5 of 6 in the real world: sockets, QUIC, HTTP/3, WebTransport.
//!
//! A datagram comes in through [`socket`], is admitted by [`admission`] (in a flood, by the `gate` before it) or goes to its connection in the [`hub`], whose
//! bytes (`streams`) the session layer [`h3`] reads as HTTP/3. Once it has opened a session (`sessions`), what the
//! `channel` carries goes to [`crate::core`]; what the core answers waits in a [`queue`] until QUIC takes it. A channel that comes over a
//! `websocket` arrives through a [`pipe`] and is the same from there on: both are a `line`. The [`driver`] is the loop around
//! it, with an order of `precedence` in each turn; the [`engine`] starts one for every shard with its part of the [`settings`], and the [`bus`] connects them.

mod accounting;
pub mod admission;
mod bequest;
pub mod bus;
mod channel;
pub mod cid;
pub mod clock;
pub mod connection;
pub mod datagrams;
pub mod driver;
pub mod engine;
mod gate;
pub mod generations;
pub mod h3;
pub mod hub;
pub mod keys;
mod line;
mod newcomers;
mod padding;
pub mod pipe;
mod precedence;
mod publish;
pub mod queue;
mod quic;
mod receiving;
mod reception;
mod sessions;
pub mod settings;
pub mod socket;
mod streams;
pub mod tls;
mod unread;
mod vacated;
mod watch;
mod websocket;

pub use bequest::Bequest;
