//! Steps 2 to 6: the rules. No socket, task, clock, lock or random source: time and randomness are arguments.
//!
//! In the order of the path: [`frame`] and [`message`] read what a client says, `hello` and [`token`] make or resume a
//! [`session`]; `find` puts it into the [`waiting`] room, [`pairing`] says who fits, `rendezvous` and `claims` find
//! somebody on another shard; [`pause`] is what an operator turns off, [`reports`] what ends somebody else's session; `chat` relays and ends, `across` does so between shards. `remote` carries a channel whose session
//! is at home elsewhere. [`shard`] is all that a driver calls, and [`io`] and [`bus`] are all that it sees.

mod across;
mod attach;
pub mod audit;
pub mod bus;
mod chat;
mod claims;
mod conduct;
pub mod counts;
mod departed;
mod drain;
pub mod few;
mod find;
pub mod frame;
mod hello;
pub mod ice;
pub mod index;
pub mod interests;
pub mod io;
mod keys;
pub mod latencies;
mod links;
pub mod message;
pub mod pages;
pub mod pairing;
pub mod pause;
mod remote;
mod rendezvous;
pub mod reply;
pub mod reports;
pub mod search;
pub mod session;
pub mod shard;
mod shelves;
mod timers;
pub mod token;
pub mod waiting;
pub mod wheel;
