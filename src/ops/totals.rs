//! What a shard counts since its start: one row each, so that counting, publishing and telling cannot forget one.

use std::ops::{Index, IndexMut};

use super::counters::Count;

/// Something that only goes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Total {
    /// Sessions opened by WebTransport.
    OpenedQuic,
    /// Sessions opened by WebSocket.
    OpenedWebSocket,
    /// Sessions taken up again on a new connection.
    Resumed,
    /// Sessions matched with a stranger of the same shard.
    MatchedHere,
    /// Sessions matched with a stranger of another shard.
    MatchedAcross,
    /// Frames relayed.
    Relayed,
    /// Bytes of relayed frames, headers included.
    RelayedBytes,
    /// Frames dropped because nobody was meant (any more).
    Dropped,
    /// Times a sender was not read because the stranger read slowly.
    HeldBack,
    /// Handshakes that were completed.
    HandshakesDone,
    /// Handshakes that were given up or failed.
    HandshakesFailed,
    /// Clients that had to prove their address.
    Retries,
    /// Connections refused: there are too many, or too many half-open.
    RefusedConnections,
    /// Connections refused: they come from where the operator does not serve.
    RefusedUnserved,
    /// First packets forgotten: a flood, of addresses that are not proven.
    RefusedFlood,
    /// Connections refused: very many came from one address.
    RefusedAddress,
    /// Newcomers refused: too many come from where they are, or are there.
    RefusedCrowded,
    /// Newcomers refused: people of their address were reported too often.
    RefusedBarred,
    /// Newcomers who were asked to prove work first.
    RefusedWork,
    /// Sessions refused: the shard is full.
    RefusedFull,
    /// Searches and newcomers refused: the operator has paused them.
    RefusedPaused,
    /// Requests refused: a session asks too often, or its address does.
    RefusedRate,
    /// Sessions that the server closed, by close code.
    ClosedDone,
    /// See [`Total::ClosedDone`].
    ClosedProtocol,
    /// See [`Total::ClosedDone`].
    ClosedTooLarge,
    /// See [`Total::ClosedDone`].
    ClosedTooMany,
    /// See [`Total::ClosedDone`].
    ClosedBanned,
    /// See [`Total::ClosedDone`].
    ClosedDraining,
    /// See [`Total::ClosedDone`].
    ClosedIdle,
    /// See [`Total::ClosedDone`].
    ClosedInternal,
    /// See [`Total::ClosedDone`].
    ClosedFull,
    /// Newcomers who have proven work.
    WorkProven,
    /// Times that a channel was not read for a while because it, or its address, sent too much.
    Delayed,
    /// Connections closed to stay under the cap of all buffers, or for what they made the server hold.
    Shed,
    /// QUIC packets sent.
    PacketsSent,
    /// QUIC packets that were lost on the way to a client.
    PacketsLost,
    /// Messages to other shards.
    BusSent,
    /// Messages to other shards that were lost because the other was far behind.
    BusLost,
    /// Claims of a stranger on another shard that came to nothing.
    ClaimsLost,
    /// Chats that a gap or silence between shards ended.
    ChatsBroken,
    /// Reports of strangers.
    Reports,
    /// Reports that were not the second of one address.
    ReportsCounted,
    /// Sessions ended by reports or by the operator.
    Sentences,
    /// TURN credentials made.
    TurnCredentials,
}

impl Total {
    /// How many there are.
    pub const COUNT: usize = Self::TurnCredentials as usize + 1;

    /// What was turned away, for all reasons.
    pub const REFUSED: [Self; 5] = [
        Self::RefusedConnections,
        Self::RefusedUnserved,
        Self::RefusedFull,
        Self::RefusedPaused,
        Self::RefusedRate,
    ];

    /// The first of the sessions closed by code; those after it follow the codes of PROTOCOL.md section 6.
    pub const CLOSED: usize = Self::ClosedDone as usize;
}

/// All of them, of one shard, since it last started.
#[derive(Clone, Copy, Debug)]
pub struct Totals([u64; Total::COUNT]);

impl Default for Totals {
    fn default() -> Self {
        Self([0; Total::COUNT])
    }
}

impl Index<Total> for Totals {
    type Output = u64;

    fn index(&self, total: Total) -> &u64 {
        &self.0[total as usize]
    }
}

impl IndexMut<Total> for Totals {
    fn index_mut(&mut self, total: Total) -> &mut u64 {
        &mut self.0[total as usize]
    }
}

impl Totals {
    /// Sets one by its place in the enumeration.
    #[cfg(test)]
    pub(super) fn set_for_test(&mut self, place: usize, value: u64) {
        self.0[place] = value;
    }

    /// Sets the sessions closed by code.
    pub fn set_closed(&mut self, by_code: &[u64; CLOSE_CODES]) {
        self.0[Total::CLOSED..Total::CLOSED + CLOSE_CODES].copy_from_slice(by_code);
    }
}

/// Close codes of a session.
pub const CLOSE_CODES: usize = 9;
const _: () = assert!(Total::ClosedFull as usize == Total::CLOSED + CLOSE_CODES - 1);

/// The same over the restarts of a shard, for readers on other threads.
#[derive(Debug)]
pub struct TotalCounts([Count; Total::COUNT]);

impl Default for TotalCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl TotalCounts {
    /// One of them.
    pub fn get(&self, total: Total) -> u64 {
        self.0[total as usize].get()
    }

    /// Adds what has come since `before`.
    pub fn advance(&self, before: &Totals, now: &Totals) {
        for ((count, before), now) in self.0.iter().zip(before.0).zip(now.0) {
            count.add(now.saturating_sub(before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_that_starts_again_counts_on() {
        let counts = TotalCounts::default();
        let mut totals = Totals::default();
        let before = totals;
        totals[Total::Relayed] = 5;
        totals.set_closed(&[0, 0, 0, 0, 0, 0, 0, 0, 3]);
        counts.advance(&before, &totals);
        let mut restarted = Totals::default();
        restarted[Total::Relayed] = 2;
        counts.advance(&Totals::default(), &restarted);
        assert_eq!((counts.get(Total::Relayed), counts.get(Total::ClosedFull)), (7, 3));
    }
}
