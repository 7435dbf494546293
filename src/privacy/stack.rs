//! What a thread's stack remembers: the dead frames below the one that runs.
//!
//! A datagram's address passes through many frames, which stay as they were until something as deep runs again. On an idle
//! thread that may be never, so a thread that handles addresses calls [`wipe_dead_frames`] now and then, from near its base.
//!
//! On a busy thread it is too soon: what is made next lies where the address was, and bytes of it that mean nothing (of an `Option`
//! that is `None`) are copied with it to where it is kept. So what handles addresses runs [`apart`], in frames that nothing else uses.

use std::hint::black_box;
use std::mem::MaybeUninit;

/// How deep the frames of a turn may go, with room to spare: a debug build was seen to reach 44 KiB.
const DEPTH_BYTES: usize = 128 * 1024 + APART_BYTES;
/// How deep the frames may go that handle no address.
const APART_BYTES: usize = 32 * 1024;

/// Zeroes the stack below the caller's frame.
#[inline(never)]
#[allow(clippy::large_stack_arrays)] // Its size is its purpose; a thread of this program has 2 MiB.
pub fn wipe_dead_frames() {
    let mut frame = [0_u8; DEPTH_BYTES];
    // Says that somebody looks at the zeroes, so that they are written.
    black_box(&mut frame);
}

/// Does something further down on the stack, in frames of its own. Costs a few nanoseconds: the distance is not written.
#[inline(never)]
#[allow(clippy::large_stack_arrays)] // As above.
pub fn apart<T>(act: impl FnOnce() -> T) -> T {
    let mut distance = MaybeUninit::<[u8; APART_BYTES]>::uninit();
    // Twice, so that it is there in between.
    black_box(&mut distance);
    let result = below(act);
    black_box(&mut distance);
    result
}

#[inline(never)]
fn below<T>(act: impl FnOnce() -> T) -> T {
    act()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn depth() -> usize {
        let local = 0_u8;
        black_box(&raw const local).addr()
    }

    #[test]
    fn what_runs_apart_runs_further_down() {
        let (here, there) = (depth(), apart(depth));
        assert!((APART_BYTES..2 * APART_BYTES).contains(&(here - there)), "{} bytes", here - there);
    }
}
