//! Every scenario in small against the real server, over both of its transports.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests may panic")]

mod world;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anoncam_loadgen::report::Report;
use anoncam_loadgen::settings::Kind;
use anoncam_loadgen::stats::recorder::{Count, Metric};
use world::{alone, load, program, stderr, stdout};

/// The server's program, beside this test's own; built now unless the tests of the workspace have built it.
fn server_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_anoncam-loadgen")).with_file_name("anoncam");
        if !program.exists() {
            let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
            let build = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--bin", "anoncam", "--profile", profile])
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
                .status();
            assert!(build.unwrap().success() && program.exists(), "the server could not be built");
        }
        program
    })
}

struct Server {
    child: Child,
    url: String,
    /// For the control socket, by which a process that took its place is reached too.
    directory: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.order("drain").output();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts the server on free ports and waits until it says where it is.
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(server_program())
            .args(["--listen", "127.0.0.1:0", "--site", "127.0.0.1:0", "--log", "error"])
            .env("ANONCAM_CONTROL", directory.path().join("control.sock"))
            .env("ANONCAM_DRAIN_SECONDS", "2")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        std::thread::spawn(move || out.read_to_string(&mut String::new()));
        let (_, port) = line.trim_end().rsplit_once(':').expect("the server says where its page is");
        Self { child, url: format!("http://127.0.0.1:{port}"), directory }
    }

    fn order(&self, order: &str) -> Command {
        let mut command = Command::new(server_program());
        command.arg(order).env("ANONCAM_CONTROL", self.directory.path().join("control.sock"));
        command
    }
}

fn run(kind: Kind, options: &str) -> Report {
    let _turn = alone();
    let server = Server::start();
    let report = load(kind, &server.url, options).unwrap();
    assert_eq!(report.end, "completed", "{:?}", report.opening.failures);
    assert_eq!(report.opening.count(Count::OpenFailed), 0, "{:?}", report.opening.failures);
    assert!(
        report.main_latency().is_some_and(|latency| latency.corrected.count > 0),
        "{:?}",
        report.main_phase()
    );
    report
}

#[test]
fn sessions_open_and_idle() {
    let report = run(Kind::Idle, "stages = [20, 60]\nhold = \"300ms\"");
    assert_eq!(report.opening.count(Count::Opened), 60);
}

#[test]
fn arrivals_are_paired() {
    let report = run(Kind::Pair, "connections = 60\nrate = 40.0\nwarmup = \"200ms\"\nduration = \"1s\"");
    assert!(report.measured.count(Count::Matched) > 20, "{:?}", report.measured.counts);
}

#[test]
fn whoever_arrives_may_connect_first() {
    let options =
        "fresh = true\nconnections = 0\nrate = 30.0\nwarmup = \"0s\"\nduration = \"1s\"\ndwell = \"50ms\"";
    let report = run(Kind::Pair, options);
    assert!(report.measured.count(Count::Matched) > 10, "{:?}", report.measured.counts);
}

#[test]
fn every_frame_arrives() {
    let options = "connections = 10\nrate = 200.0\nwarmup = \"0s\"\nduration = \"1s\"\nsize = 8000";
    let report = run(Kind::Relay, options);
    assert_eq!(report.measured.count(Count::FramesSent), 200);
    assert_eq!(report.measured.count(Count::FramesReceived), 200);
}

#[test]
fn calls_are_set_up_over_both_transports() {
    for transport in ["wt", "ws"] {
        let options = format!(
            "transport = \"{transport}\"\nconnections = 40\nrate = 20.0\nwarmup = \"0s\"\nduration = \"1s\""
        );
        let report = run(Kind::Signal, &options);
        assert!(report.measured.count(Count::Exchanges) > 3, "{:?}", report.measured.counts);
    }
}

#[test]
fn people_press_next() {
    let options =
        "connections = 40\ndwell = \"400ms\"\nthink = \"50ms\"\nwarmup = \"500ms\"\nduration = \"1s\"";
    let report = run(Kind::Churn, options);
    assert!(report.measured.latencies[&Metric::Next].corrected.count > 5, "{:?}", report.measured.counts);
}

#[test]
fn a_day_goes_by() {
    let options = "rate = 20.0\nramp = \"0s\"\ndwell = \"500ms\"\nmessage_every = \"200ms\"\nthink = \"50ms\"\n\
                   warmup = \"300ms\"\nduration = \"2s\"";
    let report = run(Kind::Mix, options);
    assert!(report.measured.count(Count::FramesReceived) > 5, "{:?}", report.measured.counts);
}

#[test]
fn the_servers_costs_are_in_the_report() {
    let _turn = alone();
    let server = Server::start();
    let pid = server.child.id().to_string();
    let output = program(&[
        "idle",
        "--stages",
        "50,150",
        "--hold",
        "200ms",
        "--url",
        &server.url,
        "--server-pid",
        &pid,
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("us CPU a session opened") && text.contains("slope"), "{text}");
}

/// A newer process takes over again and again: nobody is refused or lost, and no chat is cut short.
#[test]
fn nobody_is_hurt_by_upgrades() {
    let _turn = alone();
    let server = Server::start();
    let options = "rate = 20.0\nramp = \"0s\"\ndwell = \"700ms\"\nmessage_every = \"100ms\"\nthink = \"50ms\"\n\
                   warmup = \"0s\"\nduration = \"4s\"";
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                std::thread::sleep(std::time::Duration::from_millis(900));
                let upgraded = server.order("upgrade").output().unwrap();
                assert!(upgraded.status.success(), "{}", stderr(&upgraded));
            }
        });
        load(Kind::Mix, &server.url, options).unwrap()
    });
    assert_eq!(report.end, "completed");
    let phase = &report.measured;
    assert!(phase.failures.is_empty(), "{:?}", phase.failures);
    assert_eq!((phase.count(Count::OpenFailed), phase.count(Count::Lost)), (0, 0));
    assert!(phase.count(Count::Moved) > 3 && phase.count(Count::Matched) > 20, "{:?}", phase.counts);
}
