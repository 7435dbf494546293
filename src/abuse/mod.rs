//! Steps 1, 2 and 6: how often somebody comes and how they behave, without knowing anybody.
//!
//! In: addresses, which become hashes under a random key at once ([`mark`]). Out: who may come in and how fast ([`table`],
//! [`allowances`], [`pace`]), who has to prove work first ([`demand`], [`work`]), and what follows from reports ([`docket`], [`ledger`]).
//! The [`Guard`] is all of it, one for the process, and takes no lock on the path of a frame or of a connection but to read a key. Nothing
//! here is ever written down, and every part has a bound in `limits.rs`.

pub mod allowances;
pub mod demand;
pub mod docket;
mod guard;
pub mod ledger;
pub mod mark;
mod orders;
pub mod pace;
mod rights;
pub mod table;
mod ticket;
pub mod work;

pub use guard::{Asking, Guard, GuardConfig, reason_of};
pub use ticket::Ticket;
