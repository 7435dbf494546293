//! AnonCam: anonymous random chat on a sharded WebTransport signaling server.
//!
//! A person opens a page, says text or video, and meets a stranger. This crate is the server; it is read in the order
//! of a session's path:
//!
//! 1. **accept**: a datagram reaches a shard ([`transport::socket`]), is let in ([`transport::admission`]) and becomes a
//!    connection ([`transport::connection`]); its HTTP/3 CONNECT opens a session ([`transport::h3`])
//! 2. **hello**: the channel's bytes become frames ([`core::frame`]), HELLO a [`core::session`] with a token
//!    ([`core::token`])
//! 3. **find**: the session joins the waiting room ([`core::waiting`])
//! 4. **pair**: two who fit ([`core::pairing`]) become a chat, on this shard or across two
//! 5. **relay**: opaque frames go from one channel to the other ([`core::shard`], [`transport::queue`]) without a copy
//! 6. **close**: every way to end; freed memory is wiped ([`privacy`])
//!
//! [`core`] holds the rules and no socket, clock or random source; [`transport`] is the real world around it, one thread a shard
//! ([`transport::driver`]). [`limits`] has every bound. [`config`], [`tls`], [`site`] and [`ops`] are what an operator
//! touches, [`server`] puts all of it together, and [`upgrade`] replaces a running one.

pub mod abuse;
pub mod calendar;
pub mod config;
pub mod core;
pub mod limits;
pub mod ops;
pub mod privacy;
pub mod server;
pub mod site;
pub mod tls;
pub mod transport;
pub mod upgrade;
