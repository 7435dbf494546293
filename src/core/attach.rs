//! Step 2 of 6 across shards: HELLO names a session of another shard, whose home is asked for it. After an upgrade the home may be
//! a shard of an older process, which makes no difference here.
//!
//! Until the home answers, what the client says waits. A question is asked again under a new name, so that an answer to an
//! earlier one is not taken for this one's; then the client gets a fresh session. What follows the answer is in `remote.rs`.

use bytes::Bytes;

use super::bus::{Attach, FarLink, LinkBody};
use super::frame::ControlKind;
use super::hello::Resume;
use super::io::{LinkId, ShardId, Time};
use super::links::{Link, LinkKind};
use super::remote::Trunk;
use super::shard::Shard;
use super::token::Token;
use crate::limits::{ATTACH_AGAIN_MS, ATTACH_FRAMES, ATTACH_TRIES, BEAT_MS};

/// A HELLO that waits for the home's answer, and what came after it.
#[derive(derive_more::Debug)]
pub(super) struct Asking {
    token: Token,
    /// When it came.
    said: Time,
    /// How often the home has been asked.
    asked: u8,
    #[debug("{} of them", frames.len())]
    frames: Vec<(ControlKind, Bytes)>,
}

/// At the outpost.
impl Shard {
    /// HELLO names a session of another shard: asks there.
    pub(super) fn attach(&mut self, now: Time, link: LinkId, home: ShardId, token: Token) {
        let far = FarLink { link: link.0, nonce: 0 };
        let mut trunk = Trunk::new(home, far, now);
        trunk.asking = Some(Box::new(Asking { token, said: now, asked: 0, frames: Vec::new() }));
        if let Some(state) = self.link_mut(link) {
            state.kind = LinkKind::Forward(Box::new(trunk));
        }
        self.ask_home(now, link);
    }

    /// Asks the home, or gives up after a few times.
    pub(super) fn ask_home(&mut self, now: Time, link: LinkId) {
        let (nonce, mark) = (self.random_u64(), self.mark_of(link));
        let Some(trunk) = self.trunk_mut(link) else { return };
        let Some(asking) = &mut trunk.asking else { return };
        if asking.asked == ATTACH_TRIES {
            return self.start_fresh(now, link);
        }
        let again_ms = ATTACH_AGAIN_MS << asking.asked;
        asking.asked += 1;
        let Asking { token, said, .. } = &**asking;
        let attach = Attach { slot: token.slot, secret: token.secret.clone(), mark, said: *said };
        trunk.far.nonce = nonce;
        trunk.next_out = 0;
        let (shard, message) = (trunk.shard, trunk.message(LinkBody::Attach(Box::new(attach))));
        self.post(shard, message);
        self.link_timers.insert(link.0, now.plus_ms(again_ms));
    }

    /// A frame of a client that comes before the answer.
    pub(super) fn keep_for_home(&mut self, now: Time, link: LinkId, kind: ControlKind, payload: Bytes) {
        let asking = self.trunk_mut(link).and_then(|trunk| trunk.asking.as_mut());
        match asking {
            Some(asking) if asking.frames.len() < ATTACH_FRAMES => asking.frames.push((kind, payload)),
            _ => self.accuse(now, link, "too many frames at once"),
        }
    }

    /// The home has the session: what the client has said since HELLO goes there.
    pub(super) fn home_answered(&mut self, now: Time, link: LinkId, asking: Asking) {
        self.link_timers.insert(link.0, now.plus_ms(BEAT_MS));
        for (kind, payload) in asking.frames {
            self.forward(now, link, LinkBody::Control(kind, payload));
        }
    }

    /// The home did not answer, or has no such session: the client gets a fresh one here.
    pub(super) fn start_fresh(&mut self, now: Time, link: LinkId) {
        let Some(state) = self.link_mut(link) else { return };
        let LinkKind::Forward(trunk) = std::mem::replace(&mut state.kind, LinkKind::Here) else { return };
        self.link_timers.cancel(link.0);
        self.welcome_new(now, link);
        for (kind, payload) in trunk.asking.map(|asking| asking.frames).unwrap_or_default() {
            self.control(now, link, kind, &payload);
        }
    }
}

/// At the home.
impl Shard {
    /// A client on another shard wants one of this shard's sessions.
    pub(super) fn attached(&mut self, now: Time, from: ShardId, far: FarLink, attach: &Attach) {
        let mut trunk = Trunk::new(from, far, now);
        trunk.next_in = 1;
        let mut link = Link::new(LinkKind::Far(Box::new(trunk)));
        link.visitor.mark = attach.mark;
        let link = LinkId(self.links.insert(link));
        self.far_links.insert((from, far), link);
        self.link_timers.insert(link.0, now.plus_ms(BEAT_MS));
        match self.resume(now, link, attach.slot, &attach.secret, attach.said) {
            Resume::Done => self.counts.resumed_across += 1,
            Resume::Overtaken => {}
            Resume::Unknown => {
                self.trunk_tell(link, LinkBody::NoSession);
                self.let_go(link);
            }
        }
    }
}
