//! What a seed makes of the world, and rules broken on purpose.

use crate::random::Random;

/// A rule broken on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A relayed frame goes to another channel.
    Misdeliver,
    /// A relayed frame is written twice.
    Repeat,
    /// A relayed frame of a live chat is dropped.
    Lose,
    /// A byte of a relayed frame is changed.
    Change,
    /// Introductions between shards are lost, always.
    NeverMeet,
    /// One shard's timers stand still, and nobody is told that a chat is over.
    Deaf,
    /// The driver forgets to tell that a connection is gone.
    Forget,
}

/// What a seed makes of the world.
#[derive(Clone, Debug)]
pub struct Profile {
    pub shards: u16,
    pub clients: usize,
    /// In ten thousandths.
    pub loss: u64,
    pub reorder: u64,
    /// The longest delay of a bus message, in microseconds.
    pub delay_us: u64,
    pub crashes: bool,
    pub picky: bool,
}

impl Profile {
    pub fn of(random: &mut Random) -> Self {
        let calm = random.percent(30);
        Self {
            shards: random.pick(&[1, 2, 2, 3, 4]),
            clients: 2 + random.below(10) as usize,
            loss: if calm { 0 } else { random.pick(&[0, 20, 200, 1_000]) },
            reorder: if calm { 0 } else { random.pick(&[0, 20, 200]) },
            delay_us: random.pick(&[1, 50, 2_000, 30_000]),
            crashes: !calm && random.percent(30),
            picky: random.percent(40),
        }
    }

    /// How long two who fit may wait on different shards, in ms. A lost message costs at most the 8 s until the next
    /// offer; with one message in ten lost a few of them in a row are to be expected.
    pub fn fit_ms(&self) -> u64 {
        if self.loss == 0 && self.reorder == 0 && !self.crashes { 1_500 } else { 90_000 }
    }
}
