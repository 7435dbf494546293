//! Step 1 of 6: connection IDs that name their shard.
//!
//! In: the shard's index and the number of shards. Out: 8-byte connection IDs whose first two bytes, taken modulo the
//! number of shards, are that index. The kernel's filter on the socket group steers by those bytes, so a
//! connection stays on its shard when the client's address changes.

use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use rand::rngs::ChaCha20Rng;
use rand::{Rng as _, SeedableRng as _};

/// Length of the connection IDs that the server issues, in bytes.
pub const CID_BYTES: usize = 8;

/// Issues connection IDs for one shard.
#[derive(Debug)]
pub struct ShardCidGenerator {
    shard: u16,
    shards: u16,
    /// A connection takes five of them at once: a generator in memory spares as many system calls.
    rng: ChaCha20Rng,
}

impl ShardCidGenerator {
    /// A generator for shard `shard` of `shards`.
    #[must_use]
    pub fn new(shard: u16, shards: u16) -> Self {
        debug_assert!(shard < shards);
        let mut seed = [0; 32];
        // Without randomness connection IDs could be guessed; a system that cannot give any cannot run TLS either.
        getrandom::fill(&mut seed).expect("the system's random source works");
        Self { shard, shards, rng: ChaCha20Rng::from_seed(seed) }
    }
}

impl ConnectionIdGenerator for ShardCidGenerator {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CID_BYTES];
        self.rng.fill_bytes(&mut bytes);
        let steer = steer_to(u16::from_be_bytes([bytes[0], bytes[1]]), self.shard, self.shards);
        bytes[..2].copy_from_slice(&steer.to_be_bytes());
        ConnectionId::new(&bytes)
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        let steer = u16::from_be_bytes([cid[0], cid[1]]);
        if steer % self.shards == self.shard { Ok(()) } else { Err(InvalidCid) }
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The number nearest to `random` (downwards, or upwards at the edge) that is `shard` modulo `shards`.
fn steer_to(random: u16, shard: u16, shards: u16) -> u16 {
    let base = random - random % shards;
    base.checked_add(shard).unwrap_or_else(|| base - shards + shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_names_its_shard_for_any_number_of_shards() {
        for shards in [1, 2, 3, 4, 7, 64, 255, 256] {
            for shard in [0, shards / 2, shards - 1] {
                let mut generator = ShardCidGenerator::new(shard, shards);
                for _ in 0..50 {
                    let cid = generator.generate_cid();
                    assert_eq!(cid.len(), CID_BYTES);
                    assert!(generator.validate(&cid).is_ok());
                }
            }
        }
    }

    #[test]
    fn the_edge_of_the_number_range_wraps_into_the_right_class() {
        for shards in [2_u16, 3, 5, 256] {
            for shard in 0..shards {
                for random in [0, 1, u16::MAX - 1, u16::MAX] {
                    assert_eq!(steer_to(random, shard, shards) % shards, shard);
                }
            }
        }
    }
}
