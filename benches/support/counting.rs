//! An allocator that counts, for benchmarks and tests of memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes in use, bytes ever allocated, and allocations.
pub struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system allocator unchanged; the counters are atomics of their own.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises about `at` and `layout` are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

impl Counting {
    /// Bytes in use.
    #[allow(dead_code, reason = "not every user asks")]
    pub fn in_use() -> usize {
        IN_USE.load(Ordering::Relaxed)
    }

    /// Bytes ever allocated, and how often.
    #[allow(dead_code, reason = "not every user asks")]
    pub fn allocated() -> (usize, usize) {
        (ALLOCATED.load(Ordering::Relaxed), ALLOCATIONS.load(Ordering::Relaxed))
    }
}
