//! Steps 1, 2 and 6: what all shards ask about where somebody comes from.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::allowances::{Allowances, MUCH_NS, Reach};
use super::demand::Demand;
use super::docket::Docket;
use super::ledger::{Ledger, Sentence};
use super::mark::Marker;
use super::table::{Allowance, Kind, Table};
use super::ticket::Ticket;
use super::work::Work;
use crate::core::io::{CloseCode, Mark, ShardId, Time};
use crate::core::message::Hello;
use crate::core::pairing::PersonId;
use crate::core::reply;
use crate::core::reports::{Accusation, CaseCode};
use crate::limits::{
    self, MIN_PLACES, MOST_WORK_BITS, PLACES_PER_SESSION, REPORT_FADES_MS, REPORTS_END, WORK_BITS,
};
use crate::ops::Total;
use crate::transport::clock::Clock;

/// What a guard is told once.
#[derive(Clone, Copy, Debug)]
pub struct GuardConfig {
    /// Whether what comes from one address is limited. Off in development, so that load can be measured.
    pub limit_addresses: bool,
    /// People that one address stands for.
    pub people_per_address: u32,
    /// Newcomers a second past which work has to be proven; 0 for never.
    pub work_above: u32,
    /// Sessions at once, over all shards.
    pub max_sessions: u32,
}

/// With what a channel is closed, and the reason that its client is told.
type Refusal = (CloseCode, Bytes);

/// When newcomers have to prove work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Asking {
    /// While very many come, and from addresses that are marked
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// The one for the whole process.
#[derive(Debug)]
pub struct Guard {
    clock: Clock,
    allowances: Option<Allowances>,
    /// Names prefixes in the table.
    pub(super) counting: Marker,
    /// Names prefixes for reports and bans.
    marking: Marker,
    pub(super) table: Table,
    work: Work,
    demand: Demand,
    asking: AtomicU8,
    pub(super) ledger: Ledger,
    pub(super) docket: Docket,
    /// Pages swept in this round, and places that were kept in it.
    swept: AtomicUsize,
    kept: AtomicUsize,
    /// Places given to prefixes when this round began.
    given: AtomicU64,
}

impl Guard {
    /// A guard who has seen nobody yet.
    pub fn new(clock: Clock, config: GuardConfig) -> Result<Self, getrandom::Error> {
        let limited = config.limit_addresses;
        let places =
            if limited { MIN_PLACES.max(config.max_sessions as usize * PLACES_PER_SESSION) } else { 1 };
        Ok(Self {
            clock,
            allowances: limited.then(|| Allowances::new(config.people_per_address)),
            counting: Marker::new()?,
            marking: Marker::new()?,
            table: Table::new(places),
            work: Work::new()?,
            demand: Demand::new(work_above(config)),
            asking: AtomicU8::new(Asking::Auto as u8),
            ledger: Ledger::default(),
            docket: Docket::default(),
            swept: AtomicUsize::new(usize::MAX),
            kept: AtomicUsize::new(0),
            given: AtomicU64::new(0),
        })
    }

    /// Takes over what can be changed while the server runs.
    pub fn set(&self, config: GuardConfig) {
        if let Some(allowances) = &self.allowances {
            allowances.set(config.people_per_address);
        }
        self.demand.set(work_above(config));
    }

    /// The clock of the process.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// What an address and a site may do, where that is limited.
    pub(super) fn allowances(&self) -> Option<&Allowances> {
        self.allowances.as_ref()
    }

    /// Whether so much comes from there that a connection is not worth a handshake. Nothing is spent: the address may be forged.
    pub fn refuses(&self, now: Time, address: IpAddr) -> bool {
        let Some(allowances) = &self.allowances else { return false };
        let prefixes = self.counting.prefixes(address);
        let over = |hash: u64, reach: Reach| {
            let allowance = allowances.of(Kind::Connections, reach);
            self.table.spent_ns(now, hash, Kind::Connections) + allowance.each_ns
                > told_ns(allowance.burst_ns)
        };
        over(prefixes.near, Reach::Near) || prefixes.wide.is_some_and(|hash| over(hash, Reach::Wide))
    }

    /// Whether others go first (see `Ticket::has_spent_much`).
    pub fn defers(&self, now: Time, address: IpAddr) -> bool {
        if self.allowances.is_none() {
            return false;
        }
        let prefixes = self.counting.prefixes(address);
        let mut hashes = [Some(prefixes.near), prefixes.wide].into_iter().flatten();
        hashes.any(|hash| self.table.has_spent_from(now, hash, &MUCH_NS))
    }

    /// A connection whose address is proven. If it is one too many, when to come again, in ms; else 0.
    pub fn connected(&self, now: Time, address: IpAddr) -> u32 {
        let Some(allowances) = &self.allowances else { return 0 };
        let prefixes = self.counting.prefixes(address);
        let of = |reach| allowances.of(Kind::Connections, reach);
        let wide_ms = prefixes.wide.map_or(0, |hash| self.connect(now, hash, of(Reach::Wide)));
        if wide_ms > 0 {
            // A site with too many connections gets no more places in the table for its networks.
            return wide_ms;
        }
        self.connect(now, prefixes.near, of(Reach::Near))
    }

    fn connect(&self, now: Time, hash: u64, mut allowance: Allowance) -> u32 {
        let burst_ns = allowance.burst_ns;
        allowance.burst_ns = told_ns(burst_ns);
        let place = self.table.claim(now, hash);
        if let Err(wait_ms) = self.table.take(now, place, Kind::Connections, 1, allowance) {
            return (wait_ms + (allowance.burst_ns - burst_ns) / 1_000_000) as u32;
        }
        let spent_ns = self.table.spent_ns(now, hash, Kind::Connections);
        spent_ns.saturating_sub(burst_ns).div_ceil(1_000_000) as u32
    }

    /// A session from there is open. `late_ms` is what [`Guard::connected`] said.
    pub fn enter(self: &Arc<Self>, now: Time, address: IpAddr, late_ms: u32) -> Ticket {
        Ticket::new(self, now, address, late_ms)
    }

    /// Where somebody comes from, for reports and bans.
    pub(super) fn mark(&self, address: IpAddr) -> Mark {
        Mark(self.marking.near(address))
    }

    /// Why somebody who says HELLO may not begin a session, if they may not; and as what that counts, if it does.
    pub(super) fn judge(&self, now: Time, ticket: &Ticket, hello: &[u8]) -> (Option<Refusal>, Option<Total>) {
        let sentence = self.ledger.look(now, ticket.mark);
        if let Some(sentence) = sentence.filter(|sentence| sentence.barred_ms(now) > 0) {
            let refusal = (CloseCode::Banned, reason_of(now, &sentence));
            return (Some(refusal), Some(Total::RefusedBarred));
        }
        if ticket.come_again_ms > 0 {
            let reason = reply::close_reason("too many from your network", ticket.come_again_ms.into());
            return (Some((CloseCode::TooMany, reason)), Some(Total::RefusedCrowded));
        }
        let least_bits = sentence.map_or(0, |sentence| bits_for(sentence.offences));
        match self.prove(now, least_bits, hello) {
            Ok(proven) => (None, proven.then_some(Total::WorkProven)),
            Err(challenge) => {
                let refusal = (CloseCode::TooMany, reply::work_reason(&challenge));
                (Some(refusal), Some(Total::RefusedWork))
            }
        }
    }

    /// Whether a newcomer has proven work, if they may begin; else what to prove.
    fn prove(&self, now: Time, least_bits: u32, hello: &[u8]) -> Result<bool, String> {
        let asking = self.asking();
        if asking == Asking::Off {
            return Ok(false);
        }
        let always = if asking == Asking::On { WORK_BITS } else { 0 };
        let needed = |now| self.demand.bits(now).unwrap_or(0).max(always).max(least_bits);
        if needed(now) > 0
            && let Some(work) = Hello::parse(hello).ok().and_then(|hello| hello.work)
            && self.work.take(now, &work, least_bits).is_ok()
        {
            return Ok(true);
        }
        // Whoever has proven work was counted when they were asked for it.
        self.demand.note(now);
        match needed(now) {
            0 => Ok(false),
            bits => Err(self.work.challenge(now, bits)),
        }
    }

    /// When work has to be proven.
    pub fn asking(&self) -> Asking {
        let asking = self.asking.load(Relaxed);
        [Asking::Auto, Asking::On, Asking::Off]
            .into_iter()
            .find(|one| *one as u8 == asking)
            .unwrap_or(Asking::Auto)
    }

    /// Sets when work has to be proven.
    pub fn ask(&self, asking: Asking) {
        self.asking.store(asking as u8, Relaxed);
    }

    /// How many zero bits every newcomer has to find at the moment; 0 for no proof.
    pub fn asked_bits(&self, now: Time) -> u32 {
        match self.asking() {
            Asking::Off => 0,
            Asking::On => self.demand.bits(now).unwrap_or(WORK_BITS),
            Asking::Auto => self.demand.bits(now).unwrap_or(0),
        }
    }

    /// A session was reported. What follows for it, if that was one report too many.
    pub fn accused(&self, now: Time, accusation: &Accusation, ticket: Option<&Ticket>) -> Option<Sentence> {
        let code = accusation.report.case.or_else(random_code)?;
        self.docket.note(now, accusation, code);
        if !accusation.counted {
            return None;
        }
        let place = ticket.and_then(Ticket::near);
        // Whoever begins a new session after each chat is reported in each of them; that adds up where they come from.
        let weighs = place.is_some_and(|place| {
            let weight_s = accusation.report.reason.weight() * FADES_S;
            let weighs_s = self.table.accuse(now, place, accusation.by.short(accusation.mark.0), weight_s);
            weighs_s > (self.table.sessions(place).max(1) * REPORTS_END - 1) * FADES_S
        });
        if !(accusation.too_many || weighs) {
            return None;
        }
        place.inspect(|place| self.table.acquit(*place));
        Some(self.ledger.offend(now, accusation.mark, accusation.mostly, random_code()?))
    }

    /// A session that was reported is over.
    pub fn case_closed(&self, person: PersonId) {
        self.docket.close(person);
    }

    /// A shard has lost its sessions.
    pub fn shard_lost(&self, shard: ShardId) {
        self.docket.close_shard(shard);
    }

    /// Begins to forget what says nothing any more. For one shard to call once a minute.
    pub fn begin_sweep(&self, now: Time) {
        self.ledger.sweep(now);
        self.kept.store(0, Relaxed);
        self.given.store(self.table.given(), Relaxed);
        self.swept.store(0, Relaxed);
    }

    /// Goes on with it, some pages a turn. Whether there is more to do. When nobody is left in the table, its key goes too.
    pub fn sweep(&self, now: Time) -> bool {
        let (pages, first) = (self.table.pages(), self.swept.load(Relaxed));
        if first >= pages {
            return false;
        }
        let end = pages.min(first + limits::TURN_SWEPT_PAGES);
        let kept: usize = (first..end).map(|page| self.table.sweep(now, page)).sum();
        let kept = self.kept.fetch_add(kept, Relaxed) + kept;
        self.swept.store(end, Relaxed);
        let nobody_came = self.table.given() == self.given.load(Relaxed);
        if end == pages && kept == 0 && nobody_came {
            self.counting.change_key();
        }
        end < pages
    }
}

/// Past how many newcomers a second work is asked for: never where a load shall measure the server.
fn work_above(config: GuardConfig) -> u32 {
    if config.limit_addresses { config.work_above } else { 0 }
}

const FADES_S: u64 = REPORT_FADES_MS / 1_000;

/// What is spent at most by connections that are let in to be told that they are too many.
const fn told_ns(burst_ns: u64) -> u64 {
    burst_ns / 2 * (2 + limits::TOLD_HALVES)
}

/// Zero bits that somebody from a mark has to find: one more for each offence after the first.
fn bits_for(offences: u32) -> u32 {
    (WORK_BITS + offences.saturating_sub(1)).min(MOST_WORK_BITS)
}

/// What a sentence is told as.
pub fn reason_of(now: Time, sentence: &Sentence) -> Bytes {
    reply::ban_reason(sentence.barred_ms(now), sentence.reason_name(), sentence.case.as_str())
}

/// Six letters of those that nobody mistakes for another; `None` where the system has no random numbers.
pub(super) fn random_code() -> Option<CaseCode> {
    const LETTERS: &[u8; 30] = b"23456789ABCDEFGHJKMNPQRSTVWXYZ";
    let random = getrandom::u64().ok()?;
    let letter = |at: u32| char::from(LETTERS[(random >> (8 * at)) as usize % 256 % LETTERS.len()]);
    let text: String = [0, 1, 2].map(letter).into_iter().chain(['-']).chain([3, 4, 5].map(letter)).collect();
    CaseCode::parse(&text)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
