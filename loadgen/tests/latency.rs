//! A server that lies about time: what it adds is what the generator measures, no more and no less.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use std::time::Duration;

use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use liar::{Liar, Lies};
use world::{alone, latency, load};

#[test]
fn a_known_pairing_delay_is_the_pairing_latency() {
    let _turn = alone();
    let liar = Liar::start(Lies { match_delay: Duration::from_millis(150), ..Lies::default() });
    let options = "connections = 60\nrate = 40.0\nwarmup = \"500ms\"\nduration = \"2s\"\nthreads = 2";
    let report = load(Kind::Pair, &liar.url(), options).unwrap();
    let pair = &latency(&report, Metric::Pair).corrected;
    assert!(pair.min >= 150_000, "nothing is faster than the delay: {}", pair.min);
    assert!((150_000..200_000).contains(&pair.p50), "the median is the delay: {}", pair.p50);
    let matched = report.measured.count(Count::Matched);
    assert!(matched > 40 && pair.count.abs_diff(matched) <= 4, "{} of {matched}", pair.count);
    assert_eq!(report.measured.count(Count::Planned), report.measured.count(Count::Started));
}

#[test]
fn the_earlier_ones_wait_is_no_part_of_pairing_latency() {
    let _turn = alone();
    // Ten arrivals a second, evenly: the earlier of two waits 100 ms for the later.
    let liar = Liar::start(Lies::default());
    let options = "connections = 20\nrate = 10.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"3s\"";
    let report = load(Kind::Pair, &liar.url(), options).unwrap();
    let waited = &latency(&report, Metric::PairWait).corrected;
    assert!((95_000..140_000).contains(&waited.p50), "{}", waited.p50);
    let pair = &latency(&report, Metric::Pair).corrected;
    assert!(pair.p50 < 60_000, "{}", pair.p50);
}

#[test]
fn a_known_relay_delay_is_the_one_way_latency() {
    let _turn = alone();
    let liar = Liar::start(Lies { relay_delay: Duration::from_millis(80), ..Lies::default() });
    let options = "connections = 20\nrate = 200.0\nwarmup = \"200ms\"\nduration = \"1s\"\nsize = 300";
    let report = load(Kind::Relay, &liar.url(), options).unwrap();
    let relay = &latency(&report, Metric::Relay).corrected;
    assert!(relay.min >= 80_000, "{}", relay.min);
    assert!((80_000..120_000).contains(&relay.p50), "{}", relay.p50);
    assert_eq!(report.measured.count(Count::FramesSent), 200);
    assert_eq!(report.measured.count(Count::FramesReceived), 200);
    assert!(report.measured.count(Count::BytesReceived) >= 200 * 300);
}

#[test]
fn a_stall_shows_in_the_corrected_view_and_not_in_the_other() {
    let _turn = alone();
    // Eight sessions, and nothing answered for 1.5 s: the arrivals of that time wait for a free session, so few
    // are sent during the stall. A tool that counts from sending sees a handful of slow ones among hundreds.
    let stall = Some((Duration::from_millis(700), Duration::from_millis(2200)));
    let liar = Liar::start(Lies { stall, ..Lies::default() });
    let options = "connections = 8\nrate = 60.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"4s\"\ndwell = \"5ms\"";
    let report = load(Kind::Pair, &liar.url(), options).unwrap();
    let pair = latency(&report, Metric::Pair);
    assert!(pair.corrected.p90 > 600_000, "people waited through the stall: {}", pair.corrected.p90);
    assert!(pair.uncorrected.p90 < 300_000, "the other view hides it: {}", pair.uncorrected.p90);
    assert!(pair.corrected.max > 1_200_000 && pair.corrected.max < 3_000_000, "{}", pair.corrected.max);
}

#[test]
fn a_closed_loop_goes_as_fast_as_the_server() {
    let _turn = alone();
    let liar = Liar::start(Lies { relay_delay: Duration::from_millis(20), ..Lies::default() });
    let options = "connections = 2\nclosed = 1\nwarmup = \"0s\"\nduration = \"2s\"";
    let report = load(Kind::Relay, &liar.url(), options).unwrap();
    let frames = report.measured.count(Count::FramesReceived);
    assert!((60..=100).contains(&frames), "one frame at a time, 20 ms each, 2 s: {frames}");
}
