//! Steps 2 and 5 of 6 across shards: a connection that is not on its session's home shard.
//!
//! A session lives on the shard that made it. When it resumes on a connection of another shard, that shard (the *outpost*)
//! asks the home and from then on passes complete frames both ways over a *trunk*. For the home such a link is like any
//! other; the outpost knows nothing of the session. Each end counts what it tells, and a gap closes the link with code 7: the client
//! resumes. What the client sends and the home has not yet confirmed is bounded, so back-pressure reaches the client.

use bytes::Bytes;

use super::attach::Asking;
use super::bus::{BusMessage, FarLink, LinkBody, LinkMessage};
use super::frame::{ControlKind, FrameFault};
use super::io::{CloseCode, LinkId, Output, RelayFrame, Relayed, ShardId, Time};
use super::links::LinkKind;
use super::shard::Shard;
use crate::limits::{BEAT_MS, CREDIT_BYTES, HOLD_BYTES, RESUME_READING_BYTES, SILENCE_MS};

/// One end of a link between shards.
#[derive(Debug)]
pub struct Trunk {
    /// The other end's shard.
    pub shard: ShardId,
    /// The link's name on both ends.
    pub far: FarLink,
    /// The number of the next message to the other end.
    pub(super) next_out: u32,
    /// The number of the next message from it.
    pub(super) next_in: u32,
    heard: Time,
    beat_at: Time,
    /// Relayed bytes taken from the other end and not yet told.
    owed: usize,
    /// At the outpost: relayed bytes that the home has not confirmed.
    unconfirmed: usize,
    /// At the outpost: whether the home wants the client to be read.
    wanted: bool,
    /// At the outpost, until the home answers.
    pub(super) asking: Option<Box<Asking>>,
}

impl Trunk {
    /// An end that was heard now.
    pub(super) fn new(shard: ShardId, far: FarLink, now: Time) -> Self {
        Self {
            shard,
            far,
            next_out: 0,
            next_in: 0,
            heard: now,
            beat_at: now.plus_ms(BEAT_MS),
            owed: 0,
            unconfirmed: 0,
            wanted: true,
            asking: None,
        }
    }

    fn uncounted(&self, body: LinkBody) -> BusMessage {
        BusMessage::Link(LinkMessage { far: self.far, sequence: self.next_out, body })
    }

    /// The next message to the other end.
    pub(super) fn message(&mut self, body: LinkBody) -> BusMessage {
        let message = self.uncounted(body);
        self.next_out = self.next_out.wrapping_add(1);
        message
    }

    /// Passes a frame to the other end.
    pub(super) fn relay(&mut self, frame: RelayFrame) -> Relayed {
        Relayed::There { to: self.shard, message: self.message(LinkBody::Relay(frame)) }
    }
}

/// At the outpost.
impl Shard {
    /// A control frame of a client whose session is elsewhere. Before the answer it waits.
    pub(super) fn forward_control(&mut self, now: Time, link: LinkId, kind: ControlKind, payload: &[u8]) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        let payload = Bytes::copy_from_slice(payload);
        if trunk.asking.is_some() {
            self.keep_for_home(now, link, kind, payload);
        } else {
            self.forward(now, link, LinkBody::Control(kind, payload));
        }
    }

    /// A relayed frame of a client whose session is elsewhere.
    pub(super) fn forward_relay(&mut self, link: LinkId, frame: RelayFrame) -> Relayed {
        let Some(trunk) = self.trunk_mut(link).filter(|trunk| trunk.asking.is_none()) else {
            return Relayed::Dropped;
        };
        trunk.unconfirmed += frame.bytes.len();
        let too_many = trunk.unconfirmed > HOLD_BYTES;
        let relayed = trunk.relay(frame);
        if too_many {
            self.refresh_outpost(link);
        }
        relayed
    }

    /// Tells the home something about the channel.
    pub(super) fn forward(&mut self, now: Time, link: LinkId, body: LinkBody) {
        let Some(trunk) = self.trunk_mut(link).filter(|trunk| trunk.asking.is_none()) else { return };
        trunk.beat_at = now.plus_ms(BEAT_MS);
        let (shard, message) = (trunk.shard, trunk.message(body));
        self.post(shard, message);
    }

    /// The channel is gone.
    pub(super) fn forward_closed(&mut self, link: LinkId) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        let (shard, message) = (trunk.shard, trunk.uncounted(LinkBody::Closed));
        self.post(shard, message);
        self.let_go(link);
    }

    /// The channel's bytes are not frames.
    pub(super) fn forward_closed_by(&mut self, link: LinkId, fault: FrameFault) {
        let reason = Bytes::from_static(fault.reason().as_bytes());
        self.outputs.push_back(Output::Close { link, code: fault.code(), reason });
        self.forward_closed(link);
    }

    /// The home shard has started again: the session is gone, and the client starts afresh.
    pub(super) fn home_lost(&mut self, now: Time, link: LinkId) {
        if self.trunk_mut(link).is_some_and(|trunk| trunk.asking.is_some()) {
            self.start_fresh(now, link);
        } else {
            self.break_link(now, link);
        }
    }

    /// Reads from the client if the home wants to and has confirmed enough.
    fn refresh_outpost(&mut self, link: LinkId) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        let (unconfirmed, wanted) = (trunk.unconfirmed, trunk.wanted);
        if !wanted || unconfirmed > HOLD_BYTES {
            self.set_reading(link, false);
        } else if unconfirmed < RESUME_READING_BYTES {
            self.set_reading(link, true);
        }
    }

    /// What the home says, in order.
    fn outpost_hears(&mut self, now: Time, link: LinkId, body: LinkBody) -> Relayed {
        match body {
            LinkBody::Relay(frame) => return Relayed::Here { to: link, frame: frame.bytes },
            LinkBody::Send(frame) => self.outputs.push_back(Output::Send { link, frame }),
            LinkBody::NoSession => self.start_fresh(now, link),
            LinkBody::InChat(on) => self.set_in_chat(link, on),
            LinkBody::Read(on) => {
                if let Some(trunk) = self.trunk_mut(link) {
                    trunk.wanted = on;
                }
                self.refresh_outpost(link);
            }
            LinkBody::Flushed(bytes) => {
                if let Some(trunk) = self.trunk_mut(link) {
                    trunk.unconfirmed = trunk.unconfirmed.saturating_sub(bytes as usize);
                }
                self.refresh_outpost(link);
            }
            _ => {}
        }
        Relayed::Dropped
    }
}

/// At the home.
impl Shard {
    pub(super) fn trunk_tell(&mut self, link: LinkId, body: LinkBody) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        let (shard, message) = (trunk.shard, trunk.message(body));
        self.post(shard, message);
    }

    pub(super) fn trunk_send(&mut self, link: LinkId, frame: Bytes) {
        self.trunk_tell(link, LinkBody::Send(frame));
    }

    pub(super) fn trunk_read(&mut self, link: LinkId, on: bool) {
        self.trunk_tell(link, LinkBody::Read(on));
    }

    pub(super) fn trunk_in_chat(&mut self, link: LinkId, on: bool) {
        self.trunk_tell(link, LinkBody::InChat(on));
    }

    pub(super) fn trunk_close(&mut self, link: LinkId, code: CloseCode, reason: Bytes) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        let (shard, message) = (trunk.shard, trunk.uncounted(LinkBody::Close(code, reason)));
        self.post(shard, message);
    }

    /// What the outpost says, in order.
    fn home_hears(&mut self, now: Time, link: LinkId, body: LinkBody) -> Relayed {
        match body {
            LinkBody::Control(kind, payload) => self.control(now, link, kind, &payload),
            LinkBody::Flushed(bytes) => self.flushed(now, link, bytes as usize),
            LinkBody::Silent => self.silent(now, link),
            LinkBody::Heard => self.heard(now, link),
            LinkBody::Stalled => self.stalled(now, link),
            LinkBody::Relay(frame) => {
                let bytes = frame.bytes.len();
                if let Some(trunk) = self.trunk_mut(link) {
                    trunk.owed += bytes;
                }
                let relayed = self.relay_from(now, link, frame);
                self.trunk_pay(link, CREDIT_BYTES);
                return relayed;
            }
            _ => {}
        }
        Relayed::Dropped
    }
}

/// At both ends.
impl Shard {
    pub(super) fn trunk_mut(&mut self, link: LinkId) -> Option<&mut Trunk> {
        match &mut self.links.get_mut(link.0)?.kind {
            LinkKind::Far(trunk) | LinkKind::Forward(trunk) => Some(trunk),
            LinkKind::Here | LinkKind::Closed => None,
        }
    }

    /// At the outpost: relayed bytes that left the channel's queue.
    pub(super) fn trunk_owes(&mut self, link: LinkId, bytes: usize) {
        if let Some(trunk) = self.trunk_mut(link) {
            trunk.owed += bytes;
            self.trunk_pay(link, CREDIT_BYTES);
        }
    }

    fn trunk_pay(&mut self, link: LinkId, least: usize) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        if trunk.owed >= least.max(1) {
            let owed = std::mem::take(&mut trunk.owed) as u32;
            self.trunk_tell(link, LinkBody::Flushed(owed));
        }
    }

    /// The other end of a link says something.
    pub(super) fn hear_link(&mut self, now: Time, from: ShardId, message: LinkMessage) -> Relayed {
        let LinkMessage { far, sequence, body } = message;
        let Some(link) = self.end_of(from, far) else {
            match body {
                LinkBody::Attach(attach) => self.attached(now, from, far, &attach),
                LinkBody::Closed | LinkBody::Close(..) | LinkBody::NoSession | LinkBody::Gone => {}
                _ => {
                    let body = LinkBody::Gone;
                    self.post(from, BusMessage::Link(LinkMessage { far, sequence: 0, body }));
                }
            }
            return Relayed::Dropped;
        };
        let Some(trunk) = self.trunk_mut(link) else { return Relayed::Dropped };
        trunk.heard = now;
        match body {
            LinkBody::Closed => self.closed(now, link),
            LinkBody::Gone => self.break_link(now, link),
            LinkBody::Close(code, reason) => {
                self.outputs.push_back(Output::Close { link, code, reason });
                self.let_go(link);
            }
            LinkBody::Beat if sequence == trunk.next_in => {}
            _ if sequence != trunk.next_in => self.break_link(now, link),
            body => {
                trunk.next_in = trunk.next_in.wrapping_add(1);
                return self.hear_in_order(now, link, body);
            }
        }
        Relayed::Dropped
    }

    fn hear_in_order(&mut self, now: Time, link: LinkId, body: LinkBody) -> Relayed {
        if matches!(self.link(link).map(|link| &link.kind), Some(LinkKind::Far(_))) {
            return self.home_hears(now, link, body);
        }
        let answered = !matches!(body, LinkBody::NoSession);
        let waited = self.trunk_mut(link).filter(|_| answered).and_then(|trunk| trunk.asking.take());
        let relayed = self.outpost_hears(now, link, body);
        if let Some(asking) = waited {
            self.home_answered(now, link, *asking);
        }
        relayed
    }

    /// This shard's end of a link.
    fn end_of(&self, from: ShardId, far: FarLink) -> Option<LinkId> {
        if let Some(link) = self.far_links.get(&(from, far)) {
            return Some(*link);
        }
        let link = LinkId(far.link);
        match &self.link(link)?.kind {
            LinkKind::Forward(trunk) if trunk.far == far && trunk.shard == from => Some(link),
            _ => None,
        }
    }

    /// A link that cannot go on: its channel is closed with code 7, and the client resumes.
    pub(super) fn break_link(&mut self, now: Time, link: LinkId) {
        self.counts.links_broken += 1;
        if matches!(self.link(link).map(|link| &link.kind), Some(LinkKind::Forward(_))) {
            let Some(trunk) = self.trunk_mut(link) else { return };
            let (shard, message) = (trunk.shard, trunk.uncounted(LinkBody::Closed));
            self.post(shard, message);
        }
        self.expel(
            now,
            link,
            CloseCode::Internal,
            Bytes::from_static(b"lost between two parts of the server"),
        );
    }

    /// A timer of a link between shards.
    pub(super) fn trunk_due(&mut self, now: Time, link: LinkId) {
        let Some(trunk) = self.trunk_mut(link) else { return };
        if trunk.asking.is_some() {
            return self.ask_home(now, link);
        }
        if now >= trunk.heard.plus_ms(SILENCE_MS) {
            return self.break_link(now, link);
        }
        if now >= trunk.beat_at {
            trunk.beat_at = now.plus_ms(BEAT_MS);
            self.trunk_pay(link, 1);
            let Some(trunk) = self.trunk_mut(link) else { return };
            let (shard, message) = (trunk.shard, trunk.uncounted(LinkBody::Beat));
            self.post(shard, message);
        }
        let Some(trunk) = self.trunk_mut(link) else { return };
        let at = trunk.beat_at.min(trunk.heard.plus_ms(SILENCE_MS));
        self.link_timers.insert(link.0, at);
    }
}
