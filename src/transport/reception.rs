//! Steps 1, 2 and 6 of 6: where a client comes from, as far as this shard has to do with it.
//!
//! In: what connections and the core tell. Out: questions to the guard, who knows what comes from each address, and its answers carried
//! out. The core never sees an address.

use bytes::Bytes;

use super::hub::Hub;
use super::line::Line;
use crate::abuse::table::Kind;
use crate::abuse::{Guard, reason_of};
use crate::core::frame::ControlKind;
use crate::core::io::{CloseCode, LinkId, ShardId, Time};
use crate::core::pairing::Address;
use crate::core::reports::Accusation;
use crate::ops::Total;
use crate::privacy::apart;

impl Hub {
    /// A connection's address is proven, by Retry or by a whole handshake: it counts.
    pub(super) fn address_proven(&mut self, now: Time, handle: u32) {
        let guard = &self.guard;
        if let Some(Some(conn)) = self.conns.get_mut(handle as usize) {
            conn.late_ms
                .get_or_insert_with(|| apart(|| guard.connected(now, conn.quic.remote_address().ip())));
        }
    }

    /// A session is open: it counts for its address until it ends.
    pub(super) fn give_ticket(&mut self, now: Time, handle: u32) {
        let guard = &self.guard;
        if let Some(Some(conn)) = self.conns.get_mut(handle as usize) {
            let late_ms = conn.late_ms.unwrap_or(0);
            conn.line.ticket = Some(apart(|| guard.enter(now, conn.quic.remote_address().ip(), late_ms)));
        }
    }

    /// A complete frame for the server: to the core, unless too much like it comes from the client's address.
    pub(super) fn control(
        &mut self,
        now: Time,
        handle: u32,
        link: LinkId,
        kind: ControlKind,
        payload: &[u8],
    ) {
        let Some(Line { ticket: Some(ticket), behind, .. }) = self.line(handle) else { return };
        *behind = ticket.has_spent_much(now);
        let limited = match kind {
            ControlKind::Hello => {
                let (visitor, counts) = ticket.visitor(now, payload);
                if let Some(total) = counts {
                    self.totals[total] += 1;
                }
                self.core.introduce(link, visitor);
                Ok(())
            }
            ControlKind::Find => ticket.take(now, Kind::Finds, 1),
            ControlKind::Report => ticket.take(now, Kind::Reports, 1),
            ControlKind::Leave | ControlKind::Block => Ok(()),
        };
        match limited {
            Ok(()) => self.core.handle_control(now, link, kind, payload),
            Err(retry_after_ms) => {
                // Whoever wants to get away from a stranger does, although the report does not count.
                if kind == ControlKind::Report {
                    self.core.handle_control(now, link, ControlKind::Block, b"");
                }
                self.core.handle_limited(now, link, retry_after_ms);
            }
        }
        self.apply(now);
    }

    /// A session of this shard was reported: the guard keeps account, and says whether it has to end.
    pub(super) fn accused(&mut self, now: Time, accusation: &Accusation) {
        let guard = std::sync::Arc::clone(&self.guard);
        let handle = accusation.link.and_then(|link| self.links.get(link.0 as usize)).copied();
        let ticket = handle.and_then(|handle| self.line(handle)?.ticket.as_ref());
        let sentence = guard.accused(now, accusation, ticket);
        self.totals[Total::ReportsCounted] += u64::from(accusation.counted);
        if let Some(sentence) = sentence {
            self.totals[Total::Sentences] += 1;
            // What it leads to is applied with the outputs among which the accusation was.
            self.core.handle_sentence(now, accusation.who, CloseCode::Banned, reason_of(now, &sentence));
        }
    }

    /// Ends a session that is no longer wanted.
    pub fn end_for_good(&mut self, now: Time, who: Address, reason: Bytes) {
        self.totals[Total::Sentences] += 1;
        self.core.handle_sentence(now, who, CloseCode::Banned, reason);
        self.apply(now);
    }

    /// Who keeps account of addresses.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Whether this is the shard that lets the guard forget.
    pub fn keeps_guard(&self) -> bool {
        self.core.place().0 == ShardId(0)
    }
}
