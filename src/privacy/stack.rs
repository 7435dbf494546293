//! What a thread's stack remembers: the dead frames below the one that runs.
//!
//! A datagram's address passes through many frames, which stay as they were until something as deep runs again. On an idle
//! thread that may be never, so a thread that handles addresses calls [`wipe_dead_frames`] now and then, from near its base.

use std::hint::black_box;

/// How deep the frames of a turn may go, with room to spare: a debug build was seen to reach 44 KiB.
const DEPTH_BYTES: usize = 128 * 1024;

/// Zeroes the stack below the caller's frame.
#[inline(never)]
#[allow(clippy::large_stack_arrays)] // Its size is its purpose; a thread of this program has 2 MiB.
pub fn wipe_dead_frames() {
    let mut frame = [0_u8; DEPTH_BYTES];
    // Says that somebody looks at the zeroes, so that they are written.
    black_box(&mut frame);
}
