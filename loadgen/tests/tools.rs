//! `capacity`, `compare`, `merge` and `show` on runs against a server whose answers are known.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anoncam_loadgen::capacity::Card;
use anoncam_loadgen::report::Report;
use anoncam_loadgen::stats::recorder::Metric;
use liar::{Liar, Lies};
use world::{alone, program, stderr, stdout};

/// Makes `count` short relay runs against a server that holds frames for `delay_ms`.
fn runs(directory: &Path, name: &str, delay_ms: u64, count: usize) -> String {
    let liar = Liar::start(Lies { relay_delay: Duration::from_millis(delay_ms), ..Lies::default() });
    let side = directory.join(name);
    std::fs::create_dir(&side).unwrap();
    for index in 0..count {
        let out = side.join(format!("run{index}"));
        let output = program(&[
            "relay",
            "--url",
            &liar.url(),
            "--connections",
            "4",
            "--rate",
            "100",
            "--warmup",
            "0s",
            "--duration",
            "400ms",
            "--out",
            out.to_str().unwrap(),
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    side.to_str().unwrap().into()
}

#[test]
fn a_slower_server_fails_the_comparison_and_the_same_server_does_not() {
    let _turn = alone();
    let directory = tempfile::tempdir().unwrap();
    let fast = runs(directory.path(), "fast", 60, 4);
    let slow = runs(directory.path(), "slow", 240, 4);
    let verdict = |a: &str, b: &str| program(&["compare", a, b, "--fail-if", "p50>+50%"]);
    let worse = verdict(&fast, &slow);
    assert_eq!(worse.status.code(), Some(3), "{}", stdout(&worse));
    assert!(stdout(&worse).contains("different"), "{}", stdout(&worse));
    let page = directory.path().join("page.html");
    let better = program(&["compare", &slow, &fast, "--html", page.to_str().unwrap()]);
    assert_eq!(better.status.code(), Some(0));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("different"), "{page}");
    assert_eq!(verdict(&fast, &fast).status.code(), Some(0));
    assert_eq!(program(&["compare", &fast, "/nonexistent"]).status.code(), Some(1));
}

#[test]
fn merging_adds_counts_and_histograms() {
    let _turn = alone();
    let directory = tempfile::tempdir().unwrap();
    let side = runs(directory.path(), "two", 20, 2);
    let merged = directory.path().join("merged.json");
    let output = program(&[
        "merge",
        &format!("{side}/run0"),
        &format!("{side}/run1"),
        "--json",
        merged.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = Report::read(&merged).unwrap();
    let count = |report: &Report| report.measured.latencies[&Metric::Relay].corrected.count;
    let parts =
        ["run0", "run1"].map(|run| Report::read(&Path::new(&side).join(run).join("report.json")).unwrap());
    assert_eq!(count(&report), count(&parts[0]) + count(&parts[1]));
    assert!((report.measured.target_rate - 200.0).abs() < 2.0, "{}", report.measured.target_rate);
    let worst = parts.iter().map(|part| part.measured.latencies[&Metric::Relay].corrected.max).max();
    assert_eq!(Some(report.measured.latencies[&Metric::Relay].corrected.max), worst);
}

#[test]
fn show_prints_a_run_again_and_writes_its_page() {
    let _turn = alone();
    let directory = tempfile::tempdir().unwrap();
    let side = runs(directory.path(), "one", 20, 1);
    let page = directory.path().join("page.html");
    let output = program(&["show", &format!("{side}/run0"), "--html", page.to_str().unwrap()]);
    assert!(stdout(&output).contains("relay, one way"), "{}", stdout(&output));
    assert!(std::fs::read_to_string(page).unwrap().contains("<svg"));
}

/// A search against a server that takes 30 ms to pair; 8 sessions with chats of 20 ms make about 160 arrivals a second and
/// no more.
const SEARCH: [&str; 19] = [
    "capacity",
    "pair",
    "--bound",
    "400ms",
    "--within",
    "40",
    "--connections",
    "8",
    "--rate",
    "40",
    "--warmup",
    "0s",
    "--duration",
    "600ms",
    "--dwell",
    "20ms",
    "--spacing",
    "constant",
    "--url",
];

fn slow_pairing() -> Liar {
    Liar::start(Lies { match_delay: Duration::from_millis(30), ..Lies::default() })
}

#[test]
fn capacity_is_found_and_written_as_a_card() {
    let _turn = alone();
    let liar = slow_pairing();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("search");
    let url = liar.url();
    let arguments =
        [&SEARCH[..], &[&url, "--fail-if", "rate<100000", "--out", out.to_str().unwrap()]].concat();
    let output = program(&arguments);
    assert_eq!(output.status.code(), Some(3), "{}{}", stdout(&output), stderr(&output));
    let card: Card = serde_json::from_str(&std::fs::read_to_string(out.join("card.json")).unwrap()).unwrap();
    assert_eq!(card.end, "completed");
    assert!((10.0..400.0).contains(&card.rate), "{}", stdout(&output));
    assert!(card.trials.iter().any(|trial| !trial.held), "{}", stdout(&output));
    let page = std::fs::read_to_string(out.join("card.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("bound 400 ms") && !page.contains("NaN"), "{page}");
    let first = Report::read(&out.join("trial-01/report.json")).unwrap();
    assert!(first.measured.latencies.contains_key(&Metric::Pair));
    assert_eq!(program(&arguments).status.code(), Some(1), "nothing is overwritten");
}

#[test]
fn a_search_says_what_it_cannot_do() {
    for (arguments, says) in [
        (&["capacity", "idle"][..], "no rate"),
        (&["capacity", "pair", "--json"], "--card"),
        (&["capacity", "pair", "--fail-if", "p99>2ms"], "only the rate"),
        (&["capacity", "pair", "--within", "0"], "--within"),
    ] {
        let output = program(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

#[test]
fn an_interrupted_search_keeps_its_card() {
    let _turn = alone();
    let liar = slow_pairing();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("search");
    let mut child = Command::new(env!("CARGO_BIN_EXE_anoncam-loadgen"))
        .args(SEARCH)
        .args([&liar.url(), "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !out.join("trial-02").exists() {
        assert!(began.elapsed() < Duration::from_mins(1), "the second run never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let card: Card = serde_json::from_str(&std::fs::read_to_string(out.join("card.json")).unwrap()).unwrap();
    assert_eq!((card.end.as_str(), card.trials.len()), ("interrupted", 1));
}
