//! Steps 2 to 6: one person's visit, from HELLO until it is forgotten.
//!
//! A session lives on the shard that made it, whatever connection it is on at the moment.

use super::bus::BondId;
use super::io::{ChatId, LinkId, Mark, ShardId, Time};
use super::pairing::{Address, Known, Mode, PersonId, SessionId};
use super::reply::Role;
use super::reports::Reports;
use super::token::Secret;

/// One session.
#[derive(Debug)]
pub struct Session {
    /// Its name among sessions.
    pub person: PersonId,
    /// Proves a resume.
    pub secret: Secret,
    /// The last resume, until its connection has spoken.
    pub unproven: Option<Box<Unproven>>,
    /// The channel it is on; `None` while it is away.
    pub link: Option<LinkId>,
    /// Since when it is in its stage, or without a link.
    pub since: Time,
    /// What it does.
    pub stage: Stage,
    /// Whom it knows. In the waiting room while it waits.
    pub known: Option<Box<Known>>,
    /// The counter of its last FIND.
    pub n: u64,
    /// Its FINDs.
    pub finds: Rate,
    /// All its control frames.
    pub controls: Rate,
    /// Where its last connection came from.
    pub mark: Mark,
    /// How it was reported, if it was.
    pub reports: Option<Box<Reports>>,
}

/// A resume whose WELCOME may not have arrived.
#[derive(Debug)]
pub struct Unproven {
    /// What its HELLO proved the session with: good as long as nobody knows whether the client has a newer one.
    pub secret: Secret,
    /// When that HELLO came, by the clock that all shards share: an earlier one takes nothing over any more.
    pub said: Time,
}

/// What a session does. A session waits only while it has a link.
#[derive(Debug)]
pub enum Stage {
    /// Nothing.
    Idle,
    /// Waits.
    Waiting(Waiting),
    /// Chats.
    Chatting(Chat),
}

/// A session's wait.
#[derive(Debug)]
pub struct Waiting {
    /// Its ticket for the waiting room.
    pub ticket: u32,
    /// Whether it stays out of searches until its channel has taken more of what was sent to it.
    pub parked: bool,
    /// Whether the last search was cut.
    pub cut: bool,
    /// Offers that are refused in a row.
    pub refusals: u8,
    /// When it is told again that it waits.
    pub notice_at: Time,
    /// When it looks for somebody again.
    pub search_at: Option<Time>,
    /// When it is offered (again) to other shards.
    pub offer_at: Option<Time>,
    /// The time between the last offer and the next, in ms; 0 before the first.
    pub offer_ms: u32,
    /// A stranger on another shard that it asked for.
    pub claim: Option<Box<Claiming>>,
}

/// A stranger on another shard who has been asked for.
#[derive(Debug)]
pub struct Claiming {
    /// Who.
    pub b: Address,
    /// The chat to be.
    pub bond: BondId,
    /// Its number.
    pub chat: ChatId,
    /// One's own role in it.
    pub role: Role,
    /// When to ask again.
    pub ask_at: Time,
    /// How often to ask again.
    pub tries: u8,
}

/// A session's half of a chat.
#[derive(Debug)]
pub struct Chat {
    /// The number on the wire.
    pub number: ChatId,
    /// Numbers before this one.
    pub epoch: u32,
    /// One's own role.
    pub role: Role,
    /// Text or video.
    pub mode: Mode,
    /// Whether the stranger is away.
    pub stranger_away: bool,
    /// Whether a frame for this side was dropped while its connection was silent.
    pub torn: bool,
    /// The stranger.
    pub stranger: Stranger,
    /// Their name.
    pub person: PersonId,
    /// When the TURN credentials are renewed.
    pub ice_at: Option<Time>,
}

/// Where the stranger is.
#[derive(Debug)]
pub enum Stranger {
    /// On this shard.
    Here(SessionId),
    /// On another.
    There(Box<Across>),
}

/// What a half of a chat knows about the other half on another shard.
#[derive(derive_more::Debug)]
pub struct Across {
    /// Its shard.
    pub shard: ShardId,
    /// Its session there.
    pub session: SessionId,
    /// The chat.
    pub bond: BondId,
    /// The number of the next message to it.
    pub next_out: u32,
    /// The number of the next message from it.
    pub next_in: u32,
    /// Relayed bytes on their way to the stranger and not yet credited.
    pub uncredited: usize,
    /// Relayed bytes out of the way on this side and not yet told.
    pub owed: usize,
    /// Interests that both named: kept until the other half is heard, for ACCEPT may have to be told again.
    #[debug("{} of them", shared.len())]
    pub shared: Vec<Box<str>>,
    /// When it was last heard.
    pub heard: Time,
    /// When the next heartbeat is sent.
    pub beat_at: Time,
}

impl Chat {
    /// Where the stranger's session lives.
    pub fn address(&self, here: ShardId) -> Address {
        let (shard, session) = match &self.stranger {
            Stranger::Here(session) => (here, *session),
            Stranger::There(across) => (across.shard, across.session),
        };
        Address { shard, session, person: self.person }
    }
}

impl Session {
    /// Its half of a chat.
    #[inline]
    pub fn chat(&self) -> Option<&Chat> {
        match &self.stage {
            Stage::Chatting(chat) => Some(chat),
            _ => None,
        }
    }

    /// Its half of a chat.
    #[inline]
    pub fn chat_mut(&mut self) -> Option<&mut Chat> {
        match &mut self.stage {
            Stage::Chatting(chat) => Some(chat),
            _ => None,
        }
    }

    /// Its wait.
    pub fn waiting(&self) -> Option<&Waiting> {
        match &self.stage {
            Stage::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// Its wait.
    pub fn waiting_mut(&mut self) -> Option<&mut Waiting> {
        match &mut self.stage {
            Stage::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }
}

/// A token bucket in 8 bytes (the generic cell rate algorithm): the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate(Time);

impl Rate {
    /// Takes one of at most `burst`, of which one comes back every `every_ms`; else how long to wait, in ms.
    pub fn take(&mut self, now: Time, burst: u64, every_ms: u64) -> Result<(), u64> {
        let full = self.0.max(now);
        let ahead_ms = full.0.saturating_sub(now.0).div_ceil(1000);
        let most_ms = (burst - 1) * every_ms;
        if ahead_ms > most_ms {
            return Err(ahead_ms - most_ms);
        }
        self.0 = full.plus_ms(every_ms);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_allows_a_burst_and_then_a_steady_flow() {
        let (mut rate, mut now) = (Rate::default(), Time(1_000_000));
        for _ in 0..20 {
            assert_eq!(rate.take(now, 20, 200), Ok(()));
        }
        assert_eq!(rate.take(now, 20, 200), Err(200));
        now = now.plus_ms(150);
        assert_eq!(rate.take(now, 20, 200), Err(50));
        now = now.plus_ms(50);
        assert_eq!(rate.take(now, 20, 200), Ok(()));
        assert_eq!(rate.take(now, 20, 200), Err(200));
    }
}
