//! A server that lies about time: what it adds is what the generator measures, no more and no less.
//!
//! A busy machine adds time of its own, so the lower bounds hold always and the upper ones at the best of a few runs.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use std::time::Duration;

use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use liar::{Liar, Lies};
use world::{alone, at_best, latency, load, within};

#[test]
fn a_known_pairing_delay_is_the_pairing_latency() {
    let _turn = alone();
    let liar = Liar::start(Lies { match_delay: Duration::from_millis(150), ..Lies::default() });
    let options = "connections = 60\nrate = 40.0\nwarmup = \"500ms\"\nduration = \"1500ms\"\nthreads = 2";
    at_best(|| {
        let report = load(Kind::Pair, &liar.url(), options).unwrap();
        let pair = &latency(&report, Metric::Pair).corrected;
        assert!(pair.min >= 150_000, "nothing is faster than the delay: {}", pair.min);
        let matched = report.measured.count(Count::Matched);
        within("matched and timed", pair.count.abs_diff(matched), 0..5)?;
        within("matched", matched, 30..90)?;
        let (planned, started) = (Count::Planned, Count::Started);
        within("started", report.measured.count(started), report.measured.count(planned)..90)?;
        within("the median is the delay", pair.p50, 150_000..200_000)
    });
}

#[test]
fn a_known_mixture_of_delays_is_the_known_histogram() {
    let _turn = alone();
    // Every fourth chat is held for 300 ms, the others for 40: three quarters and one quarter of the histogram.
    let liar = Liar::start(Lies {
        match_delay: Duration::from_millis(40),
        slow_every: Some((4, Duration::from_millis(300))),
        ..Lies::default()
    });
    let options = "connections = 100\nrate = 80.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"2s\"\ndwell = \"20ms\"";
    at_best(|| {
        let report = load(Kind::Pair, &liar.url(), options).unwrap();
        let histogram = latency(&report, Metric::Pair).corrected.histogram().unwrap();
        let fast = histogram.count_between(1, 299_000);
        assert!(histogram.min() >= 39_900, "{}", histogram.min());
        let share = 100 * fast / histogram.len();
        within("per cent of fast ones", share, 70..80)?;
        within("the 70th percentile is fast", histogram.value_at_quantile(0.7), 40_000..90_000)?;
        within("the 85th is slow", histogram.value_at_quantile(0.85), 300_000..350_000)
    });
}

#[test]
fn the_earlier_ones_wait_is_no_part_of_pairing_latency() {
    let _turn = alone();
    // Ten arrivals a second, evenly: the earlier of two waits 100 ms for the later.
    let liar = Liar::start(Lies::default());
    let options = "connections = 20\nrate = 10.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"2s\"";
    at_best(|| {
        let report = load(Kind::Pair, &liar.url(), options).unwrap();
        let waited = &latency(&report, Metric::PairWait).corrected;
        // Both moments are of the schedule, whatever the machine does.
        assert!((99_000..102_000).contains(&waited.p50), "{}", waited.p50);
        let pair = &latency(&report, Metric::Pair).corrected;
        within("pairing", pair.p50, 0..60_000)
    });
}

#[test]
fn a_known_relay_delay_is_the_one_way_latency() {
    let _turn = alone();
    let liar = Liar::start(Lies { relay_delay: Duration::from_millis(80), ..Lies::default() });
    let options = "connections = 20\nrate = 200.0\nwarmup = \"200ms\"\nduration = \"1s\"\nsize = 300";
    at_best(|| {
        let report = load(Kind::Relay, &liar.url(), options).unwrap();
        let relay = &latency(&report, Metric::Relay).corrected;
        assert!(relay.min >= 80_000, "{}", relay.min);
        within("sent", report.measured.count(Count::FramesSent), 200..201)?;
        within("received", report.measured.count(Count::FramesReceived), 200..201)?;
        within("bytes", report.measured.count(Count::BytesReceived), 200 * 300..1_000_000)?;
        within("one way", relay.p50, 80_000..120_000)
    });
}

#[test]
fn a_stall_shows_in_the_corrected_view_and_not_in_the_other() {
    let _turn = alone();
    // Eight sessions, and nothing answered for 1.5 s: the arrivals of that time wait for a free session, so few
    // are sent during the stall. A tool that counts from sending sees a handful of slow ones among hundreds.
    let stall = Some((Duration::from_millis(700), Duration::from_millis(2200)));
    let options = "connections = 8\nrate = 60.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"4s\"\ndwell = \"5ms\"";
    at_best(|| {
        let liar = Liar::start(Lies { stall, ..Lies::default() });
        let report = load(Kind::Pair, &liar.url(), options).unwrap();
        let pair = latency(&report, Metric::Pair);
        assert!(pair.corrected.p90 > 600_000, "people waited through the stall: {}", pair.corrected.p90);
        within("the other view hides it", pair.uncorrected.p90, 0..300_000)?;
        within("the longest wait is the stall", pair.corrected.max, 1_200_000..3_000_000)
    });
}

#[test]
fn a_closed_loop_goes_as_fast_as_the_server() {
    let _turn = alone();
    let liar = Liar::start(Lies { relay_delay: Duration::from_millis(20), ..Lies::default() });
    let options = "connections = 2\nclosed = 1\nwarmup = \"0s\"\nduration = \"1s\"";
    at_best(|| {
        let report = load(Kind::Relay, &liar.url(), options).unwrap();
        let frames = report.measured.count(Count::FramesReceived);
        assert!(frames <= 51, "one frame at a time, 20 ms each, 1 s: {frames}");
        within("frames", frames, 30..52)
    });
}
