//! What tests over real sockets share: a server in a process of its own, a client that can say anything, and a chatter.

#![allow(dead_code)] // Each test file uses its part.

pub mod chat;
#[path = "../support/http.rs"]
pub mod http;
pub mod packets;
pub mod peace;
pub mod raw;
pub mod server;
pub mod wire;
