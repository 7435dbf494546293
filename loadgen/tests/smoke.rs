//! Every scenario in small, as a user would run it.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use anoncam_loadgen::report::Report;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use liar::{Liar, Lies};
use world::{alone, program, stderr, stdout};

/// Runs a scenario for a second or two and reads its report.
fn smoke(arguments: &[&str]) -> Report {
    let _turn = alone();
    let liar = Liar::start(Lies::default());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");
    let url = liar.url();
    let common = ["--url", &url, "--seed", "7", "--out", out.to_str().unwrap()];
    let pid = std::process::id().to_string();
    let output = program(&[arguments, &common[..], &["--server-pid", &pid]].concat());
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    for file in ["report.json", "report.html", "intervals.jsonl", "latency.hlog"] {
        let length = std::fs::metadata(out.join(file)).map_or(0, |file| file.len());
        assert!(length > 100, "{file} has {length} bytes");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    for loads in ["src=", "<link", "@import", "url(", "<script"] {
        assert!(!page.contains(loads), "the page is self-contained: {loads}");
    }
    assert!(page.contains("<svg") && !page.contains("NaN"));
    let report = Report::read(&out.join("report.json")).unwrap();
    assert_eq!(report.end, "completed");
    assert!(
        report.main_latency().is_some_and(|latency| latency.corrected.count > 0),
        "{:?}",
        report.main_phase()
    );
    assert_eq!(report.measured.count(Count::OpenFailed) + report.measured.count(Count::Lost), 0);
    report
}

const SHORT: [&str; 4] = ["--warmup", "100ms", "--duration", "1s"];

#[test]
fn connect_in_a_closed_loop() {
    let report = smoke(&["connect", "--connections", "40", "--in-flight", "8"]);
    assert_eq!(report.opening.count(Count::Opened), 40);
    assert!(report.opening.server.is_some());
}

#[test]
fn sessions_are_opened_at_the_asked_pace() {
    let report = smoke(&["connect", "--connections", "30", "--open-rate", "40", "--threads", "2"]);
    assert_eq!(report.opening.count(Count::Opened), 30);
    assert!(report.opening.seconds > 0.7, "{}", report.opening.seconds);
}

#[test]
fn connect_on_a_schedule() {
    let report = smoke(&[&["connect", "--connections", "0", "--rate", "40"][..], &SHORT].concat());
    let planned = report.measured.count(Count::Planned);
    assert!(planned > 10, "{:?}", report.measured.counts);
    assert_eq!(report.measured.count(Count::Opened), planned, "{:?}", report.measured.counts);
}

#[test]
fn idle_in_stages() {
    let report = smoke(&["idle", "--stages", "10,30", "--hold", "500ms"]);
    assert_eq!(report.stages.iter().map(|stage| stage.sessions).collect::<Vec<_>>(), [10, 30]);
}

#[test]
fn pair_with_threads_and_source_addresses() {
    let more =
        ["--connections", "30", "--rate", "40", "--threads", "2", "--source-addr", "127.7.7.1-127.7.7.9"];
    let report = smoke(&[&["pair"], &more[..], &SHORT].concat());
    let matched = report.measured.count(Count::Matched);
    assert!(matched > 10, "{matched}");
    let timed = report.measured.latencies[&Metric::Pair].corrected.count;
    assert!(matched.abs_diff(timed) <= 4, "both ends of every chat are here: {timed} of {matched}");
}

#[test]
fn relay_with_large_frames() {
    let report =
        smoke(&[&["relay", "--connections", "6", "--rate", "40", "--size", "30000"][..], &SHORT].concat());
    assert_eq!(report.measured.count(Count::FramesSent), 40);
    assert_eq!(report.measured.count(Count::FramesReceived), 40);
}

#[test]
fn signal_completes_its_exchanges() {
    let report = smoke(&[&["signal", "--connections", "30", "--rate", "20"][..], &SHORT].concat());
    assert!(report.measured.count(Count::Exchanges) > 2, "{:?}", report.measured.counts);
}

#[test]
fn churn_presses_next() {
    let more = ["churn", "--connections", "20", "--dwell", "300ms", "--think", "50ms"];
    let report = smoke(&[&more[..], &SHORT].concat());
    assert!(report.measured.latencies[&Metric::Next].corrected.count > 2, "{:?}", report.measured.counts);
}

#[test]
fn mix_and_soak_do_a_bit_of_everything() {
    for kind in ["mix", "soak"] {
        let more = [
            "--rate",
            "30",
            "--ramp",
            "0s",
            "--dwell",
            "400ms",
            "--message-every",
            "200ms",
            "--think",
            "50ms",
        ];
        let report = smoke(&[&[kind], &more[..], &["--warmup", "300ms", "--duration", "2s"]].concat());
        let counts = [Count::Opened, Count::Matched, Count::FramesReceived, Count::Closed];
        assert!(counts.iter().all(|count| report.measured.count(*count) > 0), "{:?}", report.measured.counts);
    }
}

#[test]
fn a_condition_that_holds_exits_with_3() {
    let liar = Liar::start(Lies::default());
    let url = liar.url();
    let run = |condition: &str| {
        program(&["connect", "--connections", "4", "--url", &url, "--fail-if", condition]).status.code()
    };
    assert_eq!(run("open.p99>1us"), Some(3));
    assert_eq!(run("failed>0"), Some(0));
    assert_eq!(run("speed>1"), Some(1));
}

#[test]
fn several_machines_start_at_the_same_moment() {
    let _turn = alone();
    let liar = Liar::start(Lies::default());
    let directory = tempfile::tempdir().unwrap();
    let unix = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let at = unix() + 3.0;
    let out = directory.path().join("run");
    let run = |at: f64, out: &std::path::Path| {
        let (url, at) = (liar.url(), format!("{at:.3}"));
        let common =
            ["--url", &url, "--start-at", &at, "--out", out.to_str().unwrap(), "--interval", "100ms"];
        program(&[&["connect", "--connections", "2", "--rate", "50"], &SHORT[..], &common].concat())
    };
    let output = run(at, &out);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = Report::read(&out.join("report.json")).unwrap();
    let first =
        report.intervals.iter().find(|interval| interval.counts.contains_key(&Count::Planned)).unwrap();
    // The warm-up of 0.1 s is not counted.
    let began = report.started_unix_s + first.at_s - first.seconds;
    assert!(began > at - 0.2, "the schedule began {} s before the moment", at - began);
    let late = run(unix() - 5.0, &directory.path().join("late"));
    assert_eq!(late.status.code(), Some(1));
    assert!(stderr(&late).contains("in the past"), "{}", stderr(&late));
}
