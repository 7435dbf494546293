//! Steps 2 to 6 across shards: what shards tell each other.
//!
//! The bus may lose, delay and reorder. Whatever has to happen in order carries a sequence number, and a gap ends the
//! chat or the link; whatever asks is asked again or given up; whoever is not heard for long is taken for lost.

use bytes::Bytes;

use super::frame::ControlKind;
use super::interests::Lang;
use super::io::{ChatId, CloseCode, Mark, RelayFrame, Time};
use super::pairing::{Address, Known, Mode, PersonId, SessionId};
use super::reply::{Role, Why};
use super::reports::Report;
use super::token::Secret;

/// The name of a chat between two shards over all its numbers: random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BondId(pub u64);

/// One message between shards.
#[derive(Debug)]
pub enum BusMessage {
    /// Somebody waits: to the rendezvous shards of their topics.
    Offer(Box<Offer>),
    /// They wait no more.
    Withdraw(Address),
    /// From a rendezvous: these two fit, `a` should claim `b`. To the home of `a`.
    Meet {
        /// Who claims.
        a: Address,
        /// Who is claimed.
        b: Address,
    },
    /// From the home of `a`, who could not: `b` is still free. To the home of `b`.
    Missed(Address),
    /// `a` wants a chat with `b`. To the home of `b`, which decides.
    Claim(Box<Claim>),
    /// `b` does not chat with `a`. To the home of `a`.
    Refused {
        /// Who claimed.
        a: SessionId,
        /// Which claim.
        bond: BondId,
    },
    /// Something about a chat between two shards.
    Chat(ChatMessage),
    /// The sender knows no such chat (any more).
    Gone {
        /// Whose half is to end.
        to: SessionId,
        /// The chat.
        bond: BondId,
    },
    /// Somebody was reported.
    Reported {
        /// Who.
        who: Address,
        /// Where the reporter comes from.
        by: Mark,
        /// What was said.
        report: Report,
    },
    /// Something about a connection that is not on its session's home shard.
    Link(LinkMessage),
}

/// Somebody who waits, as another shard has to know them.
#[derive(Clone, derive_more::Debug)]
pub struct Offer {
    /// Who.
    pub who: Address,
    /// For how long they have waited, in ms.
    pub waited_ms: u64,
    /// For how long this offer is good, in ms.
    pub ttl_ms: u64,
    /// Text or video.
    pub mode: Mode,
    /// Only somebody who shares an interest and a language.
    pub strict: bool,
    /// Normalised and sorted.
    #[debug("{} of them", interests.len())]
    pub interests: Vec<Box<str>>,
    /// Sorted.
    #[debug("{} of them", langs.len())]
    pub langs: Vec<Lang>,
    /// Whom they know.
    pub known: Option<Box<Known>>,
}

impl Offer {
    /// Since when they wait.
    pub fn since(&self, now: Time) -> Time {
        Time(now.0.saturating_sub(self.waited_ms * 1_000))
    }
}

/// A chat that is asked for.
#[derive(Debug)]
pub struct Claim {
    /// Who asks.
    pub a: Offer,
    /// Who is asked.
    pub b: Address,
    /// The chat to be.
    pub bond: BondId,
    /// Its number.
    pub chat: ChatId,
    /// The role of `b`.
    pub role: Role,
}

/// Something about a chat between two shards, from one half to the other.
#[derive(Debug)]
pub struct ChatMessage {
    /// Whose half is told.
    pub to: SessionId,
    /// Whose half tells.
    pub from: SessionId,
    /// The chat.
    pub bond: BondId,
    /// Counts what this half has told; a heartbeat carries the number that is next.
    pub sequence: u32,
    /// What is told.
    pub body: ChatBody,
}

/// What one half of a chat tells the other.
#[derive(derive_more::Debug)]
pub enum ChatBody {
    /// The claim is taken, the chat is on: always number 0.
    Accept {
        /// Who was asked.
        b: PersonId,
        /// Interests that both named.
        #[debug("{} of them", shared.len())]
        shared: Vec<Box<str>>,
    },
    /// A frame for the stranger.
    Relay(RelayFrame),
    /// So many relayed bytes are out of the way.
    Credit(u32),
    /// The stranger's connection is silent or gone.
    Away,
    /// It is heard again, or there is a new one and the chat has a new number.
    Back(Option<Renumber>),
    /// The chat is over. Not counted: it is taken whatever is missing before it.
    Ended(Why),
    /// Still there. Not counted.
    Beat,
}

/// A chat's new number after a resume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renumber {
    /// The number.
    pub chat: ChatId,
    /// How many numbers the chat had before: if both sides resume at once the higher wins, then the offerer.
    pub epoch: u32,
}

/// Names a link from both of its ends: the connection's shard made it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FarLink {
    /// The link's number on the shard that has the connection.
    pub link: u32,
    /// Random, so that a link number that is used again is not taken for this one.
    pub nonce: u64,
}

/// Something about a link, between the shard that has the connection and the session's home.
#[derive(Debug)]
pub struct LinkMessage {
    /// The link.
    pub far: FarLink,
    /// Counts what this end has told; a heartbeat carries the number that is next.
    pub sequence: u32,
    /// What is told.
    pub body: LinkBody,
}

/// Which session a connection on another shard wants.
#[derive(Clone, Debug)]
pub struct Attach {
    /// The session's slot.
    pub slot: u32,
    /// What the token proves it with.
    pub secret: Secret,
    /// Where the connection comes from.
    pub mark: Mark,
    /// When HELLO came, by the clock that all shards share.
    pub said: Time,
}

/// What one end of a link tells the other.
#[derive(derive_more::Debug)]
pub enum LinkBody {
    /// To the home: a HELLO wants to resume this session. Number 0; asked again until there is an answer.
    Attach(Box<Attach>),
    /// From the home: there is no such session.
    NoSession,
    /// To the home: a frame for the server.
    Control(ControlKind, #[debug("{} bytes", _1.len())] Bytes),
    /// To the home: a frame for the stranger; from it: a frame from the stranger.
    Relay(RelayFrame),
    /// To the home: relayed bytes that left the channel's queue; from it: relayed bytes taken.
    Flushed(u32),
    /// To the home: nothing heard for long.
    Silent,
    /// To the home: heard again.
    Heard,
    /// To the home: what is pending makes no progress.
    Stalled,
    /// To the home: the connection is gone. Not counted.
    Closed,
    /// From the home: a frame of the server.
    Send(#[debug("{} bytes", _0.len())] Bytes),
    /// From the home: close it. Not counted.
    Close(CloseCode, #[debug("{} bytes", _1.len())] Bytes),
    /// From the home: read, or don't.
    Read(bool),
    /// From the home: in a chat, or not.
    InChat(bool),
    /// Still there. Not counted.
    Beat,
    /// The sender knows no such link (any more). Not counted.
    Gone,
}
