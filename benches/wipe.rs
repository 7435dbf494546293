//! What wiping costs: one allocation and its release, with mimalloc alone and with every byte zeroed on the way back.
//!
//! `cargo bench --bench wipe`. The difference is the price of the promise that an address is gone from memory when
//! its connection is (DESIGN: privacy rules).

#![allow(unsafe_code, missing_docs)] // Raw allocations are what is measured; criterion's macros write no documentation.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;

use anoncam::privacy::Wiping;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mimalloc::MiMalloc;

fn once(allocator: &impl GlobalAlloc, layout: Layout) {
    // SAFETY: the layout is not empty, and the block is freed once, with the layout it was allocated with.
    unsafe {
        let block = black_box(allocator.alloc(layout));
        assert!(!block.is_null());
        // As in life, the block is in use (and in the cache) before it is freed.
        block.write_bytes(1, layout.size());
        allocator.dealloc(black_box(block), layout);
    }
}

fn wipe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate, fill, free");
    for size in [64, 1_024, 16_384] {
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        group.bench_function(BenchmarkId::new("mimalloc", size), |bencher| {
            bencher.iter(|| once(&MiMalloc, layout));
        });
        group.bench_function(BenchmarkId::new("wiping", size), |bencher| {
            bencher.iter(|| once(&Wiping(MiMalloc), layout));
        });
    }
    group.finish();
}

criterion_group!(benches, wipe);
criterion_main!(benches);
