//! Step 1 of 6: a session's hold on its address prefixes.

use std::net::IpAddr;
use std::sync::Arc;

use super::Guard;
use super::allowances::{MUCH_NS, Reach};
use super::table::{Kind, PlaceId};
use crate::core::io::{Mark, Time, Visitor};
use crate::ops::Total;

/// Counts a session for its prefixes until it is dropped, however that comes about.
#[derive(Debug)]
pub struct Ticket {
    guard: Arc<Guard>,
    near: Option<PlaceId>,
    wide: Option<PlaceId>,
    /// Where it comes from, for reports and bans.
    pub(super) mark: Mark,
    /// There are too many from there: when a newcomer should come again, in ms; else 0.
    pub(super) come_again_ms: u32,
}

impl Ticket {
    /// Counts a session from there. `late_ms` is what [`Guard::connected`] said about its connection.
    pub(super) fn new(guard: &Arc<Guard>, now: Time, address: IpAddr, late_ms: u32) -> Self {
        let mut ticket = Self {
            guard: Arc::clone(guard),
            near: None,
            wide: None,
            mark: guard.mark(address),
            come_again_ms: late_ms,
        };
        let Some(allowances) = guard.allowances() else { return ticket };
        let prefixes = guard.counting.prefixes(address);
        let mut too_many = false;
        if let Some(hash) = prefixes.wide {
            let (place, sessions) = guard.table.enter(now, hash);
            ticket.wide = place;
            too_many |= sessions > allowances.sessions(Reach::Wide);
        }
        let (place, sessions) = guard.table.enter(now, prefixes.near);
        ticket.near = place;
        too_many |= sessions > allowances.sessions(Reach::Near);
        if too_many {
            ticket.come_again_ms = late_ms.max(crate::limits::CROWDED_RETRY_MS as u32);
        }
        ticket
    }

    /// What the core has to know of a client that says HELLO, and as what that counts, if it does.
    pub fn visitor(&self, now: Time, hello: &[u8]) -> (Visitor, Option<Total>) {
        let (refusal, counts) = self.guard.judge(now, self, hello);
        (Visitor { mark: self.mark, refusal: refusal.map(Box::new) }, counts)
    }

    /// Spends `count` of what both prefixes may do; else when there will be enough, in ms.
    pub fn take(&self, now: Time, kind: Kind, count: u64) -> Result<(), u64> {
        let Some(allowances) = self.guard.allowances() else { return Ok(()) };
        let table = &self.guard.table;
        if let Some(place) = self.wide {
            table.take(now, place, kind, count, allowances.of(kind, Reach::Wide))?;
        }
        self.near
            .map_or(Ok(()), |place| table.take(now, place, kind, count, allowances.of(kind, Reach::Near)))
    }

    /// Whether a good part of what may be done there ahead of time is spent: then others go first.
    pub fn has_spent_much(&self, now: Time) -> bool {
        let places = [self.near, self.wide].into_iter().flatten();
        self.is_limited() && places.into_iter().any(|place| self.guard.table.has_spent(now, place, &MUCH_NS))
    }

    /// Whether anything is limited there.
    pub(super) fn is_limited(&self) -> bool {
        self.guard.allowances().is_some()
    }

    /// The place of the prefix that names one network.
    pub(super) fn near(&self) -> Option<PlaceId> {
        self.near
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let (_, now) = self.guard.clock().now();
        for place in [self.near, self.wide].into_iter().flatten() {
            self.guard.table.leave(now, place);
        }
    }
}
