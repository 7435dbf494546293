//! Moments as nanoseconds since the process started, one clock for all threads.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Nanoseconds: a moment since the process started, or a span.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;
/// One millisecond.
pub const MILLISECOND: Nanos = 1_000_000;

/// The moment that all others are counted from.
pub fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// Now.
pub fn now() -> Nanos {
    epoch().elapsed().as_nanos() as Nanos
}

/// The same moment as quinn-proto wants it.
pub fn to_instant(at: Nanos) -> Instant {
    epoch() + Duration::from_nanos(at)
}

/// A moment that quinn-proto gave, 0 if it lies before the start.
pub fn from_instant(at: Instant) -> Nanos {
    at.saturating_duration_since(epoch()).as_nanos() as Nanos
}
