//! The limits of this machine, without any server around them, so that a reader sees how far a figure is from them:
//! UDP ping-pong, an echo over quinn-proto, P-256 and X25519 alone.

mod curves;
mod echo;
mod udp;

use std::fmt::Write;

use serde::Serialize;

use crate::report::Summary;
use crate::span::Span;
use crate::stats::process::usage;
use crate::stats::recorder::{Hist, histogram};
use crate::time::{Nanos, now};

/// Bytes of every ping and echo: a short message.
const PAYLOAD_BYTES: usize = 100;

/// One floor.
#[derive(Debug, Serialize)]
pub struct Floor {
    /// What was done.
    pub name: String,
    /// How often, a second.
    pub per_second: f64,
    /// CPU of all threads involved, in microseconds each time.
    pub cpu_us: f64,
    /// Time of each, in nanoseconds.
    pub nanoseconds: Summary,
}

/// Measures every floor for `duration`.
pub fn measure(duration: Span) -> Result<Vec<Floor>, String> {
    let span = duration.as_nanos();
    let mut floors = vec![
        timed("UDP round trip, 100 bytes, blocking sockets", |values| udp::ping_pong(span, values))?,
        timed("QUIC echo, 100 bytes, quinn-proto on both sides", |values| echo::echo(span, values))?,
    ];
    for (name, operation) in curves::operations()? {
        floors.push(timed(name, |values| {
            repeat(span, operation, values);
            Ok(())
        })?);
    }
    Ok(floors)
}

/// The floors as text.
pub fn render(floors: &[Floor]) -> String {
    let mut out = format!("{:<52} {:>10} {:>9} {:>9} {:>9}\n", "", "a second", "p50 us", "p99 us", "CPU us");
    for floor in floors {
        let us = |ns: u64| ns as f64 / 1000.0;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<52} {:>10.0} {:>9.1} {:>9.1} {:>9.1}",
            floor.name,
            floor.per_second,
            us(floor.nanoseconds.p50),
            us(floor.nanoseconds.p99),
            floor.cpu_us
        );
    }
    out
}

fn timed(name: &str, work: impl FnOnce(&mut Hist) -> Result<(), String>) -> Result<Floor, String> {
    let mut values = histogram();
    let (before, began) = (usage(std::process::id())?, now());
    work(&mut values)?;
    let (after, seconds) = (usage(std::process::id())?, (now() - began) as f64 / 1e9);
    Ok(Floor {
        name: name.into(),
        per_second: values.len() as f64 / seconds,
        cpu_us: (after.cpu_s - before.cpu_s) * 1e6 / values.len().max(1) as f64,
        nanoseconds: Summary::of(&values),
    })
}

fn repeat(span: Nanos, mut operation: impl FnMut(), values: &mut Hist) {
    let end = now() + span;
    while now() < end {
        let began = now();
        operation();
        values.saturating_record(now() - began);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_can_be_measured() {
        let floors = measure(Span::seconds(0.05)).unwrap();
        assert_eq!(floors.len(), 6);
        for floor in &floors {
            assert!(floor.nanoseconds.count > 5, "{}: {}", floor.name, floor.nanoseconds.count);
        }
        let udp = floors[0].nanoseconds.p50;
        assert!(floors[1].nanoseconds.p50 > udp / 2, "QUIC is not twice as fast as the UDP below it");
        assert!(render(&floors).contains("X25519"));
    }
}
