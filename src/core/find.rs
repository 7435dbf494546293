//! Steps 3 and 4 of 6: FIND puts a session into the waiting room, and two who fit into a chat.

use rand::Rng as _;

use super::few::Few;
use super::io::{ChatId, LinkId, Time};
use super::message::{Find, Refusal};
use super::pairing::{Address, Mode, Seeker, SessionId, Wants, shared};
use super::reply::{self, Role, Why};
use super::session::{Chat, Stage, Stranger, Waiting};
use super::shard::Shard;
use crate::limits::{
    FIND_BURST, FIND_EVERY_MS, RECENT_WAIT_MS, RELAX_WAIT_MS, RESUME_READING_BYTES, SEARCH_AGAIN_MS,
    WAITING_MS,
};

/// A new wait counts as one sixteenth of the estimate: about the last sixteen people.
const ESTIMATE_WEIGHT: u64 = 16;

/// What both halves of a new chat have in common.
pub(super) struct Opening {
    pub number: ChatId,
    pub mode: Mode,
    pub shared: Vec<Box<str>>,
}

impl Shard {
    /// FIND: leaves what was, and looks for a stranger.
    pub(super) fn find(
        &mut self,
        now: Time,
        link: LinkId,
        id: SessionId,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let find = Find::parse(payload)?;
        let Some(session) = self.sessions.get_mut(id.0) else { return Ok(()) };
        if self.config.limit_rates
            && let Err(retry_after_ms) = session.finds.take(now, FIND_BURST, FIND_EVERY_MS)
        {
            self.counts.rate_limited += 1;
            self.send(link, reply::rate_limited(retry_after_ms));
            return Ok(());
        }
        if self.drain.is_none() && self.refuse_paused(link, find.mode) {
            return Ok(());
        }
        self.end_chat(now, id, Why::Left);
        self.stop_waiting(now, id);
        if self.drain.is_some() {
            self.expel_draining(now, link);
            return Ok(());
        }
        let parked = self.link(link).is_some_and(|link| link.queued() >= RESUME_READING_BYTES);
        let Some(session) = self.sessions.get_mut(id.0) else { return Ok(()) };
        session.n = find.n;
        let interests = Few::sorted(find.interests.iter().map(|text| self.interests.hold(text)));
        let seeker = Seeker {
            who: Address { shard: self.config.id, session: id, person: session.person },
            since: now,
            mode: find.mode,
            strict: find.strict,
            claimed: parked,
            wants: Wants::new(interests, Few::of(find.langs)),
            known: session.known.take(),
        };
        self.seek(now, id, seeker);
        Ok(())
    }

    /// Somebody looks for a stranger: the best one who waits, or a place in the room.
    pub(super) fn seek(&mut self, now: Time, id: SessionId, seeker: Seeker) {
        let search = self.room.search(&seeker, now, false, |_| true);
        if let Some(ticket) = search.best {
            return self.pair(now, seeker, ticket);
        }
        let parked = seeker.claimed;
        let mode = seeker.mode;
        let cut = search.cut;
        let ticket = self.room.join(seeker, now);
        let waiting = Waiting {
            ticket,
            parked,
            cut,
            refusals: 0,
            notice_at: now.plus_ms(WAITING_MS),
            search_at: self.next_search(now, ticket, cut),
            offer_at: self.first_offer(now, parked),
            offer_ms: 0,
            claim: None,
        };
        let Some(session) = self.sessions.get_mut(id.0) else { return };
        session.stage = Stage::Waiting(waiting);
        session.since = now;
        let n = session.n;
        let estimate = self.estimates[mode as usize];
        self.tell(id, reply::waiting(n, self.online, estimate));
        self.rearm(id);
    }

    /// Searches again for somebody in the room: their wait has changed what fits, or the last search was cut.
    pub(super) fn search_again(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get(id.0).and_then(|session| session.waiting()) else { return };
        let (ticket, cut) = (waiting.ticket, waiting.cut);
        let Some(seeker) = self.room.get(ticket).filter(|_| self.drain.is_none()) else { return };
        if seeker.relaxed(now) {
            self.room.relax(ticket);
        }
        let search = self.room.search_for(ticket, now, cut);
        if let Some(other) = search.best {
            if let Some(seeker) = self.room.leave(ticket) {
                self.pair(now, seeker, other);
            }
            return;
        }
        let search_at = self.next_search(now, ticket, search.cut);
        if let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) {
            waiting.cut = search.cut;
            waiting.search_at = search_at;
        }
    }

    /// When somebody in the room has to look again, as the rules of the wait say.
    fn next_search(&self, now: Time, ticket: u32, cut: bool) -> Option<Time> {
        let seeker = self.room.get(ticket)?;
        let cut = cut.then(|| now.plus_ms(SEARCH_AGAIN_MS));
        let meets_again = seeker.known.is_some().then(|| seeker.since.plus_ms(RECENT_WAIT_MS));
        let relaxes =
            (!seeker.strict && !seeker.wants.is_empty()).then(|| seeker.since.plus_ms(RELAX_WAIT_MS));
        [cut, meets_again, relaxes].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// Puts somebody who is not in the room together with somebody who is.
    fn pair(&mut self, now: Time, a: Seeker, ticket: u32) {
        let Some(b) = self.room.leave(ticket) else { return };
        self.counts.pairs_here += 1;
        self.latencies.paired(a.mode, [a.since, b.since], now);
        let names = shared(a.interests(), b.interests()).map(|id| self.interests.text(id).into());
        let shared = names.collect();
        let opening = Opening { number: self.random_chat(), mode: a.mode, shared };
        let role = self.random_role();
        let (a_who, b_who) = (a.who, b.who);
        self.withdraw(a_who.session, &a);
        self.withdraw(b_who.session, &b);
        self.start_chat(now, b, a_who, Stranger::Here(a_who.session), role.other(), &opening);
        self.start_chat(now, a, b_who, Stranger::Here(b_who.session), role, &opening);
    }

    /// Begins one half of a chat; whoever waited has left the room.
    pub(super) fn start_chat(
        &mut self,
        now: Time,
        seeker: Seeker,
        who: Address,
        stranger: Stranger,
        role: Role,
        opening: &Opening,
    ) {
        let id = seeker.who.session;
        let known = self.settle(now, seeker, true);
        let Some(session) = self.sessions.get_mut(id.0) else { return };
        let mut known = known.unwrap_or_default();
        known.meet(who.person);
        session.known = Some(known);
        session.since = now;
        session.stage = Stage::Chatting(Chat {
            number: opening.number,
            epoch: 0,
            role,
            mode: opening.mode,
            stranger_away: false,
            torn: false,
            stranger,
            person: who.person,
            ice_at: None,
        });
        let (n, link) = (session.n, session.link);
        let ice = self.ice_servers(opening.mode, now);
        let frame = reply::matched(n, opening.number, role, opening.mode, &opening.shared, ice);
        self.chats += 1;
        if let Some(link) = link {
            self.send(link, frame);
            self.set_in_chat(link, true);
        }
        self.renew_ice_later(now, id);
        self.rearm(id);
    }

    /// Leaves the room, if the session waits.
    pub(super) fn stop_waiting(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get(id.0).and_then(|session| session.waiting()) else { return };
        let Some(seeker) = self.room.leave(waiting.ticket) else { return };
        self.withdraw(id, &seeker);
        let known = self.settle(now, seeker, false);
        if let Some(session) = self.sessions.get_mut(id.0) {
            session.known = known;
            session.stage = Stage::Idle;
            session.since = now;
        }
    }

    /// The end of a wait: wishes are forgotten, a successful wait counts for the estimate. Gives back whom they know.
    fn settle(&mut self, now: Time, seeker: Seeker, matched: bool) -> Option<Box<super::pairing::Known>> {
        for interest in seeker.interests() {
            self.interests.release(*interest);
        }
        if matched {
            self.latencies.waited(seeker.mode, seeker.since, now);
            let waited_ms = now.ms_since(seeker.since);
            let estimate = &mut self.estimates[seeker.mode as usize];
            let before = estimate.unwrap_or(waited_ms);
            *estimate = Some((before * (ESTIMATE_WEIGHT - 1) + waited_ms) / ESTIMATE_WEIGHT);
        }
        seeker.known
    }

    /// Somebody whose channel has taken what was sent to it may be found again.
    pub(super) fn unpark(&mut self, now: Time, id: SessionId) {
        let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) else {
            return;
        };
        if !std::mem::replace(&mut waiting.parked, false) {
            return;
        }
        let ticket = waiting.ticket;
        if let Some(seeker) = self.room.get_mut(ticket) {
            seeker.claimed = false;
        }
        let offer_at = self.first_offer(now, false);
        if let Some(waiting) = self.sessions.get_mut(id.0).and_then(|session| session.waiting_mut()) {
            waiting.offer_at = offer_at;
        }
        self.search_again(now, id);
        self.rearm(id);
    }

    /// WAITING again.
    pub(super) fn notice_waiting(&mut self, now: Time, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.0) else { return };
        let n = session.n;
        let Some(waiting) = session.waiting_mut() else { return };
        waiting.notice_at = now.plus_ms(WAITING_MS);
        let mode = self.room.get(waiting.ticket).map_or(Mode::Text, |seeker| seeker.mode);
        let estimate = self.estimates[mode as usize];
        self.tell(id, reply::waiting(n, self.online, estimate));
    }

    pub(super) fn random_chat(&mut self) -> ChatId {
        ChatId(self.rng.next_u32())
    }

    pub(super) fn random_role(&mut self) -> Role {
        if self.rng.next_u32() & 1 == 0 { Role::Offerer } else { Role::Answerer }
    }
}
