//! Steps 5 and 6 of 6: a chat whose halves are on two shards.
//!
//! Each half counts what it tells the other, and a gap ends the chat; a heartbeat every 5 s shows a gap at the end and
//! a half that is gone. Whatever is lost, both sides agree on the end within [`SILENCE_MS`].

use super::bus::{BondId, BusMessage, ChatBody, ChatMessage};
use super::io::{Relayed, ShardId, Time};
use super::pairing::SessionId;
use super::reply::Why;
use super::session::{Across, Chat, Session, Stranger};
use super::shard::Shard;
use crate::limits::{BEAT_MS, CREDIT_BYTES, SILENCE_MS};

impl Across {
    /// A half whose other half was heard now.
    pub(super) fn new(shard: ShardId, session: SessionId, bond: BondId, now: Time) -> Self {
        let beat_at = now.plus_ms(BEAT_MS);
        let shared = Vec::new();
        Self {
            shard,
            session,
            bond,
            next_out: 0,
            next_in: 0,
            uncredited: 0,
            owed: 0,
            shared,
            heard: now,
            beat_at,
        }
    }

    /// The next message to the other half.
    pub(super) fn message(&mut self, from: SessionId, body: ChatBody) -> BusMessage {
        let message = self.uncounted(from, body);
        self.next_out = self.next_out.wrapping_add(1);
        message
    }

    /// A message that is taken whatever is missing before it.
    pub(super) fn uncounted(&self, from: SessionId, body: ChatBody) -> BusMessage {
        BusMessage::Chat(ChatMessage {
            to: self.session,
            from,
            bond: self.bond,
            sequence: self.next_out,
            body,
        })
    }

    /// When something has to be done about it.
    pub(super) fn due(&self) -> Time {
        self.beat_at.min(self.heard.plus_ms(SILENCE_MS))
    }
}

impl Shard {
    /// Tells the other half of a session's chat on another shard.
    pub(super) fn tell_across(&mut self, now: Time, id: SessionId, body: ChatBody) {
        let Some(across) = self.across_mut(id) else { return };
        let shard = across.shard;
        across.beat_at = now.plus_ms(BEAT_MS);
        let message = across.message(id, body);
        self.post(shard, message);
    }

    pub(super) fn across_mut(&mut self, id: SessionId) -> Option<&mut Across> {
        match self.sessions.get_mut(id.0)?.chat_mut() {
            Some(Chat { stranger: Stranger::There(across), .. }) => Some(across),
            _ => None,
        }
    }

    /// Relayed bytes from the other half are out of the way: told in steps, so that a chat of small frames costs few
    /// messages.
    pub(super) fn owe(&mut self, id: SessionId, bytes: usize) {
        let Some(across) = self.across_mut(id) else { return };
        across.owed += bytes;
        if across.owed >= CREDIT_BYTES {
            self.pay(id);
        }
    }

    fn pay(&mut self, id: SessionId) {
        let Some(across) = self.across_mut(id) else { return };
        let (shard, owed) = (across.shard, std::mem::take(&mut across.owed));
        if owed > 0 {
            let message = across.message(id, ChatBody::Credit(owed as u32));
            self.post(shard, message);
        }
    }

    /// The other half of a chat says something.
    pub(super) fn hear_across(&mut self, now: Time, from: ShardId, message: ChatMessage) -> Relayed {
        let ChatMessage { to: id, bond, sequence, body, .. } = message;
        let known = self.across_mut(id).filter(|across| across.bond == bond && across.shard == from);
        let Some(across) = known else {
            match body {
                ChatBody::Accept { b, shared } => {
                    self.claim_accepted(now, from, id, message.from, bond, b, shared);
                }
                ChatBody::Ended(_) => {}
                _ => self.post(from, BusMessage::Gone { to: message.from, bond }),
            }
            return Relayed::Dropped;
        };
        across.heard = now;
        across.shared = Vec::new();
        match body {
            ChatBody::Ended(why) => {
                self.chat_over(now, id, why);
                return Relayed::Dropped;
            }
            // Told again because the claim was made again.
            ChatBody::Accept { .. } => return Relayed::Dropped,
            ChatBody::Beat if sequence == across.next_in => return Relayed::Dropped,
            _ => {}
        }
        if sequence != across.next_in {
            self.counts.chats_broken += 1;
            self.break_chat(now, id);
            return Relayed::Dropped;
        }
        across.next_in = across.next_in.wrapping_add(1);
        self.take_across(now, id, body)
    }

    /// The next message of the other half, in order.
    fn take_across(&mut self, now: Time, id: SessionId, body: ChatBody) -> Relayed {
        match body {
            ChatBody::Relay(frame) => {
                let bytes = frame.bytes.len();
                let current = self.sessions.get(id.0).and_then(Session::chat).map(|chat| chat.number);
                if current == Some(frame.chat)
                    && let (relayed @ (Relayed::Here { .. } | Relayed::There { .. }), _) =
                        self.deliver(id, frame)
                {
                    return relayed;
                }
                self.owe(id, bytes);
            }
            ChatBody::Credit(bytes) => {
                if let Some(across) = self.across_mut(id) {
                    across.uncredited = across.uncredited.saturating_sub(bytes as usize);
                }
                self.refresh_reading(id);
            }
            ChatBody::Away => self.hear_away(id),
            ChatBody::Back(renumber) => self.hear_back(now, id, renumber),
            ChatBody::Accept { .. } | ChatBody::Ended(_) | ChatBody::Beat => {}
        }
        Relayed::Dropped
    }

    /// The other shard knows no such chat.
    pub(super) fn gone(&mut self, now: Time, from: ShardId, id: SessionId, bond: BondId) {
        let known = self.across_mut(id).filter(|across| across.bond == bond && across.shard == from);
        if known.is_some() {
            self.counts.chats_broken += 1;
            self.chat_over(now, id, Why::Lost);
        }
    }

    /// The heartbeat of a chat between shards is due, or missing.
    pub(super) fn across_due(&mut self, now: Time, id: SessionId) {
        let Some(across) = self.across_mut(id) else { return };
        if now >= across.heard.plus_ms(SILENCE_MS) {
            self.counts.chats_broken += 1;
            self.break_chat(now, id);
        } else if now >= across.beat_at {
            across.beat_at = now.plus_ms(BEAT_MS);
            self.pay(id);
            let Some(across) = self.across_mut(id) else { return };
            let (shard, message) = (across.shard, across.uncounted(id, ChatBody::Beat));
            self.post(shard, message);
        }
    }
}
