//! Around the six steps: what makes a person's traces go away.

mod hidden;
pub mod memory;
mod prefixes;
mod stack;
mod wipe;

pub use hidden::{Hidden, PeerAddress};
pub use prefixes::Prefixes;
pub use stack::{apart, wipe_dead_frames};
pub use wipe::{Wiping, heap_bytes_of_thread};
