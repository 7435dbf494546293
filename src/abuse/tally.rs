//! What the guard has done since the start: counts, for the operator and for metrics.

use crate::ops::Count;

/// Counts over all shards; what is counted here is rare, so they may share a cache line.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections refused by QUIC because very many came from one address.
    pub refused: Count,
    /// Newcomers told that too many come from where they are.
    pub crowded: Count,
    /// FINDs and reports refused because too many come from one address.
    pub limited: Count,
    /// Times that a channel was not read for a while because it, or its address, sent too much.
    pub delayed: Count,
    /// Newcomers who were asked to prove work.
    pub challenged: Count,
    /// Newcomers who have.
    pub proven: Count,
    /// Newcomers from an address that is barred.
    pub barred: Count,
    /// Reports that counted.
    pub reports: Count,
    /// Sessions ended by reports or by the operator.
    pub sentences: Count,
}
