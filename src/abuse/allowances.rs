//! Step 1 of 6: how much people behind one address may do, from how many people that may be.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::table::{Allowance, KINDS, Kind};
use crate::limits::{self, Share, WIDE_FACTOR};

const MINUTE_NS: u64 = 60_000_000_000;

/// By [`Kind`].
const SHARES: [Share; KINDS] =
    [limits::CONNECTIONS, limits::FINDS, limits::FRAMES, limits::KIBS, limits::REPORTS];

/// What of each allowance may be spent ahead of time before others go first, in ns, by [`Kind`]. It is the same for any number of people and any
/// prefix: a larger allowance comes back as much faster.
pub const MUCH_NS: [u64; KINDS] = {
    let (mut much_ns, mut kind) = ([0; KINDS], 0);
    while kind < KINDS {
        much_ns[kind] = MINUTE_NS * SHARES[kind].burst / SHARES[kind].minute / limits::MUCH_OF_BURST;
        kind += 1;
    }
    // A report is no work: more than the whole of it cannot be spent.
    much_ns[Kind::Reports as usize] *= limits::MUCH_OF_BURST;
    much_ns
};

/// What each prefix may do. The number of people can be changed while the server runs.
#[derive(Debug)]
pub struct Allowances {
    people: AtomicU32,
}

/// How long a prefix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One network: IPv4 /32, IPv6 /64.
    Near,
    /// One site: IPv6 /48.
    Wide,
}

impl Reach {
    const fn factor(self) -> u64 {
        match self {
            Self::Near => 1,
            Self::Wide => WIDE_FACTOR,
        }
    }
}

impl Allowances {
    /// For so many people behind one address.
    pub fn new(people: u32) -> Self {
        Self { people: AtomicU32::new(people) }
    }

    /// For so many from now on.
    pub fn set(&self, people: u32) {
        self.people.store(people, Relaxed);
    }

    fn people(&self) -> u64 {
        self.people.load(Relaxed).into()
    }

    /// Sessions open at once.
    pub fn sessions(&self, reach: Reach) -> u64 {
        self.people() * reach.factor()
    }

    /// What else is counted.
    pub fn of(&self, kind: Kind, reach: Reach) -> Allowance {
        allowance(SHARES[kind as usize], self.people(), reach.factor())
    }
}

/// A larger prefix gets more of the same: each comes back sooner, and what may be spent ahead of time takes as long.
fn allowance(share: Share, people: u64, factor: u64) -> Allowance {
    let each_ns = MINUTE_NS * 100 / (share.minute * people);
    Allowance { each_ns: each_ns / factor, burst_ns: (share.burst * people).div_ceil(100) * each_ns }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{DEFAULT_PEOPLE_PER_ADDRESS, MAX_PEOPLE_PER_ADDRESS, MIN_PEOPLE_PER_ADDRESS};

    #[test]
    fn an_office_behind_one_address_has_what_its_people_need() {
        let office = Allowances::new(DEFAULT_PEOPLE_PER_ADDRESS);
        assert_eq!(office.sessions(Reach::Near), 500);
        let [connections, finds] = [Kind::Connections, Kind::Finds].map(|kind| office.of(kind, Reach::Near));
        assert_eq!(
            connections.burst_ns / connections.each_ns,
            1_000,
            "500 people who open the page at once, in Firefox"
        );
        assert_eq!(1_000_000_000 / finds.each_ns, 250, "500 people who click next every two seconds");
    }

    #[test]
    fn any_number_of_people_gives_allowances_that_recover_in_time() {
        for people in [MIN_PEOPLE_PER_ADDRESS, 499, MAX_PEOPLE_PER_ADDRESS] {
            let all = Allowances::new(people);
            assert_eq!(all.sessions(Reach::Wide), all.sessions(Reach::Near) * 8);
            for kind in [Kind::Connections, Kind::Finds, Kind::Frames, Kind::Kibs, Kind::Reports] {
                let (near, wide) = (all.of(kind, Reach::Near), all.of(kind, Reach::Wide));
                assert!(near.each_ns > 0 && wide.each_ns > 0 && wide.each_ns <= near.each_ns / 7);
                assert!(near.burst_ns >= near.each_ns, "one is always allowed");
                let told_ns = near.burst_ns * (2 + limits::TOLD_HALVES) / 2;
                assert!(told_ns <= (limits::COUNTER_DEBT_S + 1) * 1_000_000_000, "{people}: {kind:?}");
            }
        }
    }
}
