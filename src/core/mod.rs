//! Steps 2 to 6: the rules. No socket, task, clock, lock or random source: time and randomness are arguments.

mod across;
pub mod bus;
mod chat;
mod claims;
mod conduct;
pub mod counts;
mod find;
pub mod frame;
mod hello;
pub mod ice;
pub mod interests;
pub mod io;
mod links;
pub mod message;
pub mod pages;
pub mod pairing;
mod remote;
mod rendezvous;
pub mod reply;
pub mod session;
pub mod shard;
mod timers;
pub mod token;
pub mod waiting;
pub mod wheel;
