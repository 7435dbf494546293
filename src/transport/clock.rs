//! The one clock of the process: the core's [`Time`] beside the system's [`Instant`].

use std::time::{Duration, Instant, SystemTime};

use crate::core::io::Time;

/// The clock on the wall, in whole seconds since 1970. It may be set at any moment: nothing but the expiry of TURN credentials
/// goes by it.
#[must_use]
pub fn unix_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Shared by all shards, so that their moments compare.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    epoch: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { epoch: Instant::now() }
    }

    /// The present moment, both ways.
    #[must_use]
    pub fn now(&self) -> (Instant, Time) {
        let now = Instant::now();
        (now, self.time_of(now))
    }

    /// An instant as a time, rounded up, so that a deadline that has passed in one has passed in the other.
    #[must_use]
    pub fn time_of(&self, instant: Instant) -> Time {
        let since = instant.saturating_duration_since(self.epoch);
        Time(since.as_nanos().div_ceil(1_000) as u64)
    }

    /// A time as an instant.
    #[must_use]
    pub fn instant_of(&self, time: Time) -> Instant {
        self.epoch + Duration::from_micros(time.0)
    }
}
