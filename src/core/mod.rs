//! Steps 2 to 6: the rules. No socket, task, clock, lock or random source: time and randomness are arguments.

pub mod bus;
pub mod io;
