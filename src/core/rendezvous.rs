//! Step 4 of 6 across shards: who is left over after a moment meets strangers of other shards.
//!
//! A session that waits is offered at the rendezvous shard of each of its topics. A rendezvous that holds two who fit
//! tells the home of one of them, which claims the other from its home: the home of a waiting session alone decides about
//! it, so nobody is ever promised twice. A rendezvous forgets both when it has introduced them; whoever is not taken
//! is offered again. Every lost message costs a retry: offers are repeated, claims are asked again and given up.

use std::hash::{BuildHasher as _, Hasher as _};

use super::bus::{BondId, BusMessage, ChatBody, ChatMessage, Claim, Offer};
use super::few::Few;
use super::index::Index;
use super::interests::Keyed;
use super::io::{ShardId, Time};
use super::pairing::{Address, Mode, PersonId, Seeker, SessionId, Wants};
use super::reply::Why;
use super::shard::Shard;
use super::waiting::Room;
use super::wheel::Wheel;
use crate::limits::{
    FIRST_OFFER_MS, INTERESTS, OFFER_AGAIN_MOST_MS, OFFER_AGAIN_MS, RECENT_WAIT_MS, RELAX_WAIT_MS,
};

/// Who is offered at this shard.
#[derive(Debug)]
pub struct Rendezvous {
    pub(super) room: Room,
    pub(super) tickets: Index,
    pub(super) expiries: Wheel,
}

impl Rendezvous {
    /// Nobody yet.
    pub fn new(key: Keyed, now: Time) -> Self {
        Self { room: Room::new(key), tickets: Index::new(key), expiries: Wheel::new(now) }
    }

    fn remove(&mut self, person: PersonId) -> Option<Seeker> {
        let hash = self.tickets.hash(&person);
        let is = |ticket| self.room.get(ticket).is_some_and(|seeker| seeker.who.person == person);
        let ticket = self.tickets.get(hash, is)?;
        self.tickets.remove(hash, ticket);
        self.expiries.cancel(ticket);
        self.room.leave(ticket)
    }
}

/// The shard at which a topic meets: the same on every shard. `None` is the topic of those who take anybody.
fn rendezvous_shard(mode: Mode, interest: Option<&str>, shards: u16) -> ShardId {
    let mut hasher = Keyed(0, 0).build_hasher();
    hasher.write_u8(mode as u8);
    hasher.write(interest.unwrap_or_default().as_bytes());
    ShardId((hasher.finish() % u64::from(shards)) as u16)
}

impl Shard {
    /// When somebody who begins to wait is offered to other shards.
    pub(super) fn first_offer(&self, now: Time, parked: bool) -> Option<Time> {
        (self.config.shards > 1 && !parked).then(|| now.plus_ms(FIRST_OFFER_MS))
    }

    /// Offers somebody who waits at the rendezvous shards of their topics.
    pub(super) fn offer(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) else {
            return;
        };
        waiting.offer_at = None;
        if waiting.claim.is_some() || waiting.parked {
            return;
        }
        let interval = (waiting.offer_ms * 2).clamp(OFFER_AGAIN_MS, OFFER_AGAIN_MOST_MS);
        waiting.offer_ms = interval;
        let Some(seeker) = self.room.get(waiting.ticket) else { return };
        let aged = [RECENT_WAIT_MS, RELAX_WAIT_MS].map(|ms| seeker.since.plus_ms(ms));
        let again = aged.into_iter().filter(|at| *at > now).chain([now.plus_ms(u64::from(interval))]).min();
        waiting.offer_at = again;
        let offer = self.describe(now, seeker, u64::from(interval) * 2 + OFFER_AGAIN_MS as u64);
        let (shards, count) = self.rendezvous_of(seeker, seeker.open(now));
        for shard in &shards[..count] {
            self.post(*shard, BusMessage::Offer(Box::new(offer.clone())));
        }
    }

    /// What other shards have to know of somebody who waits here.
    pub(super) fn describe(&self, now: Time, seeker: &Seeker, ttl_ms: u64) -> Offer {
        Offer {
            who: seeker.who,
            waited_ms: now.ms_since(seeker.since),
            ttl_ms,
            mode: seeker.mode,
            strict: seeker.strict,
            interests: seeker.interests().iter().map(|id| self.interests.text(*id).into()).collect(),
            langs: seeker.langs().to_vec(),
            known: seeker.known.clone(),
        }
    }

    /// The rendezvous shards of somebody's topics, each once.
    fn rendezvous_of(&self, seeker: &Seeker, open: bool) -> ([ShardId; INTERESTS + 1], usize) {
        let (mut shards, mut count) = ([ShardId(0); INTERESTS + 1], 0);
        let named = seeker.interests().iter().map(|id| Some(self.interests.text(*id)));
        for topic in named.chain(open.then_some(None)).take(INTERESTS + 1) {
            let shard = rendezvous_shard(seeker.mode, topic, self.config.shards);
            if !shards[..count].contains(&shard) {
                shards[count] = shard;
                count += 1;
            }
        }
        (shards, count)
    }

    /// Takes back what other shards were told of somebody who no longer waits.
    pub(super) fn withdraw(&mut self, id: SessionId, seeker: &Seeker) {
        let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) else {
            return;
        };
        if let Some(claim) = waiting.claim.take() {
            self.counts.claims_lost += 1;
            let (to, bond, body) = (claim.b.session, claim.bond, ChatBody::Ended(Why::Left));
            let ended = ChatMessage { to, from: id, bond, sequence: 0, body };
            self.post(claim.b.shard, BusMessage::Chat(ended));
        }
        let Some(waiting) = self.sessions.get(id.0).and_then(|session| session.waiting()) else { return };
        if waiting.offer_ms > 0 {
            let (shards, count) = self.rendezvous_of(seeker, !seeker.strict);
            for shard in &shards[..count] {
                self.post(*shard, BusMessage::Withdraw(seeker.who));
            }
        }
    }

    /// Somebody is offered here: introduces them to the best stranger from another shard, or keeps the offer.
    pub(super) fn take_offer(&mut self, now: Time, offer: Offer) {
        self.forget_offer(offer.who.person);
        if self.rendezvous.room.len() >= self.config.max_sessions as usize {
            return;
        }
        let ttl_ms = offer.ttl_ms;
        let seeker = self.seeker_of(now, offer);
        let who = seeker.who;
        let search = self.rendezvous.room.search(&seeker, now, true, |other| other.who.shard != who.shard);
        let best = search.best.and_then(|ticket| self.rendezvous.room.get(ticket)).map(|best| best.who);
        if let Some(b) = best {
            self.let_wishes_go(&seeker);
            self.forget_offer(b.person);
            return self.post(who.shard, BusMessage::Meet { a: who, b });
        }
        let ticket = self.rendezvous.room.join(seeker, now);
        let hash = self.rendezvous.tickets.hash(&who.person);
        self.rendezvous.tickets.insert(hash, ticket);
        self.rendezvous.expiries.insert(ticket, now.plus_ms(ttl_ms));
    }

    /// Somebody of another shard as the rules of pairing want to see them. Holds their interests.
    fn seeker_of(&mut self, now: Time, offer: Offer) -> Seeker {
        let held = offer.interests.iter().take(INTERESTS).map(|text| self.interests.hold(text));
        let wants = Wants::new(Few::sorted(held), Few::of(offer.langs));
        Seeker {
            who: offer.who,
            since: Time(now.0.saturating_sub(offer.waited_ms * 1_000)),
            mode: offer.mode,
            strict: offer.strict,
            claimed: false,
            wants,
            known: offer.known,
        }
    }

    fn let_wishes_go(&mut self, seeker: &Seeker) {
        for interest in seeker.interests() {
            self.interests.release(*interest);
        }
    }

    /// Forgets an offer that is withdrawn, or that has led to an introduction.
    pub(super) fn forget_offer(&mut self, person: PersonId) {
        if let Some(seeker) = self.rendezvous.remove(person) {
            self.let_wishes_go(&seeker);
        }
    }

    /// Forgets an offer that is too old.
    pub(super) fn offer_expired(&mut self, ticket: u32) {
        if let Some(who) = self.rendezvous.room.get(ticket).map(|seeker| seeker.who) {
            self.forget_offer(who.person);
        }
    }

    /// The ticket of a session that waits here and is still the one that is meant.
    pub(super) fn ticket_of(&self, who: Address) -> Option<u32> {
        if self.drain.is_some() {
            return None;
        }
        let session = self.sessions.get(who.session.0).filter(|session| session.person == who.person)?;
        session.waiting().filter(|waiting| !waiting.parked).map(|waiting| waiting.ticket)
    }

    /// Offers somebody again soon, because the rendezvous has forgotten them.
    pub(super) fn offer_soon(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) else {
            return;
        };
        if waiting.claim.is_none() && !waiting.parked {
            let again = now.plus_ms(FIRST_OFFER_MS << waiting.refusals.min(7));
            waiting.offer_at = Some(waiting.offer_at.map_or(again, |at| at.min(again)));
            self.rearm(id);
        }
    }

    /// Makes a claim's message; asked again it is the same.
    pub(super) fn ask(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get(id.0).and_then(|session| session.waiting()) else { return };
        let (Some(claim), Some(seeker)) = (&waiting.claim, self.room.get(waiting.ticket)) else { return };
        let message = Claim {
            a: self.describe(now, seeker, 0),
            b: claim.b,
            bond: claim.bond,
            chat: claim.chat,
            role: claim.role.other(),
        };
        let shard = claim.b.shard;
        self.post(shard, BusMessage::Claim(Box::new(message)));
    }

    /// What a claim of this shard's session says about who is asked, if it is about `bond`.
    pub(super) fn claimed_by(&self, id: SessionId, bond: BondId) -> Option<Address> {
        let claim = self.sessions.get(id.0)?.waiting()?.claim.as_ref()?;
        (claim.bond == bond).then_some(claim.b)
    }

    /// The seeker in a claim, held only for as long as it takes to decide.
    pub(super) fn with_claimant<T>(
        &mut self,
        now: Time,
        a: Offer,
        decide: impl FnOnce(&mut Self, &Seeker) -> T,
    ) -> T {
        let seeker = self.seeker_of(now, a);
        let decided = decide(self, &seeker);
        self.let_wishes_go(&seeker);
        decided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_spread_over_all_shards() {
        let mut used = [0; 8];
        for number in 0..800 {
            let shard = rendezvous_shard(Mode::Text, Some(&format!("interest {number}")), 8);
            used[shard.0 as usize] += 1;
        }
        assert!(used.iter().all(|count| (60..150).contains(count)), "{used:?}");
    }
}
