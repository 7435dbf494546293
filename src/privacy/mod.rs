//! Around the six steps: what makes a person's traces go away.

mod stack;
mod wipe;

pub use stack::wipe_dead_frames;
pub use wipe::Wiping;
