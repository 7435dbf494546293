//! Around the six steps: the service manager's watchdog, which restarts a server that hangs.
//!
//! In: a [`Pulse`] of the shards. Out: a sign of life each time that every shard has finished a turn since the last one.
//! One shard that hangs starves the dog, however well the others do.

use std::convert::Infallible;

use super::Notifier;

/// Whether all shards work.
pub trait Pulse {
    /// Asks every shard for a turn.
    fn ask(&self);
    /// Whether every shard has finished a turn since this last was `true`.
    fn beats(&mut self) -> bool;
}

/// Feeds the watchdog for as long as all shards work; never ends.
pub async fn feed(notifier: &Notifier, pulse: &mut impl Pulse) -> Infallible {
    // systemd recommends half of the time; a quarter leaves room for one late answer.
    let Some(pause) = notifier.watchdog().map(|within| within / 4) else {
        return std::future::pending().await;
    };
    loop {
        pulse.ask();
        tokio::time::sleep(pause).await;
        if pulse.beats() {
            notifier.alive();
        }
    }
}
