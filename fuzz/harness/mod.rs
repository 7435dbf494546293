//! What the fuzz targets do with their input, apart from the fuzzer, so that `cargo test` can replay the seeds.

#![allow(dead_code)] // Each target uses one of these.

pub mod capsule;
pub mod configuration;
pub mod core_shard;
pub mod frame_decoder;
pub mod h3_session;
pub mod messages;
pub mod orders;
pub mod qpack;

/// The input, taken from the front. At its end it gives zeros.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
