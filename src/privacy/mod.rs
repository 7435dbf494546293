//! Around the six steps: what makes a person's traces go away.

mod wipe;

pub use wipe::Wiping;
