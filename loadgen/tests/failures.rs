//! Wrong use and broken servers: every case says exactly what is wrong, and what was seen is kept.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod liar;
mod world;

use std::io::Read;
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anoncam_loadgen::report::{Report, files};
use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use liar::{Liar, Lies};
use world::{load, program, stderr};

const FEW: &str = "connections = 4\nstages = [4]\nhold = \"0s\"\ntimeout = \"1s\"";

fn error_of(lies: Lies) -> String {
    let liar = Liar::start(lies);
    let report = load(Kind::Connect, &liar.url(), FEW);
    report.map_or_else(|error| error, |report| report.end)
}

#[test]
fn a_wrong_certificate_is_named() {
    let error = error_of(Lies { wrong_hash: true, ..Lies::default() });
    assert!(error.contains("certificate"), "{error}");
}

#[test]
fn another_protocol_version_is_named() {
    let error = error_of(Lies { protocol: Some(2), ..Lies::default() });
    assert!(error.contains("version 2") && error.contains("version 1"), "{error}");
}

#[test]
fn a_forbidden_origin_is_named() {
    let error = error_of(Lies { forbid: true, ..Lies::default() });
    assert!(error.contains("403") && error.contains("Origin"), "{error}");
}

#[test]
fn a_mute_server_runs_into_the_timeout() {
    let error = error_of(Lies { mute: true, ..Lies::default() });
    assert!(error.contains("--timeout"), "{error}");
}

#[test]
fn a_silent_port_runs_into_the_timeout() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let options =
        format!("{FEW}\ninsecure = true\nwebtransport_url = \"https://{}/v1\"", socket.local_addr().unwrap());
    let report = load(Kind::Connect, "", &options).unwrap();
    assert!(report.end.contains("--timeout"), "{}", report.end);
    assert_eq!(report.opening.count(Count::OpenFailed), 4);
}

#[test]
fn refusals_are_counted_by_code_and_the_rest_goes_on() {
    let liar = Liar::start(Lies { close_every: Some((4, 8)), ..Lies::default() });
    let report = load(Kind::Connect, &liar.url(), "connections = 20").unwrap();
    assert_eq!(report.end, "completed");
    assert_eq!(report.opening.count(Count::Opened), 15);
    assert_eq!(report.opening.count(Count::OpenFailed), 5);
    assert_eq!(
        report.opening.failures.get("closed by the server: 8 full"),
        Some(&5),
        "{:?}",
        report.opening.failures
    );
}

#[test]
fn a_refused_find_ends_the_wish_and_not_the_session() {
    // Each refusal frees its session: four would not be enough for 40 arrivals otherwise.
    let liar = Liar::start(Lies { refuse_every: Some(3), ..Lies::default() });
    let options = "connections = 4\nrate = 40.0\nspacing = \"constant\"\nwarmup = \"0s\"\nduration = \"1s\"\ndwell = \"5ms\"";
    let report = load(Kind::Pair, &liar.url(), options).unwrap();
    let [notices, matched, started] =
        [Count::Notices, Count::Matched, Count::Started].map(|count| report.measured.count(count));
    assert_eq!((report.end.as_str(), started), ("completed", 40));
    assert!(notices >= 12 && matched >= 24, "{:?}", report.measured.counts);
    assert!(report.measured.failures.contains_key("NOTICE rate_limited"));
}

#[test]
fn frames_that_never_arrive_are_seen() {
    let liar = Liar::start(Lies { swallow_frames: true, ..Lies::default() });
    let options = "connections = 4\nrate = 50.0\nwarmup = \"0s\"\nduration = \"1s\"";
    let report = load(Kind::Relay, &liar.url(), options).unwrap();
    assert_eq!(report.measured.count(Count::FramesSent), 50);
    assert_eq!(report.measured.count(Count::FramesReceived), 0);
}

#[test]
fn a_source_address_of_another_machine_is_named() {
    let liar = Liar::start(Lies::default());
    let options = format!("{FEW}\nsource_addr = [\"127.0.0.1\", \"192.0.2.1\"]");
    let error = load(Kind::Connect, &liar.url(), &options).unwrap_err();
    assert!(error.contains("192.0.2.1"), "{error}");
}

#[test]
fn wrong_arguments_exit_with_2_and_everything_else_with_1() {
    assert_eq!(program(&["pair", "--rate", "fast"]).status.code(), Some(2));
    assert_eq!(program(&["nonsense"]).status.code(), Some(2));
    let nobody = program(&["connect", "--url", "http://127.254.254.254:9"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(stderr(&nobody).contains("no server answers"), "{}", stderr(&nobody));
    let remote = program(&["connect", "--url", "http://192.0.2.1:80"]);
    assert!(stderr(&remote).contains("--allow-remote"), "{}", stderr(&remote));
    let pid =
        program(&["connect", "--webtransport-url", "https://127.0.0.1:9/v1", "--server-pid", "4294967295"]);
    assert!(stderr(&pid).contains("--server-pid"), "{}", stderr(&pid));
}

#[test]
fn a_file_that_exists_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("there.json");
    std::fs::write(&file, "precious").unwrap();
    let path = file.to_str().unwrap();
    for arguments in [["--json", path], ["--jsonl", path], ["--hgrm", path], ["--out", path]] {
        let refused = program(&[&["connect", "--url", "http://127.254.254.254:9"], &arguments[..]].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(stderr(&refused).contains("--force"), "{}", stderr(&refused));
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

/// Starts a long run with `--out`, and waits until it has measured something.
fn start_long_run(url: &str, out: &std::path::Path) -> std::process::Child {
    let child = Command::new(env!("CARGO_BIN_EXE_anoncam-loadgen"))
        .args([
            "pair",
            "--url",
            url,
            "--connections",
            "30",
            "--rate",
            "50",
            "--warmup",
            "0s",
            "--duration",
            "10m",
        ])
        .args(["--interval", "200ms", "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while !files::read_directory(out).is_ok_and(|report| report.measured.count(Count::Matched) > 20) {
        assert!(began.elapsed() < Duration::from_secs(30), "the run never measured anything");
        std::thread::sleep(Duration::from_millis(50));
    }
    child
}

#[test]
fn a_full_disk_costs_the_files_and_not_the_report() {
    let liar = Liar::start(Lies::default());
    let full =
        program(&["connect", "--connections", "4", "--url", &liar.url(), "--jsonl", "/dev/full", "--force"]);
    assert_eq!(full.status.code(), Some(1));
    assert!(stderr(&full).contains("not everything could be written"), "{}", stderr(&full));
    assert!(
        String::from_utf8_lossy(&full.stdout).contains("4 sessions"),
        "the report is printed all the same"
    );
}

#[test]
fn ctrl_c_keeps_what_was_seen_and_exits_with_130() {
    let liar = Liar::start(Lies::default());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");
    let mut child = start_long_run(&liar.url(), &out);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("interrupted") && text.contains("pairing"), "{text}");
    let report = Report::read(&out.join(files::REPORT)).unwrap();
    assert_eq!(report.end, "interrupted");
    assert!(report.measured.latencies[&Metric::Pair].corrected.count > 20);
}

#[test]
fn a_run_that_was_cut_off_can_still_be_read() {
    let liar = Liar::start(Lies::default());
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");
    let mut child = start_long_run(&liar.url(), &out);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!out.join(files::REPORT).exists());
    let report = files::read_directory(&out).unwrap();
    assert_eq!((report.end.as_str(), report.health.sound), ("cut off", false));
    assert!(report.measured.latencies[&Metric::Pair].corrected.count > 20);
    assert_eq!(report.scenario, Kind::Pair);
}
