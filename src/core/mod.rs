//! Steps 2 to 6: the rules. No socket, task, clock, lock or random source: time and randomness are arguments.

pub mod bus;
pub mod frame;
pub mod io;
pub mod pages;
pub mod wheel;
