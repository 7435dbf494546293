//! Freed memory is wiped.
//!
//! Addresses and keys live inside quinn-proto's and rustls's structures, which nobody can zero by hand, so the allocator
//! does: [`Wiping`] zeroes every block before it goes back. `main.rs` makes it the allocator of the whole process.
//!
//! What it does not reach: stacks, registers, memory of C code (aws-lc clears what it frees by itself), pages that the
//! kernel has swapped out, and bytes that a live structure keeps although it needs them no more.

#![allow(unsafe_code)] // An allocator is unsafe by nature: GlobalAlloc is an unsafe trait.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::ptr;

thread_local! {
    /// Bytes that this thread has allocated, less what it has freed.
    static HEAP_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Bytes on the heap that the calling thread has allocated, less what it has freed, its own or another's: below 0 if it has freed
/// more. Always 0 where [`Wiping`] is not the allocator of the process.
pub fn heap_bytes_of_thread() -> i64 {
    HEAP_BYTES.get().cast_signed() as i64
}

/// Counts bytes that come and bytes that go. A plain add in the thread's own memory; at the very end of a thread, where there is
/// none, nothing.
fn count(come: usize, go: usize) {
    let _ = HEAP_BYTES.try_with(|bytes| bytes.set(bytes.get().wrapping_add(come).wrapping_sub(go)));
}

/// An allocator that zeroes what `A` gets back.
///
/// `A` has to know a block's size by its address, as mimalloc and libc do: a block that shrank in place is freed with a
/// smaller layout than it was allocated with.
pub struct Wiping<A>(pub A);

// SAFETY: every block comes from `A` with the layout that the caller gave and goes back to `A` with the same layout, so
// `A`'s own guarantees carry over. Between the two, only bytes inside of a block are read or written.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller keeps GlobalAlloc::alloc's contract, which is A's.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as above. A's own way to zero knows fresh pages, which need none.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `block` was allocated here with `layout`, so `layout.size()` bytes are ours until A takes them back.
        unsafe {
            wipe(block, layout.size());
            self.0.dealloc(block, layout);
        }
    }

    /// Shrinking by less than half stays in place and wipes the tail: the block keeps its size class, as `A` would have
    /// done it. Everything else moves: `A::realloc` would free the old block unwiped.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let size = layout.size();
        if new_size <= size && new_size >= size / 2 {
            count(new_size, size);
            // SAFETY: the bytes from `new_size` to `size` are inside of the block, and the caller gives them up.
            unsafe { wipe(block.add(new_size), size - new_size) };
            return block;
        }
        // SAFETY: `new_size` is not 0 and fits with the alignment, by GlobalAlloc::realloc's contract. The new block does
        // not overlap the old one, and both have the bytes that are copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, size.min(new_size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Zeroes `length` bytes so that the compiler cannot leave it out, although nobody reads them afterwards.
///
/// # Safety
/// The bytes from `block` on belong to the caller and may be written.
unsafe fn wipe(block: *mut u8, length: usize) {
    // SAFETY: by the contract of this function.
    unsafe { ptr::write_bytes(block, 0, length) };
    // An empty assembly that is said to read memory through `block`: the bytes before it have to be written. It lets the
    // compiler use its fastest way to do that, where a loop of volatile writes would go byte by byte.
    // SAFETY: no instruction, no register changed, no stack used.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags, readonly));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// The system's allocator, which looks at each block as it comes back.
    #[derive(Default)]
    struct Inspector {
        freed: RefCell<Vec<Vec<u8>>>,
    }

    // SAFETY: passes everything on to the system's allocator.
    unsafe impl GlobalAlloc for Inspector {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            unsafe { std::alloc::System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            self.freed.borrow_mut().push(bytes.to_vec());
            unsafe { std::alloc::System.dealloc(block, layout) }
        }
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).expect("a layout")
    }

    /// A block filled with something that has to go away.
    fn filled(allocator: &Wiping<Inspector>, size: usize) -> *mut u8 {
        unsafe {
            let block = allocator.alloc(layout(size));
            assert!(!block.is_null());
            block.write_bytes(0xA5, size);
            block
        }
    }

    fn all_zero(freed: &[Vec<u8>]) -> bool {
        freed.iter().flatten().all(|byte| *byte == 0)
    }

    #[test]
    fn a_freed_block_comes_back_as_zeroes() {
        let allocator = Wiping(Inspector::default());
        for size in [1, 7, 64, 1_000, 100_000] {
            let block = filled(&allocator, size);
            unsafe { allocator.dealloc(block, layout(size)) };
        }
        let freed = allocator.0.freed.borrow();
        assert_eq!(freed.len(), 5);
        assert!(all_zero(&freed));
    }

    #[test]
    fn a_block_that_moves_leaves_nothing_behind() {
        let allocator = Wiping(Inspector::default());
        for (old, new) in [(100, 1_000), (1_000, 100)] {
            let block = filled(&allocator, old);
            unsafe {
                let moved = allocator.realloc(block, layout(old), new);
                let kept = std::slice::from_raw_parts(moved, old.min(new));
                assert!(kept.iter().all(|byte| *byte == 0xA5), "what is still used is kept");
                allocator.dealloc(moved, layout(new));
            }
        }
        assert!(all_zero(&allocator.0.freed.borrow()));
    }

    #[test]
    fn a_block_that_shrinks_in_place_loses_its_tail() {
        let allocator = Wiping(Inspector::default());
        let block = filled(&allocator, 1_000);
        unsafe {
            let same = allocator.realloc(block, layout(1_000), 600);
            assert_eq!(same, block);
            let all = std::slice::from_raw_parts(block, 1_000);
            assert!(all[..600].iter().all(|byte| *byte == 0xA5) && all[600..].iter().all(|byte| *byte == 0));
            allocator.dealloc(block, layout(600));
        }
    }

    /// The same through mimalloc: a block that is handed out again right after it was freed shows what was left in it.
    #[test]
    fn mimalloc_hands_out_no_old_bytes() {
        let allocator = Wiping(mimalloc::MiMalloc);
        let mut handed_out_again = 0;
        for size in [64, 1_024, 16_384] {
            unsafe {
                let block = allocator.alloc(layout(size));
                block.write_bytes(0xA5, size);
                allocator.dealloc(block, layout(size));
                let again = allocator.alloc(layout(size));
                let bytes = std::slice::from_raw_parts(again, size);
                handed_out_again += usize::from(again == block);
                // The first word may hold mimalloc's list of free blocks.
                assert!(bytes.iter().all(|byte| *byte != 0xA5), "{size} bytes");
                allocator.dealloc(again, layout(size));
            }
        }
        assert!(handed_out_again > 0, "no block came back, so nothing was seen");
    }
}
