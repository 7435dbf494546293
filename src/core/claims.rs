//! Step 4 of 6 across shards: claims, by which a chat between two shards begins.
//!
//! The home of `a` asks the home of `b`. From then until the answer nobody else gets `a`. The home of `b` takes the claim if
//! `b` still waits and fits, and its half of the chat begins at once; the other half begins when ACCEPT arrives. If two claim each
//! other at once the claim of the lower name holds.

use rand::Rng as _;

use super::bus::{BondId, BusMessage, ChatBody, ChatMessage, Claim};
use super::find::Opening;
use super::io::{ShardId, Time};
use super::pairing::{Address, PersonId, SessionId, fits, shared};
use super::session::{Across, Claiming, Stranger};
use super::shard::Shard;
use crate::limits::{ASK_AGAIN_MS, ASK_TRIES};

impl Shard {
    /// A rendezvous says that these two fit: claims `b` for `a`, if `a` is still to be had.
    pub(super) fn meet(&mut self, now: Time, a: Address, b: Address) {
        let id = a.session;
        let ticket = self.ticket_of(a).filter(|ticket| self.room.get(*ticket).is_some_and(|a| !a.claimed));
        let Some(ticket) = ticket else { return self.post(b.shard, BusMessage::Missed(b)) };
        let bond = BondId(self.rng.next_u64());
        let (chat, role) = (self.random_chat(), self.random_role());
        let ask_at = now.plus_ms(ASK_AGAIN_MS);
        let claim = Claiming { b, bond, chat, role, ask_at, tries: ASK_TRIES };
        if let Some(seeker) = self.room.get_mut(ticket) {
            seeker.claimed = true;
        }
        if let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) {
            waiting.claim = Some(Box::new(claim));
            waiting.offer_at = None;
        }
        self.ask(now, id);
        self.rearm(id);
    }

    /// The rendezvous introduced `b` in vain.
    pub(super) fn missed(&mut self, now: Time, b: Address) {
        if self.ticket_of(b).is_some() {
            self.counts.claims_lost += 1;
            self.offer_soon(now, b.session);
        }
    }

    /// Another shard claims `b` for `a`.
    pub(super) fn claim(&mut self, now: Time, from: ShardId, claim: Claim) {
        let (a, b, bond) = (claim.a.who, claim.b, claim.bond);
        if self.is_bound(b.session, bond) {
            return self.accept_again(b, a, bond);
        }
        let crossed = self.sessions.get(b.session.0).and_then(|session| session.waiting()?.claim.as_ref());
        let free = crossed.is_none_or(|own| own.b.person == a.person && a.person < b.person);
        let crossed = crossed.is_some();
        let Some(ticket) = self.ticket_of(b).filter(|_| free) else {
            self.post(from, BusMessage::Refused { a: a.session, bond });
            return self.offer_soon(now, b.session);
        };
        if let Some(seeker) = self.room.get_mut(ticket) {
            seeker.claimed = false;
        }
        let Claim { a: offer, chat: number, role, .. } = claim;
        let (mode, since) = (offer.mode, offer.since(now));
        let names = self.with_claimant(now, offer, |shard, claimant| {
            let seeker = shard.room.get(ticket)?;
            fits(claimant, seeker, now)?;
            let names = shared(claimant.interests(), seeker.interests());
            Some(names.map(|id| Box::from(shard.interests.text(id))).collect::<Vec<Box<str>>>())
        });
        let Some(names) = names else {
            if let Some(seeker) = self.room.get_mut(ticket) {
                seeker.claimed = crossed;
            }
            self.post(from, BusMessage::Refused { a: a.session, bond });
            return self.offer_soon(now, b.session);
        };
        if crossed {
            self.counts.claims_crossed += 1;
            self.drop_claim(b.session);
        }
        let mut across = Across::new(from, a.session, bond, now);
        let accept = ChatBody::Accept { b: b.person, shared: names.clone() };
        let accept = across.message(b.session, accept);
        across.shared.clone_from(&names);
        let opening = Opening { number, mode, shared: names };
        let Some(seeker) = self.room.leave(ticket) else { return };
        self.withdraw(b.session, &seeker);
        self.counts.pairs_across += 1;
        self.latencies.paired(mode, [since, seeker.since], now);
        self.start_chat(now, seeker, a, Stranger::There(Box::new(across)), role, &opening);
        self.post(from, accept);
    }

    /// Whether a session is in the chat of this name.
    fn is_bound(&self, id: SessionId, bond: BondId) -> bool {
        let stranger = self.sessions.get(id.0).and_then(|session| session.chat()).map(|chat| &chat.stranger);
        matches!(stranger, Some(Stranger::There(across)) if across.bond == bond)
    }

    /// The claim was made again: the answer was lost or is late.
    fn accept_again(&mut self, b: Address, a: Address, bond: BondId) {
        let Some(across) = self.across_mut(b.session) else { return };
        let body = ChatBody::Accept { b: b.person, shared: across.shared.clone() };
        let (to, from) = (across.session, b.session);
        self.post(a.shard, BusMessage::Chat(ChatMessage { to, from, bond, sequence: 0, body }));
    }

    fn drop_claim(&mut self, id: SessionId) {
        if let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) {
            waiting.claim = None;
        }
    }

    /// The claim is taken: the other half of the chat begins.
    #[expect(clippy::too_many_arguments, reason = "the parts of one message")]
    pub(super) fn claim_accepted(
        &mut self,
        now: Time,
        from: ShardId,
        id: SessionId,
        other: SessionId,
        bond: BondId,
        person: PersonId,
        shared: Vec<Box<str>>,
    ) {
        let waiting = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut());
        let claim = waiting.and_then(|waiting| waiting.claim.take_if(|claim| claim.bond == bond));
        let Some(claim) = claim else {
            return self.post(from, BusMessage::Gone { to: other, bond });
        };
        let Some(ticket) = self.sessions.get(id.0).and_then(|session| session.waiting()).map(|w| w.ticket)
        else {
            return;
        };
        let Some(seeker) = self.room.leave(ticket) else { return };
        self.withdraw(id, &seeker);
        let mut across = Across::new(from, other, bond, now);
        across.next_in = 1;
        let opening = Opening { number: claim.chat, mode: seeker.mode, shared };
        let b = Address { shard: from, session: other, person };
        self.counts.pairs_across += 1;
        self.start_chat(now, seeker, b, Stranger::There(Box::new(across)), claim.role, &opening);
    }

    /// The claim is refused: looks on.
    pub(super) fn claim_refused(&mut self, now: Time, id: SessionId, bond: BondId) {
        if self.claimed_by(id, bond).is_some() {
            self.give_up_claim(now, id);
        }
    }

    /// A claim was not answered: asks again, and gives up after a few times.
    pub(super) fn claim_due(&mut self, now: Time, id: SessionId) {
        let waiting = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut());
        let Some(claim) = waiting.and_then(|waiting| waiting.claim.as_mut()) else { return };
        if claim.tries > 0 {
            claim.tries -= 1;
            claim.ask_at = now.plus_ms(ASK_AGAIN_MS);
            return self.ask(now, id);
        }
        let (b, bond) = (claim.b, claim.bond);
        self.post(b.shard, BusMessage::Gone { to: b.session, bond });
        self.give_up_claim(now, id);
    }

    /// A claim came to nothing: whoever came meanwhile may fit, else it is offered again.
    pub(super) fn give_up_claim(&mut self, now: Time, id: SessionId) {
        self.counts.claims_lost += 1;
        let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) else {
            return;
        };
        waiting.claim = None;
        waiting.refusals = waiting.refusals.saturating_add(1);
        if let Some(seeker) = self.room.get_mut(waiting.ticket) {
            seeker.claimed = false;
        }
        self.search_again(now, id);
        self.offer_soon(now, id);
        self.rearm(id);
    }
}
