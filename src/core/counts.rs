//! Plain numbers about a shard, for metrics, health and tests. None of them is about a person.

/// What there is at the moment, and what has happened since the shard started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels, also those before HELLO.
    pub links: u64,
    /// Sessions, also those that are away.
    pub sessions: u64,
    /// Sessions without a channel.
    pub away: u64,
    /// Sessions that wait for a stranger, by mode.
    pub waiting: [u64; 2],
    /// Sessions in a chat.
    pub in_chat: u64,
    /// Offers from all shards at this rendezvous.
    pub offers: u64,
    /// Interests that somebody waits with.
    pub interests: u64,
    /// Chats that began with both on this shard.
    pub pairs_here: u64,
    /// Halves of chats with another shard that began here.
    pub pairs_across: u64,
    /// Sessions resumed.
    pub resumed: u64,
    /// Sessions taken over while the old connection lived.
    pub taken_over: u64,
    /// Resumes that came after a later one of the same session.
    pub overtaken: u64,
    /// Resumes from a connection on another shard.
    pub resumed_across: u64,
    /// Resumes while the stranger was away too.
    pub both_resumed: u64,
    /// Both sides of a chat between shards gave it a new number at once.
    pub renumbered_at_once: u64,
    /// Claims of a stranger on another shard that came to nothing.
    pub claims_lost: u64,
    /// Two sessions that claimed each other at once.
    pub claims_crossed: u64,
    /// Chats that a gap or silence between shards ended.
    pub chats_broken: u64,
    /// Links between shards that a gap or silence ended.
    pub links_broken: u64,
    /// Frames relayed to a channel.
    pub relayed: u64,
    /// Bytes of these frames.
    pub relayed_bytes: u64,
    /// Frames dropped because nobody was meant (any more).
    pub dropped: u64,
    /// Times a sender was not read because the stranger read slowly.
    pub paused: u64,
    /// Reports.
    pub reports: u64,
    /// TURN credentials made.
    pub turn_credentials: u64,
    /// Requests refused by rate.
    pub rate_limited: u64,
    /// Refused because an operator has paused it: FINDs, waits that ended by it, newcomers.
    pub refused_paused: u64,
    /// Sessions refused because the shard was full.
    pub refused_full: u64,
    /// Sessions that the server closed, by close code.
    pub closed: [u64; 9],
}
