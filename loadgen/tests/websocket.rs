//! The same scenarios over WebSocket (docs/PROTOCOL.md section 9), against a server by another library.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use std::time::Duration;

use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use liar::{Liar, Lies};
use world::{alone, latency, load};

const WS: &str = "transport = \"ws\"\nwarmup = \"0s\"\nduration = \"1500ms\"";

#[test]
fn people_are_paired_and_talk_over_websocket() {
    let _turn = alone();
    let liar = Liar::start(Lies { match_delay: Duration::from_millis(20), ..Lies::default() });
    let options = format!("{WS}\nconnections = 30\nrate = 40.0\nthreads = 2");
    let report = load(Kind::Signal, &liar.url(), &options).unwrap();
    assert_eq!(report.end, "completed");
    assert_eq!(report.opening.count(Count::Opened), 30);
    assert!(report.measured.count(Count::Exchanges) > 5, "{:?}", report.measured.counts);
    assert_eq!(report.measured.count(Count::Lost), 0, "{:?}", report.measured.failures);
    assert!(latency(&report, Metric::Pair).corrected.min >= 20_000);
}

#[test]
fn large_frames_cross_with_tls_and_a_pinned_certificate() {
    let _turn = alone();
    let liar = Liar::start(Lies::default());
    let tls = |hash: &str| {
        let url = format!("websocket_url = \"wss://{}/v1\"", liar.websocket);
        format!("{WS}\n{url}\ncert_hash = [\"{hash}\"]\nconnections = 6\nrate = 40.0\nsize = 30000")
    };
    let report = load(Kind::Relay, &liar.url(), &tls(&liar.hash)).unwrap();
    assert_eq!(report.measured.count(Count::FramesSent), 60);
    assert_eq!(report.measured.count(Count::FramesReceived), 60);
    let wrong = format!("AAAA{}", &liar.hash[4..]);
    let report = load(Kind::Relay, &liar.url(), &tls(&wrong)).unwrap();
    assert!(report.end.contains("TLS") && report.end.contains("certificate"), "{}", report.end);
}

#[test]
fn whoever_arrives_may_connect_first() {
    let _turn = alone();
    let liar = Liar::start(Lies { match_delay: Duration::from_millis(30), ..Lies::default() });
    for transport in ["wt", "ws"] {
        let options = format!("{WS}\nfresh = true\nconnections = 0\nrate = 30.0\ndwell = \"50ms\"")
            .replace("\"ws\"", &format!("\"{transport}\""));
        let report = load(Kind::Pair, &liar.url(), &options).unwrap();
        let [opened, matched, closed] =
            [Count::Opened, Count::Matched, Count::Closed].map(|count| report.measured.count(count));
        assert!(opened > 20 && matched > 20 && closed > 20, "{:?}", report.measured.counts);
        // Connecting is a part of it: the later of the two was not there before its own session was open.
        let (pair, open) = (latency(&report, Metric::Pair), latency(&report, Metric::Open));
        assert!(pair.corrected.min >= 30_000 + open.corrected.min, "{pair:?}");
    }
}

#[test]
fn refusals_come_as_close_codes_and_statuses() {
    let _turn = alone();
    let liar = Liar::start(Lies { close_every: Some((4, 8)), ..Lies::default() });
    let report = load(Kind::Connect, &liar.url(), &format!("{WS}\nconnections = 20")).unwrap();
    assert_eq!((report.opening.count(Count::Opened), report.opening.count(Count::OpenFailed)), (15, 5));
    assert_eq!(report.opening.failures.get("closed by the server: 8 full"), Some(&5));
    let forbidding = Liar::start(Lies { forbid: true, ..Lies::default() });
    let report = load(Kind::Connect, &forbidding.url(), &format!("{WS}\nconnections = 2")).unwrap();
    assert!(report.end.contains("403") && report.end.contains("Origin"), "{}", report.end);
    let without = Liar::start(Lies { no_websocket: true, ..Lies::default() });
    let error = load(Kind::Connect, &without.url(), WS).unwrap_err();
    assert!(error.contains("offers no WebSocket"), "{error}");
}
