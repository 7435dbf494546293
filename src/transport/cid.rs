//! Step 1 of 6: connection IDs that name their shard and their process.
//!
//! In: the shard's index, the number of shards, and the generation of the process. Out: 8-byte connection IDs whose first
//! two bytes, taken modulo the number of shards, are that index, and whose third is the generation. The kernel's
//! filter on the socket group steers by the first, so a connection stays on its shard when the client's address
//! changes; by the other a process knows what belongs to an older one during an upgrade.

use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use rand::rngs::ChaCha20Rng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// Length of the connection IDs that the server issues, in bytes.
pub const CID_BYTES: usize = 8;

/// Which process of a row of upgrades it is: counted from 0, and round again after 255. At most
/// [`crate::limits::ELDERS`] of those before live, so no two of one number do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Generation(pub u8);

impl Generation {
    /// That of the process which takes over from one of this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// The generation that issued the ID which a datagram is sent to. `None` if no process of this server did: it is of
/// another length, or there is none. A client's own random ID of the right length looks as if one had.
pub fn generation_of(datagram: &[u8]) -> Option<Generation> {
    const LONG_HEADER: u8 = 0x80;
    // RFC 9000, section 17.2: the form (1 byte), the version (4), the length of the ID (1); section 17.3: the form (1).
    let id_at = match *datagram.first()? {
        form if form & LONG_HEADER == 0 => 1,
        _ if usize::from(*datagram.get(5)?) == CID_BYTES => 6,
        _ => return None,
    };
    datagram.get(id_at + GENERATION_AT).map(|byte| Generation(*byte))
}

/// The place of the generation in an ID.
const GENERATION_AT: usize = 2;

/// Issues connection IDs for one shard.
#[derive(Debug)]
pub struct ShardCidGenerator {
    generation: Generation,
    shard: u16,
    shards: u16,
    /// A connection takes five of them at once: a generator in memory spares as many system calls.
    rng: ChaCha20Rng,
}

impl ShardCidGenerator {
    /// A generator for shard `shard` of `shards`, in a process of this generation.
    #[must_use]
    pub fn new(generation: Generation, shard: u16, shards: u16) -> Self {
        debug_assert!(shard < shards);
        let mut seed = [0; 32];
        // Without randomness connection IDs could be guessed; a system that cannot give any cannot run TLS either.
        getrandom::fill(&mut seed).expect("the system's random source works");
        Self { generation, shard, shards, rng: ChaCha20Rng::from_seed(seed) }
    }
}

impl ShardCidGenerator {
    /// Other random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.rng.fill_bytes(bytes);
    }
}

impl ConnectionIdGenerator for ShardCidGenerator {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut bytes = [0; CID_BYTES];
        self.rng.fill_bytes(&mut bytes);
        let steer = steer_to(u16::from_be_bytes([bytes[0], bytes[1]]), self.shard, self.shards);
        bytes[..2].copy_from_slice(&steer.to_be_bytes());
        bytes[GENERATION_AT] = self.generation.0;
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
                let mut generator = ShardCidGenerator::new(Generation(7), shard, shards);
                for _ in 0..50 {
                    let cid = generator.generate_cid();
                    assert_eq!(cid.len(), CID_BYTES);
                    assert!(generator.validate(&cid).is_ok());
                }
            }
        }
    }

    #[test]
    fn a_datagram_tells_which_generation_issued_its_id() {
        let cid = ShardCidGenerator::new(Generation(200), 3, 4).generate_cid();
        let short = [&[0x40][..], &cid, &[0; 20]].concat();
        let long = |id: &[u8]| [&[0xc0, 0, 0, 0, 1, id.len() as u8][..], id, &[0; 20]].concat();
        assert_eq!(generation_of(&short), Some(Generation(200)));
        assert_eq!(generation_of(&long(&cid)), Some(Generation(200)));
        assert_eq!(generation_of(&long(&[200; 20])), None, "a client's own ID of another length");
        for length in 0..short.len().min(4) {
            assert_eq!(generation_of(&short[..length]), None);
        }
        assert_eq!(generation_of(&long(&cid)[..8]), None);
        assert_eq!(Generation(255).next(), Generation(0));
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
