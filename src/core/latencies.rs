//! Steps 3 and 4 of 6: how long people wait for a stranger, as distributions.
//!
//! In: a duration for each match. Out: histograms that somebody outside adds up and resets. They keep two digits of every
//! duration from a microsecond to an hour (HDR: buckets that grow with the value) and allocate nothing once they are there.

use hdrhistogram::Histogram;

use super::io::Time;
use super::pairing::Mode;

/// Longest duration that is told from longer ones: an hour, in microseconds.
const LONGEST_US: u64 = 3_600_000_000;
/// Decimal digits that are kept of a duration.
const DIGITS: u8 = 2;

/// Durations in microseconds, of one mode.
#[derive(Clone, Debug)]
pub struct PoolLatencies {
    /// From FIND to MATCHED, of each session that was matched.
    pub waits: Histogram<u64>,
    /// From the later FIND of two to the beginning of their chat, once a chat.
    pub pairings: Histogram<u64>,
}

impl Default for PoolLatencies {
    fn default() -> Self {
        Self { waits: empty(), pairings: empty() }
    }
}

/// The distributions of both modes.
#[derive(Clone, Debug, Default)]
pub struct Latencies([PoolLatencies; 2]);

impl Latencies {
    /// Those of one mode.
    pub fn pool(&self, mode: Mode) -> &PoolLatencies {
        &self.0[mode as usize]
    }

    /// A session was matched that has looked for a stranger since then.
    pub(super) fn waited(&mut self, mode: Mode, since: Time, now: Time) {
        self.0[mode as usize].waits.saturating_record(us_between(since, now));
    }

    /// A chat begins between two who have looked for a stranger since then.
    pub(super) fn paired(&mut self, mode: Mode, since: [Time; 2], now: Time) {
        let later = since[0].max(since[1]);
        self.0[mode as usize].pairings.saturating_record(us_between(later, now));
    }

    /// A pairing that took so long.
    #[cfg(test)]
    pub fn record_pairing(&mut self, mode: Mode, us: u64) {
        self.0[mode as usize].pairings.saturating_record(us);
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|pool| pool.waits.is_empty() && pool.pairings.is_empty())
    }

    /// Moves what `from` has recorded into this.
    pub fn take(&mut self, from: &mut Self) {
        for (into, from) in self.0.iter_mut().zip(&mut from.0) {
            for (into, from) in [(&mut into.waits, &mut from.waits), (&mut into.pairings, &mut from.pairings)]
            {
                if !from.is_empty() {
                    // The one error there is means bounds that differ, and all have the same.
                    let _ = into.add(&*from);
                    from.reset();
                }
            }
        }
    }
}

fn us_between(since: Time, now: Time) -> u64 {
    now.0.saturating_sub(since.0)
}

#[expect(clippy::expect_used, reason = "the bounds are constants")]
fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("one microsecond to an hour with two digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_adds_up_and_is_counted_once() {
        let (mut all, mut shard) = (Latencies::default(), Latencies::default());
        for ms in [3, 5] {
            shard.waited(Mode::Text, Time(1_000), Time(1_000).plus_ms(ms));
            shard.paired(Mode::Video, [Time(0), Time(2_000)], Time(2_000).plus_ms(ms));
            all.take(&mut shard);
            assert!(shard.is_empty());
        }
        let (text, video) = (all.pool(Mode::Text), all.pool(Mode::Video));
        assert_eq!(
            (text.waits.len(), text.pairings.len(), video.waits.len(), video.pairings.len()),
            (2, 0, 0, 2)
        );
        assert_eq!(text.waits.max() / 100, 50, "two digits are kept");
        assert!((2_900..=3_000).contains(&video.pairings.min()), "since the later FIND");
    }

    #[test]
    fn a_wait_of_days_counts_as_an_hour() {
        let mut latencies = Latencies::default();
        latencies.waited(Mode::Text, Time(0), Time(0).plus_ms(200_000_000));
        assert_eq!(latencies.pool(Mode::Text).waits.len(), 1);
    }
}
